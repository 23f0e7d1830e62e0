"""Object identifiers in dotted form, each in one place, by the names that their standards give.

What cryptography or asn1crypto names already (cryptography.x509.oid) is taken from there where the
code speaks to that library; here stands what the code compares or encodes itself.
"""

from __future__ import annotations

# Hash functions: NIST's, and Streebog under TC26's OIDs (RFC 9215) and under Kazakhstan's.
SHA1 = "1.3.14.3.2.26"
SHA256 = "2.16.840.1.101.3.4.2.1"
SHA384 = "2.16.840.1.101.3.4.2.2"
SHA512 = "2.16.840.1.101.3.4.2.3"
TC26_STREEBOG256 = "1.2.643.7.1.1.2.2"
TC26_STREEBOG512 = "1.2.643.7.1.1.2.3"
KZ_STREEBOG256 = "1.2.398.3.10.1.3.2"
KZ_STREEBOG512 = "1.2.398.3.10.1.3.3"

# Public keys (RFC 3279, 8410, 9215, 9881).
RSA = "1.2.840.113549.1.1.1"
EC = "1.2.840.10045.2.1"
# Keys and signatures bear the same OID.
ED25519 = "1.3.101.112"
ML_DSA_44 = "2.16.840.1.101.3.4.3.17"
ML_DSA_65 = "2.16.840.1.101.3.4.3.18"
ML_DSA_87 = "2.16.840.1.101.3.4.3.19"
TC26_GOST_256 = "1.2.643.7.1.1.1.1"
TC26_GOST_512 = "1.2.643.7.1.1.1.2"
KZ_GOST_256 = "1.2.398.3.10.1.1.2.1"
KZ_GOST_512 = "1.2.398.3.10.1.1.2.2"

# Signatures (RFC 4055, 5758, 9215).
RSA_SHA256 = "1.2.840.113549.1.1.11"
RSA_SHA384 = "1.2.840.113549.1.1.12"
RSA_SHA512 = "1.2.840.113549.1.1.13"
RSA_PSS = "1.2.840.113549.1.1.10"
MGF1 = "1.2.840.113549.1.1.8"
ECDSA_SHA256 = "1.2.840.10045.4.3.2"
ECDSA_SHA384 = "1.2.840.10045.4.3.3"
ECDSA_SHA512 = "1.2.840.10045.4.3.4"
TC26_GOST_256_STREEBOG256 = "1.2.643.7.1.1.3.2"
TC26_GOST_512_STREEBOG512 = "1.2.643.7.1.1.3.3"
KZ_GOST_256_STREEBOG256 = "1.2.398.3.10.1.1.2.3.1"
KZ_GOST_512_STREEBOG512 = "1.2.398.3.10.1.1.2.3.2"

# Curves: NIST's (RFC 5480), TC26's (RFC 9215), CryptoPro's (RFC 4357; XCHA and XCHB are meant for
# key exchange), Kazakhstan's.
P256 = "1.2.840.10045.3.1.7"
P384 = "1.3.132.0.34"
P521 = "1.3.132.0.35"
TC26_CURVE_256_A = "1.2.643.7.1.2.1.1.1"
TC26_CURVE_256_B = "1.2.643.7.1.2.1.1.2"
TC26_CURVE_256_C = "1.2.643.7.1.2.1.1.3"
TC26_CURVE_256_D = "1.2.643.7.1.2.1.1.4"
TC26_CURVE_512_A = "1.2.643.7.1.2.1.2.1"
TC26_CURVE_512_B = "1.2.643.7.1.2.1.2.2"
TC26_CURVE_512_C = "1.2.643.7.1.2.1.2.3"
CRYPTOPRO_CURVE_A = "1.2.643.2.2.35.1"
CRYPTOPRO_CURVE_B = "1.2.643.2.2.35.2"
CRYPTOPRO_CURVE_C = "1.2.643.2.2.35.3"
CRYPTOPRO_CURVE_XCHA = "1.2.643.2.2.36.0"
CRYPTOPRO_CURVE_XCHB = "1.2.643.2.2.36.1"
KZ_CURVE_256 = "1.2.398.3.10.1.1.2.1.1"
KZ_CURVE_512 = "1.2.398.3.10.1.1.2.2.1"

# Attributes of names (X.520, RFC 4519).
COMMON_NAME = "2.5.4.3"
SURNAME = "2.5.4.4"
SERIAL_NUMBER = "2.5.4.5"
COUNTRY = "2.5.4.6"
LOCALITY = "2.5.4.7"
STATE = "2.5.4.8"
ORGANIZATION = "2.5.4.10"
ORGANIZATIONAL_UNIT = "2.5.4.11"
GIVEN_NAME = "2.5.4.42"
DOMAIN_COMPONENT = "0.9.2342.19200300.100.1.25"
EMAIL_ADDRESS = "1.2.840.113549.1.9.1"

# Purposes in extendedKeyUsage: documentSigning (RFC 9336), and the roles of Kazakhstan's national
# certification authority (NCA RK), below one arc.
DOCUMENT_SIGNING = "1.3.6.1.5.5.7.3.36"
NCA_ROLES = "1.2.398.3.3.4.1"
NCA_INDIVIDUAL = "1.2.398.3.3.4.1.1"
NCA_LEGAL_ENTITY = "1.2.398.3.3.4.1.2"
NCA_FIRST_HEAD = "1.2.398.3.3.4.1.2.1"
NCA_MAY_SIGN = "1.2.398.3.3.4.1.2.2"
NCA_MAY_SIGN_FINANCIAL = "1.2.398.3.3.4.1.2.3"
NCA_HUMAN_RESOURCES = "1.2.398.3.3.4.1.2.4"
NCA_EMPLOYEE = "1.2.398.3.3.4.1.2.5"
NCA_INFORMATION_SYSTEM = "1.2.398.3.3.4.1.2.6"

# The platform's own certificate policy: the key is on a SIM card. Below 2.25 a UUID names an OID,
# and nobody has to assign one (ITU-T X.667, section 7).
KEY_ON_SIM = "2.25.121438436982167157769755067842866429412"

# Extensions of revocation lists and of OCSP (RFC 5280, section 5.3.3; X.509, 9.5.2.8; RFC 6960).
CERTIFICATE_ISSUER = "2.5.29.29"
EXPIRED_CERTS_ON_CRL = "2.5.29.60"
OCSP_NONCE = "1.3.6.1.5.5.7.48.1.2"
OCSP_ARCHIVE_CUTOFF = "1.3.6.1.5.5.7.48.1.6"

# CMS and time-stamps (RFC 5652, 3161, 5035).
SIGNED_DATA = "1.2.840.113549.1.7.2"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
