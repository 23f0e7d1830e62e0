"""Certification paths by RFC 5280, section 6, from a certificate to a trust anchor.

The engine is pyhanko-certvalidator, not cryptography's verifier. The vectors
decide it (docs/certificates.md): cryptography refuses Ed25519 and GOST issuers,
wants a subjectAltName and refuses NCA's certificates for the web's rules;
pyhanko-certvalidator follows RFC 5280 (NIST's PKITS is in its own tests) and
takes our check of signatures. It is slower, so what need not be repeated is
not: an authority's own signature is checked once and remembered, and the ways
from the anchors to each issuer are found once for each state of the trust
store, which leaves a leaf one signature and the engine's checks of the path.

Revocation is not judged here but from what a path says (revocation.py), nor
what a certificate may be used for. The engine's objects are decoded as they
are looked at, which two threads must not do at once: all of this runs in one
thread of its own (see outside.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from pyhanko_certvalidator.authority import CertTrustAnchor, TrustQualifiers
from pyhanko_certvalidator.context import ValidationContext
from pyhanko_certvalidator.errors import (
    ExpiredError,
    NotYetValidError,
    PathError,
    ValidationError,
)
from pyhanko_certvalidator.name_trees import process_general_subtrees
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.policy_decl import (
    NO_REVOCATION,
    AcceptAllAlgorithms,
    CertRevTrustPolicy,
    PKIXValidationParams,
)
from pyhanko_certvalidator.registry import CertificateRegistry, PathBuilder, SimpleTrustManager
from pyhanko_certvalidator.sig_validate import SignatureValidator
from pyhanko_certvalidator.validate import async_validate_path

from qagazsyz.common.v1.certificates_pb2 import CertificateStatus as Status
from services.identity.validation.trust_store import TrustStore
from services.identity.x509 import revocation_urls
from services.identity.x509.asn1_names import decode
from services.identity.x509.inspection import NoCertificate, extension, is_authority, load, usage_of
from services.identity.x509.issuing import Usage
from signatures.keys import MalformedKey, UnsupportedKey
from signatures.x509 import verify_x509_signature

# Cross-signed authorities give several ways; more than these is someone making work.
WAYS_TRIED = 8
# Names of issuers whose ways are remembered: callers choose them.
ISSUERS_REMEMBERED = 10_000
# Characters of a refusal's reason; refusals are kept by the ten thousand.
REASON_LIMIT = 200
# Longer than any hierarchy in use, counting no anchor.
PATH_LIMIT = 8

ANY_POLICY = frozenset({"any_policy"})
_FAULTS = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority as the certificates that it issued see it."""

    name: bytes
    spki: bytes
    # Whether it may sign revocation lists (keyUsage cRLSign, or no keyUsage).
    signs_lists: bool


@dataclass(frozen=True, slots=True)
class Link:
    """One certificate of a path and who issued it: what revocation is asked of."""

    fingerprint: bytes
    serial_number: int
    issuer: Issuer
    not_after: datetime
    authority: bool
    # Addresses that the certificate itself names.
    ocsp: tuple[str, ...]
    lists: tuple[str, ...]
    # Put into the trust store by an operator, who takes it out again.
    vouched_for: bool
    # The responder's certificate says that nobody need ask (RFC 6960, section 4.2.2.2.1).
    no_check: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """A path that holds at every time from the first date to the last, both included."""

    # The leaf first; the anchor is no link. Empty for the anchor itself.
    links: tuple[Link, ...]
    valid_from: datetime
    valid_until: datetime
    # Whether documents may be signed with the leaf.
    signs: bool

    def covers(self, at: datetime) -> bool:
        # notAfter is the last second in which it holds (RFC 5280, section 4.1.2.5).
        return self.valid_from <= at < self.valid_until + timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Refused:
    """No path: MALFORMED, EXPIRED, NOT_YET_VALID or UNTRUSTED; why, for tests and the log."""

    status: Status
    reason: str

    @classmethod
    def because(cls, status: Status, reason: object) -> Refused:
        """With a reason that may be in the certificate's own words: it is kept, so not for long."""
        return cls(status, str(reason)[:REASON_LIMIT])


