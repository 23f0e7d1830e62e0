"""Certification paths by RFC 5280, section 6, from a certificate to a trust anchor.

The engine is pyhanko-certvalidator, not cryptography's verifier. The vectors decide it
(docs/certificates.md): cryptography refuses Ed25519 and GOST issuers, requires a subjectAltName and
refuses NCA's certificates by the web's rules; pyhanko-certvalidator follows RFC 5280 (NIST's PKITS
is in its own tests) and lets us verify the signatures. It is slower, so what need not be repeated
is cached: an authority's own signature is verified once, and the paths from the anchors to each
issuer are found once for each state of the trust store, which leaves for a leaf one signature and
the engine's checks of the path.

Neither revocation (revocation.py) nor usage is decided here. The engine's objects are decoded as
they are read, which two threads must not do at the same time: all of this runs in one thread of its
own (validator.py).
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from asn1crypto import x509 as asn1
from cachetools import LRUCache
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko_certvalidator.authority import CertTrustAnchor
from pyhanko_certvalidator.context import ValidationContext
from pyhanko_certvalidator.errors import (
    ExpiredError,
    NotYetValidError,
    ValidationError,
)
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.policy_decl import (
    NO_REVOCATION,
    AcceptAllAlgorithms,
    CertRevTrustPolicy,
)
from pyhanko_certvalidator.registry import CertificateRegistry, SimpleTrustManager
from pyhanko_certvalidator.validate import async_validate_path

from services.identity.validation.crl import issuer_name
from services.identity.validation.interface import (
    CertificateStatus,
    Chain,
    Issuer,
    Link,
    Refused,
)
from services.identity.validation.path_engine import (
    PolicyInputs,
    SignatureCache,
    count_constraints,
    decode_whole,
    issuer_of,
    read_anchor,
    run_at_once,
)
from services.identity.validation.trust_store import TrustStore
from services.identity.x509 import revocation_urls
from services.identity.x509.asn1_names import decode
from services.identity.x509.inspection import (
    NotACertificate,
    check_names,
    extension,
    is_authority,
    load,
    usage_of,
)
from services.identity.x509.limits import NAME_LIMIT_BYTES
from services.identity.x509.signed_data import read_signed
from services.identity.x509.unforeseen import log_unforeseen
from services.identity.x509.usages import CertificateUsage

# Cross-signed authorities have several paths, of which the valid one may be the last; each costs a
# millisecond.
PATHS_LIMIT = 64
# Issuers whose paths are cached: callers choose their names.
ISSUERS_KEPT = 10_000
# Longer than any hierarchy in use, not counting the anchor.
PATH_LENGTH_LIMIT = 8
# Certificates that one search visits: authorities that certify each other have factorially many
# paths.
STEPS_LIMIT = 1_000
# Certificates of one name in the trust folder that are tried as a list's signer.
SIGNERS_LIMIT = 8
# Name constraints of a path, and how often they are compared with names on all paths of one
# certificate: two microseconds each.
CONSTRAINTS_LIMIT = 1_000
COMPARISONS_LIMIT = 50_000

NO_POLICIES = PolicyInputs()

_TOO_MANY_CONSTRAINTS = Refused(CertificateStatus.UNTRUSTED, "too many name constraints")

_T = TypeVar("_T")
# An authority's name and its key, as they stand in its certificate.
_Entity = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class _IssuerPath:
    """A path from an anchor down to an issuer, and what all chains along it have in common."""

    anchor: CertTrustAnchor
    authorities: tuple[Any, ...]
    # The authorities', the issuer's first.
    links: tuple[Link, ...]
    issuer: Issuer
    valid_from: datetime
    valid_until: datetime
    # Name constraints of its authorities, the anchor included.
    constraints: int
    # SHA-256 of the anchor's DER.
    fingerprint: bytes


class PathFinder:
    """Finds and validates paths for one state of the trust store. One thread at a time."""

    def __init__(self, store: TrustStore, policies: PolicyInputs = NO_POLICIES) -> None:
        self._store = store
        self._signatures = SignatureCache()

        def anchor(der: bytes) -> CertTrustAnchor | None:
            found = read_anchor(der, policies)
            if found is not None:
                decode_whole(found.certificate)
            return found

        def intermediate(der: bytes) -> Any:
            return decode_whole(self._signatures.authority(der))

        self._anchors = [each for each in _each(anchor, store.anchors) if each is not None]
        self._intermediates = _each(intermediate, store.intermediates)
        self._trust = SimpleTrustManager.build(trust_roots=self._anchors)
        self._registry = CertificateRegistry.build(self._intermediates)
        self._named = _by_name(self._intermediates)
        # Only certificates by these may be looked up in the two: they keep the name of every issuer
        # that they are asked for, and callers choose names.
        subjects = [
            certificate.subject
            for certificate in (*(each.certificate for each in self._anchors), *self._intermediates)
        ]
        self._subjects = frozenset(name.dump() for name in subjects)
        self._prepared_subjects = frozenset(name.hashable for name in subjects)
        self._operator_trusted = frozenset(
            hashlib.sha256(der).digest() for der in store.intermediates
        )
        self._stampers = frozenset(hashlib.sha256(der).digest() for der in store.stampers)
        # By a hash, so that no key is longer: names and key identifiers are a caller's bytes.
        self._issuer_paths: LRUCache[bytes, tuple[_IssuerPath, ...]] = LRUCache(ISSUERS_KEPT)

    def find(
        self, der: bytes, at: datetime, intermediates: Sequence[bytes] = ()
    ) -> Chain | Refused:
        """Return the path that is valid at a time, or why there is none.

        intermediates: issuers that came with the certificate, each below the next.
        """
        try:
            certificate = load(der)
            leaf = decode(der)
            check_names(certificate, leaf)
            paths = self._find_issuer_paths(leaf, intermediates)
            names = 1 + len(leaf.subject_alt_name_value or ()) if paths else 0
        except NotACertificate as error:
            return Refused.because(CertificateStatus.MALFORMED, error)
        except Exception as error:
            return _unforeseen(der, error)
        if der in self._store.anchors:
            return Refused(CertificateStatus.UNTRUSTED, "a trust anchor itself")
        refused = Refused(CertificateStatus.UNTRUSTED, "no trusted issuer")
        comparisons = 0
        for path in paths:
            more = path.constraints * (names + len(path.authorities))
            if path.constraints > CONSTRAINTS_LIMIT or comparisons + more > COMPARISONS_LIMIT:
                found: Chain | Refused = _TOO_MANY_CONSTRAINTS
            else:
                comparisons += more
                found = self._validate(path, leaf, certificate, at)
            if isinstance(found, Chain):
                return found
            if refused.status is CertificateStatus.UNTRUSTED:
                refused = found
        return refused

    def find_list_signers(self, crl: bytes, at: datetime) -> list[tuple[Issuer, Chain]]:
        """Return the certificates of the trust folder that may have signed a list (DER), by the
        issuer's name in it: each one's name and key, and its path."""
        try:
            name = asn1.Name.load(issuer_name(read_signed(crl).content))
            if _has_long_name(name):
                return []
            certificates = self._named.get(name.hashable, ())
        except Exception as error:  # whatever a parser makes of foreign bytes
            log_unforeseen("a revocation list", crl, error)
            return []
        found = []
        for certificate in certificates[:SIGNERS_LIMIT]:
            issuer = issuer_of(certificate)
            chain = self.find(certificate.dump(), at) if issuer.signs_crls else None
            if isinstance(chain, Chain):
                leaf = replace(chain.links[0], operator_trusted=True)
                found.append((issuer, replace(chain, links=(leaf, *chain.links[1:]))))
        return found

    def _find_issuer_paths(
        self, leaf: Any, intermediates: Sequence[bytes]
    ) -> tuple[_IssuerPath, ...]:
        if _has_long_name(leaf.issuer):
            return ()
        if intermediates:
            # One for each name: many of one name would make the search factorial.
            others: dict[bytes, Any] = {}
            for der in intermediates[:PATH_LENGTH_LIMIT]:
                load(der)
                issuer = decode(der)
                if _has_long_name(issuer.subject) or _has_long_name(issuer.issuer):
                    continue
                others.setdefault(issuer.subject.dump(), issuer)
            trust = SimpleTrustManager.build(trust_roots=self._anchors)
            return self._search(leaf, trust, _by_name([*self._intermediates, *others.values()]))
        if not self._is_known(leaf.issuer):
            return ()
        # The key identifier tells several keys of one authority apart.
        named = leaf.issuer.dump() + (leaf.authority_key_identifier or b"")
        key = hashlib.sha256(named).digest()
        paths = self._issuer_paths.get(key)
        if paths is None:
            paths = self._search(_probe_certificate(leaf), self._trust, self._named)
            if not leaf.authority_issuer_serial:
                self._issuer_paths[key] = paths
        return paths

    def _is_known(self, name: Any) -> bool:
        """Return whether an anchor or an intermediate has the name. Equal bytes are the usual case,
        and the cheap one (asn1_names.py)."""
        return name.dump() in self._subjects or name.hashable in self._prepared_subjects

    def _search(
        self, leaf: Any, trust: SimpleTrustManager, named: Mapping[str, Sequence[Any]]
    ) -> tuple[_IssuerPath, ...]:
        """Return paths to the leaf's issuer, PATHS_LIMIT at most (RFC 4158), those with the fewest
        name constraints first, and of these the short ones.

        named: the authorities between, by their names as they are compared.

        No name with the same key stands twice in a path. The search is breadth first: among
        authorities that certify each other, a path of two is found before the steps are used up on
        those of eight. The engine's own search compares serial numbers instead, never ends among
        such authorities, and passes over one that has an anchor's name and key.
        """
        paths: list[_IssuerPath] = []

        def add_anchored(certificate: Any, authorities: tuple[Any, ...]) -> None:
            for anchor in trust.find_potential_issuers(certificate):
                if isinstance(anchor, CertTrustAnchor) and len(paths) < PATHS_LIMIT:
                    paths.append(self._issuer_path(anchor, authorities))

        add_anchored(leaf, ())
        nothing: tuple[tuple[Any, ...], frozenset[_Entity]] = ((), frozenset())
        queue = deque([(leaf, *nothing)])
        steps = 0
        while queue:
            certificate, authorities, seen = queue.popleft()
            for issuer in named.get(certificate.issuer.hashable, ()):
                steps += 1
                if steps > STEPS_LIMIT or len(paths) == PATHS_LIMIT:
                    return _cheapest_first(paths)
                entity = (issuer.subject.dump(), issuer.public_key.dump())
                # The leaf counts too.
                is_too_long = len(authorities) + 1 >= PATH_LENGTH_LIMIT
                if entity in seen or is_too_long or not _may_issue(issuer, certificate):
                    continue
                add_anchored(issuer, (issuer, *authorities))
                queue.append((issuer, (issuer, *authorities), seen | {entity}))
        return _cheapest_first(paths)

    def _validate(
        self, path: _IssuerPath, leaf: Any, certificate: x509.Certificate, at: datetime
    ) -> Chain | Refused:
        context = ValidationContext(
            trust_manager=self._trust,
            certificate_registry=self._registry,
            moment=at.replace(microsecond=0),
            # Whole seconds are compared: a certificate is valid until its last one is over.
            time_tolerance=timedelta(0),
            revinfo_policy=CertRevTrustPolicy(NO_REVOCATION),
            signature_validator=self._signatures,
            # verify_x509_signature knows no weak algorithm.
            algorithm_usage_policy=AcceptAllAlgorithms(),
        )
        try:
            engine_path = ValidationPath(path.anchor, list(path.authorities), leaf)
            run_at_once(async_validate_path(context, engine_path))
            return _chain(path, certificate, self._stampers)
        except (ExpiredError, NotYetValidError) as error:
            return Refused.because(_date_status(error), error.failure_msg)
        except ValidationError as error:
            return Refused.because(CertificateStatus.UNTRUSTED, error.failure_msg)
        except NotImplementedError as error:
            # A constraint on a form of names that the engine does not compare (RFC 5280, section
            # 4.2.1.10: process it or reject the certificate).
            return Refused.because(CertificateStatus.UNTRUSTED, error)
        except Exception as error:
            # The lenient decoder finds some faults only when it reads the field.
            return _unforeseen(certificate.public_bytes(Encoding.DER), error)

    def _issuer_path(self, anchor: CertTrustAnchor, authorities: tuple[Any, ...]) -> _IssuerPath:
        issuer = anchor.certificate
        first, last = issuer.not_valid_before, issuer.not_valid_after
        fingerprint_of_anchor = hashlib.sha256(issuer.dump()).digest()
        links = []
        for authority in authorities:
            der = authority.dump()
            fingerprint = hashlib.sha256(der).digest()
            operator_trusted = fingerprint in self._operator_trusted
            links.append(
                _link(
                    load(der),
                    fingerprint,
                    issuer_of(issuer),
                    fingerprint_of_anchor,
                    operator_trusted=operator_trusted,
                )
            )
            first = max(first, authority.not_valid_before)
            last = min(last, authority.not_valid_after)
            issuer = authority
        return _IssuerPath(
            anchor,
            authorities,
            tuple(reversed(links)),
            issuer_of(issuer),
            first.astimezone(UTC),
            last.astimezone(UTC),
            sum(count_constraints(each) for each in (anchor.certificate, *authorities)),
            fingerprint_of_anchor,
        )


def _each(read: Callable[[bytes], _T], ders: Iterable[bytes]) -> list[_T]:
    """Read the trust folder's certificates; one that cannot be used is left out, and logged."""
    found = []
    for der in ders:
        try:
            found.append(read(der))
        except Exception as error:
            log_unforeseen("a certificate of the trust folder", der, error)
    return found


