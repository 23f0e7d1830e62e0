"""What an OCSP responder of an outside authority is asked, and what its answer is worth.

RFC 6960, section 3.2: an answer counts if it is about the certificate that was
asked about, signed by the issuer or by a responder that the issuer made one,
and of this time. Whether a responder's own certificate holds is found out by
whoever asks (revocation.py); here it is only picked out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from asn1crypto.core import GeneralizedTime
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from services.identity.validation.paths import Issuer, Link
from services.identity.x509.issuing import UNREADABLE
from services.identity.x509.signed_data import Signed, signed
from signatures.der import OCTET_STRING, MalformedDer, Reader
from signatures.keys import MalformedKey, certificate_spki

# RFC 9654 asks for 32; any fresh bytes show that the answer is no old one.
NONCE_BYTES = 32
# Clocks of authorities differ a little from ours.
SKEW = timedelta(minutes=5)
# A responder that gives no nonce back prepares its answers: one this old may be somebody's replay.
WITHOUT_NONCE = timedelta(minutes=10)
ANSWER_LIMIT_BYTES = 64 * 1024
# Responders' certificates that an answer may carry; each costs a verification.
RESPONDERS_TRIED = 4

_ARCHIVE_CUTOFF = "1.3.6.1.5.5.7.48.1.6"
_RESPONSE_BYTES_TAG = 0xA0
_ENUMERATED = 0x0A
REASONS = {
    x509.ReasonFlags.unspecified: 0,
    x509.ReasonFlags.key_compromise: 1,
    x509.ReasonFlags.ca_compromise: 2,
    x509.ReasonFlags.affiliation_changed: 3,
    x509.ReasonFlags.superseded: 4,
    x509.ReasonFlags.cessation_of_operation: 5,
    x509.ReasonFlags.certificate_hold: 6,
    x509.ReasonFlags.remove_from_crl: 8,
    x509.ReasonFlags.privilege_withdrawn: 9,
    x509.ReasonFlags.aa_compromise: 10,
}


class Unusable(Exception):
    """An answer or a list that says nothing about the certificate; its text says why."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """Since when, and why (RFC 5280, section 5.3.1); where an authority knows that its key was
    out of its holder's hands before, since then."""

    time: datetime
    reason: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a responder says: revoked or, without that, good, for as long as it says."""

    revoked: Revoked | None
    next_update: datetime
    # The responder's certificate where the issuer itself did not sign, DER.
    responder: bytes | None
    # Certificates that expired before this are no longer answered for; None where it says nothing.
    keeps_expired_since: datetime | None


@dataclass(frozen=True, slots=True)
class _Extensions:
    """What a single answer says beside: the archive cutoff, and since when the certificate was not
    to be relied upon, which may be before it was revoked (RFC 5280, section 5.3.2)."""

    cutoff: datetime | None = None
    invalid_since: datetime | None = None


def question(link: Link, nonce: bytes) -> bytes:
    """The OCSPRequest, DER. SHA-1 names the issuer, as every responder knows it (RFC 5019)."""
    name_hash, key_hash = _names(link.issuer, "sha1")
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        name_hash,
        key_hash,
        link.serial_number,
        hashes.SHA1(),  # noqa: S303
    )
    builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def read(data: bytes, link: Link, nonce: bytes, now: datetime) -> Answer:
    """The answer about this certificate. Raises Unusable."""
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise Unusable(f"the responder said {response.response_status.name}")
        given = _nonce(response, nonce)
        single = _about(response, link)
        responder = _signer(response, signed(_basic(data)), link.issuer)
        said = _said_more(response)
        return _judged(single, responder, said, now, with_nonce=given)
    except (*UNREADABLE, OverflowError) as error:
        # MalformedDer is a ValueError.
        raise Unusable(f"cannot be read: {error}") from None


def _judged(
    single: ocsp.OCSPSingleResponse,
    responder: bytes | None,
    said: _Extensions,
    now: datetime,
    *,
    with_nonce: bool,
) -> Answer:
    this_update, next_update = single.this_update_utc, single.next_update_utc
    if this_update > now + SKEW:
        raise Unusable("of a time to come")
    if next_update is not None and now >= next_update:
        raise Unusable("out of date")
    if (not with_nonce or next_update is None) and now > this_update + WITHOUT_NONCE:
        raise Unusable("an old answer")
    revoked = None
    if single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        raise Unusable("the responder does not know the certificate")
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        since = single.revocation_time_utc
        if since is None:
            raise Unusable("revoked without a time")
        reason = single.revocation_reason
        since = min(since, said.invalid_since or since)
        revoked = Revoked(since, 0 if reason is None else REASONS[reason])
    return Answer(revoked, next_update or this_update + WITHOUT_NONCE, responder, said.cutoff)


def _nonce(response: ocsp.OCSPResponse, nonce: bytes) -> bool:
    """Whether ours was given back. Raises Unusable for another, and for what is not known."""
    given = False
    for extension in response.extensions:
        if isinstance(extension.value, x509.OCSPNonce):
            if extension.value.nonce != nonce:
                raise Unusable("the nonce of another question")
            given = True
        elif extension.critical:
            raise Unusable("a critical extension that is not known")
    return given


def _about(response: ocsp.OCSPResponse, link: Link) -> ocsp.OCSPSingleResponse:
    """The single answer whose CertID is the certificate's."""
    for single in response.responses:
        if single.serial_number != link.serial_number:
            continue
        names = _names(link.issuer, single.hash_algorithm.name)
        if (single.issuer_name_hash, single.issuer_key_hash) == names:
            return single
    raise Unusable("about another certificate")