@dataclass(frozen=True, slots=True)
class _Way:
    """From an anchor down to an issuer, with what every chain along it has in common."""

    anchor: CertTrustAnchor
    authorities: tuple[Any, ...]
    # The authorities', the issuer's first.
    links: tuple[Link, ...]
    issuer: Issuer
    valid_from: datetime
    valid_until: datetime


class Paths:
    """Judges paths against one state of the trust store. One thread at a time."""

    def __init__(self, store: TrustStore, policies: frozenset[str] = frozenset()) -> None:
        """policies: dotted OIDs of which a path must hold one; any path where there are none."""
        self._store = store
        self._signatures = _Signatures()
        anchors = [_anchor(der, policies) for der in store.anchors]
        self._trust = SimpleTrustManager.build(
            trust_roots=[anchor for anchor in anchors if anchor is not None]
        )
        self._registry = CertificateRegistry.build(
            [self._signatures.authority(der) for der in store.intermediates]
        )
        self._vouched_for = frozenset(hashlib.sha256(der).digest() for der in store.intermediates)
        self._ways: dict[bytes, tuple[_Way, ...]] = {}

    def find(self, der: bytes, at: datetime, extra: Sequence[bytes] = ()) -> Chain | Refused:
        """The path that holds at a time, or why there is none. extra: issuers that came along,
        each below the next."""
        try:
            certificate = load(der)
            leaf = decode(der)
            ways = self._ways_to(leaf, extra)
        except NoCertificate as error:
            return Refused.because(Status.CERTIFICATE_STATUS_MALFORMED, error)
        except _FAULTS as error:
            return Refused.because(
                Status.CERTIFICATE_STATUS_MALFORMED, f"cannot be decoded: {error}"
            )
        if der in self._store.anchors:
            return Refused(Status.CERTIFICATE_STATUS_UNTRUSTED, "a trust anchor itself")
        refused = Refused(Status.CERTIFICATE_STATUS_UNTRUSTED, "no issuer that is trusted")
        for way in ways:
            found = self._along(way, leaf, certificate, at)
            if isinstance(found, Chain):
                return found
            if refused.status == Status.CERTIFICATE_STATUS_UNTRUSTED:
                refused = found
        return refused

    def _ways_to(self, leaf: Any, extra: Sequence[bytes]) -> tuple[_Way, ...]:
        if extra:
            # One of a name: many of one name would give a factorial of ways to search.
            others: dict[bytes, Any] = {}
            for der in extra[:PATH_LIMIT]:
                load(der)
                issuer = decode(der)
                others.setdefault(issuer.subject.dump(), issuer)
            stored = [self._signatures.authority(der) for der in self._store.intermediates]
            return self._search(leaf, CertificateRegistry.build([*stored, *others.values()]))
        # The key identifier tells keys of one authority apart. Hashed: both are bytes that a caller
        # chose, as many as fit into a certificate.
        named = leaf.issuer.dump() + (leaf.authority_key_identifier or b"")
        asked = hashlib.sha256(named).digest()
        ways = self._ways.get(asked)
        if ways is None:
            ways = self._search(_anyone_like(leaf), self._registry)
            if len(self._ways) >= ISSUERS_REMEMBERED:
                self._ways.clear()
            if not leaf.authority_issuer_serial:
                self._ways[asked] = ways
        return ways

    def _search(self, leaf: Any, registry: CertificateRegistry) -> tuple[_Way, ...]:
        """The engine's search, without the certificate itself."""
        builder = PathBuilder(trust_manager=self._trust, registry=registry)

        async def search() -> list[_Way]:
            ways: list[_Way] = []
            async for path in builder.async_build_paths_lazy(leaf):
                authorities = tuple(path.iter_certs(include_root=False))
                anchor = path.trust_anchor
                if (
                    isinstance(anchor, CertTrustAnchor)
                    and authorities
                    and len(authorities) <= PATH_LIMIT
                ):
                    ways.append(self._way(anchor, authorities[:-1]))
                if len(ways) == WAYS_TRIED:
                    break
            return ways

        try:
            return tuple(_now(search()))
        except PathError:
            return ()

    def _along(
        self, way: _Way, leaf: Any, certificate: x509.Certificate, at: datetime
    ) -> Chain | Refused:
        path = ValidationPath(way.anchor, list(way.authorities), leaf)
        context = ValidationContext(
            trust_manager=self._trust,
            certificate_registry=self._registry,
            moment=at,
            # Whole seconds are compared: a certificate holds until its last one is over.
            time_tolerance=timedelta(0),
            revinfo_policy=CertRevTrustPolicy(NO_REVOCATION),
            signature_validator=self._signatures,
            # Ours knows good algorithms only.
            algorithm_usage_policy=AcceptAllAlgorithms(),
        )
        try:
            _now(async_validate_path(context, path))
            return _chain(way, certificate)
        except ExpiredError as error:
            if error.is_ee_cert:
                return Refused.because(Status.CERTIFICATE_STATUS_EXPIRED, error.failure_msg)
            return Refused.because(Status.CERTIFICATE_STATUS_UNTRUSTED, error.failure_msg)
        except NotYetValidError as error:
            if error.is_ee_cert:
                return Refused.because(Status.CERTIFICATE_STATUS_NOT_YET_VALID, error.failure_msg)
            return Refused.because(Status.CERTIFICATE_STATUS_UNTRUSTED, error.failure_msg)
        except ValidationError as error:
            return Refused.because(Status.CERTIFICATE_STATUS_UNTRUSTED, error.failure_msg)
        except NotImplementedError as error:
            # A constraint on a form of names that the engine does not compare (RFC 5280, 4.2.1.10:
            # process it or refuse).
            return Refused.because(Status.CERTIFICATE_STATUS_UNTRUSTED, error)
        except _FAULTS as error:
            # Whatever the lenient decoder meets late.
            return Refused.because(
                Status.CERTIFICATE_STATUS_MALFORMED, f"cannot be decoded: {error}"
            )

    def _way(self, anchor: CertTrustAnchor, authorities: tuple[Any, ...]) -> _Way:
        issuer = anchor.certificate
        first, last = issuer.not_valid_before, issuer.not_valid_after
        links = []
        for authority in authorities:
            der = authority.dump()
            fingerprint = hashlib.sha256(der).digest()
            vouched_for = fingerprint in self._vouched_for
            links.append(_link(load(der), fingerprint, _issuer(issuer), vouched_for=vouched_for))
            first = max(first, authority.not_valid_before)
            last = min(last, authority.not_valid_after)
            issuer = authority
        return _Way(
            anchor,
            authorities,
            tuple(reversed(links)),
            _issuer(issuer),
            first.astimezone(UTC),
            last.astimezone(UTC),
        )


