"""OCSP for certificates of external authorities: the request, and reading the answer (RFC 6960).

An answer counts if it is about the requested certificate, signed by the issuer or by a responder
that the issuer authorized, and current (section 3.2). Here the responder's certificate is only
found; revocation.py checks that the issuer authorized it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from services.identity.validation.evidence import UnusableEvidence, read_generalized_time
from services.identity.validation.interface import Issuer, Link, Revocation
from services.identity.x509.limits import CLOCK_SKEW, FRESH_FOR
from services.identity.x509.revocation_reasons import RevocationReason
from services.identity.x509.signed_data import SignedContent, read_signed
from services.identity.x509.unforeseen import log_unforeseen
from signatures import oids
from signatures.der import OCTET_STRING, MalformedDer, Reader
from signatures.keys import MalformedKey, certificate_spki

# RFC 9654 asks for 32.
NONCE_BYTES = 32
# An answer without a nextUpdate holds for this long after its thisUpdate.
AGE_LIMIT_WITHOUT_NEXT_UPDATE = timedelta(minutes=5)
# A responder that makes its answers ahead returns no nonce (RFC 5019, section 2.2.1), so an answer
# may be a replay: it holds until its nextUpdate (section 4), but not for longer than this, or than
# the operator says for the authority.
AGE_LIMIT_MADE_AHEAD = timedelta(hours=1)
AGE_LIMIT_BY_OPERATOR = timedelta(hours=24)
ANSWER_LIMIT_BYTES = 64 * 1024
# Responder certificates in one answer that are tried; each costs a verification.
RESPONDERS_LIMIT = 4

_RESPONSE_BYTES_TAG = 0xA0
_ENUMERATED = 0x0A


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """A responder's answer about one certificate: revoked, or good if that is None."""

    revoked: Revocation | None
    next_update: datetime
    # The responder's certificate (DER); None if the issuer itself signed.
    responder: bytes | None
    # Certificates that expired before this are no longer answered for; None if it does not say.
    keeps_expired_since: datetime | None


@dataclass(frozen=True, slots=True)
class _SingleExtensions:
    """What a single answer adds: the archive cutoff, and since when the certificate was not to be
    relied upon, which may be before its revocation (RFC 5280, section 5.3.2)."""

    cutoff: datetime | None = None
    invalid_since: datetime | None = None


def build_request(link: Link, nonce: bytes) -> bytes:
    """Build the OCSPRequest, DER. SHA-1 names the issuer, as every responder expects (RFC 5019)."""
    name_hash, key_hash = _issuer_hashes(link.issuer, "sha1")
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        name_hash,
        key_hash,
        link.serial_number,
        hashes.SHA1(),  # noqa: S303
    )
    builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def read_answer(
    data: bytes,
    link: Link,
    nonce: bytes,
    now: datetime,
    age_limit: timedelta = AGE_LIMIT_MADE_AHEAD,
) -> OcspAnswer:
    """Read and verify the answer about this certificate. Raises UnusableEvidence.

    age_limit: how old an answer without our nonce may be.
    """
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise UnusableEvidence(f"the responder said {response.response_status.name}")
        returns_nonce = _returns_nonce(response, nonce)
        single = _find_single(response, link)
        responder = _find_signer(response, read_signed(_basic_response(data)), link.issuer)
        extensions = _single_extensions(response)
        limit = None if returns_nonce else age_limit
        return _current_answer(single, responder, extensions, now, limit)
    except UnusableEvidence:
        raise
    except Exception as error:  # whatever a parser makes of foreign bytes
        log_unforeseen("an OCSP answer", data, error)
        raise UnusableEvidence(f"cannot be read: {type(error).__name__}") from None


