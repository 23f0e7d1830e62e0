"""Renew this service's own credential: a new key, certified by identity, replaces the old one.

Certificate and key stand in one file, which is replaced at once. If the process ends between
identity's answer and that, the new key is lost and the file has the old one, which signs in for a
day more and can be renewed again meanwhile.
"""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import certificates_pb2
from services.runtime.clients import InternalTokens, ServiceClient
from services.runtime.secret_files import replacing_secret

RENEW = "qagazsyz.identity.v1.CertificateService/RenewServiceCredential"


async def renew_credential(
    identity: ServiceClient, tokens: InternalTokens, path: Path
) -> Credential:
    """Have a new key certified, write it with its certificate to path, and sign in with it from the
    next call on; return the new credential.

    tokens: whose credential is renewed; path: the file that it was loaded from, PEM. Raises OSError
    if the file cannot be replaced; where its folder cannot be written, identity is not asked.
    Raises as ServiceClient.call does.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    with replacing_secret(path) as file:
        renewed = await identity.call(
            RENEW,
            certificates_pb2.RenewServiceCredentialRequest(certificate_request=request),
            certificates_pb2.Certificate,
        )
        # The issuer of the one before: all credentials are of the platform's authority.
        pem = Credential(renewed.der, key, tokens.credential.chain).to_pem()
        # Read as the next start will, before it takes the place of one that works.
        credential = Credential.from_pem(pem)
        file.write(pem)
    await tokens.use(credential)
    return credential