def _signer(response: ocsp.OCSPResponse, basic: Signed, issuer: Issuer) -> bytes | None:
    """None where the issuer signed, else the certificate of who did. Raises Unusable."""
    if basic.holds(issuer.spki):
        return None
    for responder in response.certificates[:RESPONDERS_TRIED]:
        der = responder.public_bytes(Encoding.DER)
        try:
            spki = certificate_spki(der)
        except MalformedKey:
            continue
        if basic.holds(spki):
            return der
    raise Unusable("signed neither by the issuer nor by anyone named")


def _basic(data: bytes) -> bytes:
    """The BasicOCSPResponse in an OCSPResponse. Raises MalformedDer."""
    outer = Reader(data)
    parts = outer.sequence()
    outer.end()
    parts.value(_ENUMERATED)
    wrapped = Reader(parts.value(_RESPONSE_BYTES_TAG)).sequence()
    wrapped.object_identifier()
    return wrapped.value(OCTET_STRING)


def _said_more(response: ocsp.OCSPResponse) -> _Extensions:
    """Raises Unusable for what is critical and not known."""
    cutoff = invalid_since = None
    # A ValueError where there are several single answers, of which only one was asked for: what
    # they say beside cannot be told apart.
    for extension in response.single_extensions:
        if extension.oid.dotted_string == _ARCHIVE_CUTOFF:
            value = getattr(extension.value, "value", None)
            if isinstance(value, bytes):
                cutoff = generalized_time(value)
        elif isinstance(extension.value, x509.InvalidityDate):
            invalid_since = extension.value.invalidity_date_utc
        elif extension.critical and not isinstance(extension.value, x509.CRLReason):
            raise Unusable("a critical extension that is not known")
    return _Extensions(cutoff, invalid_since)


def generalized_time(der: bytes) -> datetime:
    """The time of a GeneralizedTime, DER. Raises ValueError."""
    moment: datetime = GeneralizedTime.load(der, strict=True).native
    return moment


def _names(issuer: Issuer, algorithm: str) -> tuple[bytes, bytes]:
    """Hashes of the issuer's name and key, as a CertID has them."""
    try:
        reader = Reader(issuer.spki).sequence()
        reader.any()
        key = reader.bit_string()
    except MalformedDer as error:
        raise Unusable(f"the issuer's key: {error}") from None
    return tuple(  # type: ignore[return-value]
        hashlib.new(algorithm, part, usedforsecurity=False).digest() for part in (issuer.name, key)
    )