def _by_name(authorities: Iterable[Any]) -> Mapping[str, Sequence[Any]]:
    found: dict[str, list[Any]] = {}
    for authority in authorities:
        found.setdefault(authority.subject.hashable, []).append(authority)
    return found


def _cheapest_first(paths: Sequence[_IssuerPath]) -> tuple[_IssuerPath, ...]:
    return tuple(sorted(paths, key=lambda path: path.constraints))


def _may_issue(authority: Any, certificate: Any) -> bool:
    """Return whether the certificate's authorityKeyIdentifier lets this authority be its issuer."""
    key, serial = certificate.authority_key_identifier, certificate.authority_issuer_serial
    if key and authority.key_identifier and key != authority.key_identifier:
        return False
    return not serial or bool(serial == authority.issuer_serial)


def _unforeseen(der: bytes, error: Exception) -> Refused:
    """Return the refusal of a certificate that a library failed over, whatever it raised: the
    failure is this certificate's alone."""
    log_unforeseen("a certificate", der, error)
    return Refused.because(
        CertificateStatus.MALFORMED, f"cannot be decoded: {type(error).__name__}"
    )


def _has_long_name(name: Any) -> bool:
    return len(name.dump()) > NAME_LIMIT_BYTES


def _date_status(error: ExpiredError | NotYetValidError) -> CertificateStatus:
    """Return UNTRUSTED if the dates of an authority are the fault, not the certificate's own."""
    if not error.is_ee_cert:
        return CertificateStatus.UNTRUSTED
    if isinstance(error, ExpiredError):
        return CertificateStatus.EXPIRED
    return CertificateStatus.NOT_YET_VALID


