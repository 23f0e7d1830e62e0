"""pyhanko-certvalidator's objects, made from ours: anchors, issuers, and its check of signatures.

The engine takes asn1crypto's certificates, which are decoded when they are read: by one thread at a
time.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from asn1crypto import x509 as asn1
from cryptography.exceptions import InvalidSignature
from pyhanko_certvalidator.authority import CertTrustAnchor, TrustQualifiers
from pyhanko_certvalidator.name_trees import (
    default_excluded_subtrees,
    default_permitted_subtrees,
    process_general_subtrees,
)
from pyhanko_certvalidator.policy_decl import PKIXValidationParams
from pyhanko_certvalidator.sig_validate import SignatureValidator

from services.identity.validation.interface import Issuer
from services.identity.x509.asn1_names import decode
from services.identity.x509.inspection import load
from services.identity.x509.limits import CERTIFICATE_LIMIT_BYTES
from signatures.keys import MalformedKey, UnsupportedKey
from signatures.x509 import verify_x509_signature

# What a constraint takes at most if it is to count as one.
CONSTRAINT_BYTES = 32
ANY_POLICY = frozenset({"any_policy"})
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class PolicyInputs:
    """What an operator requires of a path's policies (RFC 5280, section 6.1.1, c to g)."""

    # Dotted OIDs of which a path must have one; if empty, any policy will do.
    policies: frozenset[str] = frozenset()
    # A path must have a policy even if its certificates do not require one.
    explicit: bool = False
    # Policy mappings do not count.
    inhibit_mapping: bool = False
    # anyPolicy stands for no other policy.
    inhibit_any: bool = False

    @classmethod
    def requiring(
        cls, policies: frozenset[str], *, inhibit_mapping: bool, inhibit_any: bool
    ) -> PolicyInputs:
        """Require one of the policies, if there are any."""
        return cls(policies, bool(policies), inhibit_mapping, inhibit_any)


class SignatureCache(SignatureValidator):
    """Verifies signatures for the engine with our library; caches those of the trust store's own
    intermediates, which bounds it."""

    def __init__(self) -> None:
        self._authorities: dict[bytes, Any] = {}
        self._own: set[bytes] = set()
        self._valid: set[tuple[bytes, bytes, bytes]] = set()

    def authority(self, der: bytes) -> Any:
        """Decode an intermediate of the trust store once; its valid signature will be cached."""
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
        _context: object = None,
    ) -> None:
        """Raise InvalidSignature unless the key made the signature and is supported."""
        spki = public_key_info.dump()
        key = (spki, signature, signed_data)
        if key in self._valid:
            return
        parameters = signature_algorithm["parameters"].dump() or None
        try:
            is_valid = verify_x509_signature(
                spki, signature_algorithm["algorithm"].dotted, parameters, signed_data, signature
            )
        except (MalformedKey, UnsupportedKey) as error:
            raise InvalidSignature(str(error)) from None
        if not is_valid:
            raise InvalidSignature
        if signed_data in self._own:
            self._valid.add(key)


def read_anchor(der: bytes, policies: PolicyInputs) -> CertTrustAnchor | None:
    """Return the anchor with the limits of its certificate: dates, path length, names (RFC 5937);
    None if the certificate is marked as not an authority's.

    Its policies do not restrict: NCA's root names one that no certificate below it does.
    """
    certificate = decode(der)
    if not certificate.ca and certificate["tbs_certificate"]["version"].native != "v1":
        return None
    permitted, excluded = _name_limits(certificate)
    parameters = PKIXValidationParams(
        user_initial_policy_set=policies.policies or ANY_POLICY,
        initial_explicit_policy=policies.explicit,
        initial_policy_mapping_inhibit=policies.inhibit_mapping,
        initial_any_policy_inhibit=policies.inhibit_any,
        initial_permitted_subtrees=permitted,
        initial_excluded_subtrees=excluded,
    )
    return CertTrustAnchor(
        certificate,
        TrustQualifiers(
            standard_parameters=parameters,
            max_path_length=certificate.max_path_length,
            # Attribute certificates are not validated; the engine counts down both or neither.
            max_aa_path_length=certificate.max_path_length,
            valid_from=certificate.not_valid_before,
            valid_until=certificate.not_valid_after,
        ),
    )


def _name_limits(authority: Any) -> tuple[Any, Any]:
    """Return the engine's permitted and excluded subtrees of names.

    A form of names that is not named is not restricted (RFC 5280, section 4.2.1.10): the engine
    wants that said.
    """
    permitted, excluded = default_permitted_subtrees(), default_excluded_subtrees()
    constraints = authority.name_constraints_value
    if constraints is not None:
        if isinstance(constraints["permitted_subtrees"], asn1.GeneralSubtrees):
            permitted |= process_general_subtrees(constraints["permitted_subtrees"])
        if isinstance(constraints["excluded_subtrees"], asn1.GeneralSubtrees):
            excluded |= process_general_subtrees(constraints["excluded_subtrees"])
    return permitted, excluded


def check_usable(der: bytes) -> None:
    """Raise an exception, of whatever kind, for a certificate that no path can be built with."""
    certificate = decode_whole(decode(der))
    if certificate.name_constraints_value is not None:
        _name_limits(certificate)


def decode_whole(certificate: Any) -> Any:
    """Return the certificate once all that a search reads of an authority is decoded, which else
    would fail in the midst of one. Raises ValueError for a larger one than any in use, and whatever
    the lenient decoder does."""
    if len(certificate.dump()) > CERTIFICATE_LIMIT_BYTES:
        raise ValueError("too large")
    load(certificate.dump())
    for name in (certificate.subject, certificate.issuer):
        name.hashable  # noqa: B018
    certificate.issuer_serial, certificate.key_identifier  # noqa: B018
    certificate.authority_key_identifier, certificate.authority_issuer_serial  # noqa: B018
    certificate.public_key.sha256, certificate.key_usage_value  # noqa: B018
    certificate.max_path_length, certificate.ca  # noqa: B018
    count_constraints(certificate)
    return certificate


def count_constraints(authority: Any) -> int:
    """Return how many subtrees the authority's name constraints have; long names count as several,
    since each is prepared for comparison."""
    value = authority.name_constraints_value
    if value is None:
        return 0
    subtrees = (value["permitted_subtrees"], value["excluded_subtrees"])
    count = sum(len(each) for each in subtrees if isinstance(each, asn1.GeneralSubtrees))
    return max(count, len(value.dump()) // CONSTRAINT_BYTES)


def issuer_of(certificate: Any) -> Issuer:
    """Return the authority as the certificates that it issued see it."""
    usage = certificate.key_usage_value
    return Issuer(
        name=certificate.subject.dump(),
        spki=certificate.public_key.dump(),
        signs_crls=usage is None or "crl_sign" in usage.native,
    )


def run_at_once(work: Coroutine[Any, Any, _T]) -> _T:
    """Return the result of the engine's coroutine, which never waits: it fetches nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        result: _T = done.value
        return result
    work.close()
    raise RuntimeError("the engine waits for something")