def _anyone_like(leaf: Any) -> Any:
    """A certificate of the same issuer and of nobody.

    The engine leaves out ways by what a certificate is itself: one that bears an anchor's name and
    key, or an authority's number, has fewer than another of its issuer. What is remembered for all
    of the issuer's must not depend on the one that somebody asked about first.
    """
    anyone = asn1.Certificate.load(leaf.dump(), strict=True)
    inner = anyone["tbs_certificate"]
    inner["serial_number"] = 0
    inner["subject"] = asn1.Name.build({})
    return anyone


def _chain(way: _Way, certificate: x509.Certificate) -> Chain:
    fingerprint = certificate.fingerprint(hashes.SHA256())
    return Chain(
        (_link(certificate, fingerprint, way.issuer, vouched_for=False), *way.links),
        max(way.valid_from, certificate.not_valid_before_utc),
        min(way.valid_until, certificate.not_valid_after_utc),
        signs=usage_of(certificate) is Usage.SIGN,
    )


def _link(
    certificate: x509.Certificate, fingerprint: bytes, issuer: Issuer, *, vouched_for: bool
) -> Link:
    return Link(
        fingerprint=fingerprint,
        serial_number=certificate.serial_number,
        issuer=issuer,
        not_after=certificate.not_valid_after_utc,
        authority=is_authority(certificate),
        ocsp=revocation_urls.responders(certificate),
        lists=revocation_urls.lists(certificate),
        vouched_for=vouched_for,
        no_check=extension(certificate, x509.OCSPNoCheck) is not None,
    )