def _current_answer(
    single: ocsp.OCSPSingleResponse,
    responder: bytes | None,
    extensions: _SingleExtensions,
    now: datetime,
    age_limit: timedelta | None,
) -> OcspAnswer:
    """Return the answer if it is current. Raises UnusableEvidence."""
    this_update, next_update = single.this_update_utc, single.next_update_utc
    if this_update > now + CLOCK_SKEW:
        raise UnusableEvidence("dated in the future")
    if next_update is not None and not max(now, this_update) < next_update:
        raise UnusableEvidence("out of date")
    if next_update is None:
        next_update = this_update + AGE_LIMIT_WITHOUT_NEXT_UPDATE
        # With our nonce the answer was made just now, whatever its clock says.
        if age_limit is None:
            next_update = max(next_update, now + FRESH_FOR)
    elif age_limit is not None:
        next_update = min(next_update, this_update + age_limit + CLOCK_SKEW)
    if now >= next_update:
        raise UnusableEvidence("too old to be accepted without a nonce or a nextUpdate")
    revoked = None
    if single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        raise UnusableEvidence("the responder does not know the certificate")
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        since = single.revocation_time_utc
        if since is None:
            raise UnusableEvidence("revoked without a time")
        since = min(since, extensions.invalid_since or since)
        revoked = Revocation(since, RevocationReason.of(single.revocation_reason))
    return OcspAnswer(
        revoked,
        next_update,
        responder,
        extensions.cutoff,
    )


def _returns_nonce(response: ocsp.OCSPResponse, nonce: bytes) -> bool:
    """Return whether the answer has our nonce. Raises UnusableEvidence for another nonce, and for
    an unknown critical extension."""
    returned = False
    for extension in response.extensions:
        if isinstance(extension.value, x509.OCSPNonce):
            if extension.value.nonce != nonce:
                raise UnusableEvidence("the nonce of another request")
            returned = True
        elif extension.critical:
            raise UnusableEvidence("has an unknown critical extension")
    return returned


def _find_single(response: ocsp.OCSPResponse, link: Link) -> ocsp.OCSPSingleResponse:
    """Return the single answer whose CertID is the certificate's. Raises UnusableEvidence."""
    for single in response.responses:
        if single.serial_number != link.serial_number:
            continue
        hashed = _issuer_hashes(link.issuer, single.hash_algorithm.name)
        if (single.issuer_name_hash, single.issuer_key_hash) == hashed:
            return single
    raise UnusableEvidence("about another certificate")


def _find_signer(response: ocsp.OCSPResponse, basic: SignedContent, issuer: Issuer) -> bytes | None:
    """Return the signer's certificate, or None if the issuer signed. Raises UnusableEvidence."""
    if basic.is_signed_by(issuer.spki):
        return None
    for responder in response.certificates[:RESPONDERS_LIMIT]:
        der = responder.public_bytes(Encoding.DER)
        try:
            spki = certificate_spki(der)
        except MalformedKey:
            continue
        if basic.is_signed_by(spki):
            return der
    raise UnusableEvidence("signed neither by the issuer nor by an included certificate's key")


def _basic_response(data: bytes) -> bytes:
    """Return the BasicOCSPResponse in an OCSPResponse. Raises MalformedDer."""
    outer = Reader(data)
    parts = outer.sequence()
    outer.end()
    parts.value(_ENUMERATED)
    wrapped = Reader(parts.value(_RESPONSE_BYTES_TAG)).sequence()
    wrapped.object_identifier()
    return wrapped.value(OCTET_STRING)


def _single_extensions(response: ocsp.OCSPResponse) -> _SingleExtensions:
    """Read the extensions of the only single answer.

    Raises UnusableEvidence for an unknown critical extension, and ValueError if there are several
    single answers, of which only one was asked for: cryptography cannot tell their extensions
    apart.
    """
    cutoff = invalid_since = None
    for extension in response.single_extensions:
        if extension.oid.dotted_string == oids.OCSP_ARCHIVE_CUTOFF:
            value = getattr(extension.value, "value", None)
            if isinstance(value, bytes):
                cutoff = read_generalized_time(value)
        elif isinstance(extension.value, x509.InvalidityDate):
            invalid_since = extension.value.invalidity_date_utc
        elif extension.critical and not isinstance(extension.value, x509.CRLReason):
            raise UnusableEvidence("has an unknown critical extension")
    return _SingleExtensions(cutoff, invalid_since)


def _issuer_hashes(issuer: Issuer, algorithm: str) -> tuple[bytes, bytes]:
    """Hash the issuer's name and key as a CertID has them. Raises UnusableEvidence."""
    try:
        reader = Reader(issuer.spki).sequence()
        reader.any()
        key = reader.bit_string()
    except MalformedDer as error:
        raise UnusableEvidence(f"the issuer's key: {error}") from None
    return tuple(  # type: ignore[return-value]
        hashlib.new(algorithm, part, usedforsecurity=False).digest() for part in (issuer.name, key)
    )