def _probe_certificate(leaf: Any) -> Any:
    """Return a certificate of the same issuer with an empty subject and the serial number 0.

    The engine excludes paths by the certificate's own properties: one with an anchor's name and
    key, or with an authority's serial number, has fewer paths than others of its issuer. The paths
    that are cached for the issuer must not depend on the certificate that came first, which anybody
    can forge.
    """
    probe = asn1.Certificate.load(leaf.dump(), strict=True)
    inner = probe["tbs_certificate"]
    inner["serial_number"] = 0
    inner["subject"] = asn1.Name.build({})
    return probe


def _chain(path: _IssuerPath, certificate: x509.Certificate, stampers: frozenset[bytes]) -> Chain:
    """stampers: fingerprints of the certificates that an operator lets stamp the time."""
    fingerprint = certificate.fingerprint(hashes.SHA256())
    return Chain(
        (
            _link(
                certificate,
                fingerprint,
                path.issuer,
                path.fingerprint,
                operator_trusted=fingerprint in stampers,
            ),
            *path.links,
        ),
        max(path.valid_from, certificate.not_valid_before_utc),
        min(path.valid_until, certificate.not_valid_after_utc),
        signs=usage_of(certificate) is CertificateUsage.SIGN,
    )


def _link(
    certificate: x509.Certificate,
    fingerprint: bytes,
    issuer: Issuer,
    anchor: bytes,
    *,
    operator_trusted: bool,
) -> Link:
    return Link(
        anchor=anchor,
        fingerprint=fingerprint,
        serial_number=certificate.serial_number,
        issuer=issuer,
        not_after=certificate.not_valid_after_utc,
        authority=is_authority(certificate),
        ocsp_urls=revocation_urls.ocsp_urls(certificate),
        points=revocation_urls.distribution_points(certificate),
        delta_urls=revocation_urls.delta_urls(certificate),
        operator_trusted=operator_trusted,
        ocsp_nocheck=extension(certificate, x509.OCSPNoCheck) is not None,
    )