class _Signatures(SignatureValidator):
    """The library's check of signatures, for the engine; authorities' own are checked once."""

    def __init__(self) -> None:
        self._authorities: dict[bytes, Any] = {}
        self._own: set[bytes] = set()
        self._good: set[tuple[bytes, bytes, bytes]] = set()

    def authority(self, der: bytes) -> Any:
        """The certificate, decoded once; its signature is remembered once it was found good."""
        if der not in self._authorities:
            certificate = decode(der)
            self._authorities[der] = certificate
            self._own.add(certificate["tbs_certificate"].dump())
        return self._authorities[der]

    def validate_signature(
        self,
        signature: bytes,
        signed_data: bytes,
        public_key_info: Any,
        signature_algorithm: Any,
        context: object = None,  # noqa: ARG002
    ) -> None:
        """Raises InvalidSignature, for what cannot be verified as well."""
        spki = public_key_info.dump()
        remembered = (spki, signature, signed_data)
        if remembered in self._good:
            return
        parameters = signature_algorithm["parameters"].dump() or None
        try:
            holds = verify_x509_signature(
                spki, signature_algorithm["algorithm"].dotted, parameters, signed_data, signature
            )
        except (MalformedKey, UnsupportedKey) as error:
            raise InvalidSignature(str(error)) from None
        if not holds:
            raise InvalidSignature
        if signed_data in self._own:
            self._good.add(remembered)


def _anchor(der: bytes, policies: frozenset[str]) -> CertTrustAnchor | None:
    """The anchor with what its certificate restricts: dates, length, names (RFC 5937).

    Its policies do not restrict: NCA's root names one that no certificate below it does. None
    for a certificate that says it is no authority's.
    """
    certificate = decode(der)
    if not certificate.ca and certificate["tbs_certificate"]["version"].native != "v1":
        return None
    permitted = excluded = None
    constraints = certificate.name_constraints_value
    if constraints is not None:
        if isinstance(constraints["permitted_subtrees"], asn1.GeneralSubtrees):
            permitted = process_general_subtrees(constraints["permitted_subtrees"])
        if isinstance(constraints["excluded_subtrees"], asn1.GeneralSubtrees):
            excluded = process_general_subtrees(constraints["excluded_subtrees"])
    parameters = PKIXValidationParams(
        user_initial_policy_set=policies or ANY_POLICY,
        initial_explicit_policy=bool(policies),
        initial_permitted_subtrees=permitted,
        initial_excluded_subtrees=excluded,
    )
    return CertTrustAnchor(
        certificate,
        TrustQualifiers(
            standard_parameters=parameters,
            max_path_length=certificate.max_path_length,
            # Nothing is asked of attribute certificates; the engine counts down both or neither.
            max_aa_path_length=certificate.max_path_length,
            valid_from=certificate.not_valid_before,
            valid_until=certificate.not_valid_after,
        ),
    )


def _issuer(certificate: Any) -> Issuer:
    usage = certificate.key_usage_value
    return Issuer(
        name=certificate.subject.dump(),
        spki=certificate.public_key.dump(),
        signs_lists=usage is None or "crl_sign" in usage.native,
    )


def _now(work: Coroutine[Any, Any, _T]) -> _T:
    """The result of the engine's coroutine, which waits for nothing where nothing is fetched."""
    try:
        work.send(None)
    except StopIteration as done:
        result: _T = done.value
        return result
    work.close()
    raise RuntimeError("the engine waits for something")
