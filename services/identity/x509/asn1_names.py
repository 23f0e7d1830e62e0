"""Certificates decoded for the path validation engine, with names that compare cheaply, and with
their signed bytes as they came.

RFC 5280, section 7.1, compares names after preparing each by stringprep, which takes a third of
the time of validating a path. Names of equal encoding are equal; only others are prepared and
compared. Issuers copy their own name into what they issue, so others hardly occur.
"""

from __future__ import annotations

from typing import Any, ClassVar

from asn1crypto import x509 as asn1

from services.identity.x509.limits import NAME_LIMIT_BYTES

# Forms of GeneralName that are SEQUENCEs of others.
_COMPLEX = frozenset({"other_name", "x400_address", "edi_party_name"})


class _Name(asn1.Name):  # type: ignore[misc]  # asn1crypto has no types
    def __eq__(self, other: object) -> bool:
        if isinstance(other, asn1.Name) and self.contents == other.contents:
            return True
        return bool(super().__eq__(other))

    def __ne__(self, other: object) -> bool:
        return not self == other


class _TbsCertificate(asn1.TbsCertificate):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        (name, _Name if kind is asn1.Name else kind, *rest)
        for name, kind, *rest in asn1.TbsCertificate._fields
    ]
    # Set by decode.
    signed: bytes | None = None

    def dump(self, force: bool = False) -> bytes:
        """Return the bytes as they came, which the signature is over: asn1crypto encodes anew what
        it has decoded, and other than DER it changes (PKITS, 4.3.6)."""
        if self.signed is not None and not force:
            return self.signed
        encoded: bytes = super().dump(force)
        return encoded


def _hashable(form: type[Any]) -> type[Any]:
    """Return the ASN.1 type whose native value is its DER: the engine keeps constraints in sets,
    and these forms' values are dicts."""

    class Hashable(form):  # type: ignore[misc]
        @property
        def native(self) -> str:
            return str(self.dump().hex())

    return Hashable


class _GeneralName(asn1.GeneralName):  # type: ignore[misc]
    _alternatives: ClassVar[list[Any]] = [
        (name, _hashable(form) if name in _COMPLEX else form, how)
        for name, form, how in asn1.GeneralName._alternatives
    ]


class _GeneralSubtree(asn1.GeneralSubtree):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [("base", _GeneralName), *asn1.GeneralSubtree._fields[1:]]


class _GeneralSubtrees(asn1.GeneralSubtrees):  # type: ignore[misc]
    _child_spec = _GeneralSubtree


class _NameConstraints(asn1.NameConstraints):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        (name, _GeneralSubtrees, how) for name, _, how in asn1.NameConstraints._fields
    ]


class _Certificate(asn1.Certificate):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        ("tbs_certificate", _TbsCertificate),
        *asn1.Certificate._fields[1:],
    ]

    @property
    def name_constraints_value(self) -> Any:
        value = super().name_constraints_value
        return None if value is None else _NameConstraints.load(value.dump())


def same_name(one: Any, other: Any) -> bool:
    """Return whether two names are equal; False for long ones of different encoding, which would
    take long to prepare."""
    if one.contents == other.contents:
        return True
    longest = max(len(one.contents or b""), len(other.contents or b""))
    return longest <= NAME_LIMIT_BYTES and bool(one == other)


def decode(der: bytes) -> Any:
    """Decode a certificate lazily: its parts are decoded when they are read, and may raise then.

    Raises ValueError if the bytes are not one SEQUENCE with another in it.
    """
    certificate = _Certificate.load(der, strict=True)
    tbs = certificate["tbs_certificate"]
    tbs.signed = tbs.dump()
    return certificate
