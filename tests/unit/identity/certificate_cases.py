"""Chains that are valid but for one thing, and their statuses; the docs' table is made of them.

The form is x509-limbo's: anchors, intermediates, a leaf, a time, an outcome. Expected are the
outcomes of RFC 5280, section 6, and of this platform's rules for documents.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.unit.identity.chains import (
    AUTHORITY,
    NOW,
    ROOT,
    SIGNING,
    GostKey,
    Made,
    Profile,
    key_usage,
    make,
    name_of,
)

LEAF = Profile()
SECOND = timedelta(seconds=1)
PRIVATE_EXTENSION = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.398.99.1"), b"\x05\0")
POLICY, OTHER_POLICY = "1.2.398.3.3.2.3", "1.2.398.3.3.2.9"


@dataclass(frozen=True, slots=True)
class Chain:
    """What is trusted, what is presented, and when."""

    leaf: bytes
    anchors: tuple[bytes, ...]
    intermediates: tuple[bytes, ...] = ()
    at: datetime = NOW
    policies: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Case:
    """A chain, what is special in it, and the status that it gets (revocation aside)."""

    title: str
    status: str
    build: Callable[[], Chain]

    @property
    def id(self) -> str:
        return self.title.replace(" ", "-")


def usual(
    leaf: Profile = LEAF,
    *,
    root: Profile = ROOT,
    authority: Profile = AUTHORITY,
    at: datetime = NOW,
    policies: frozenset[str] = frozenset(),
    root_key: object = None,
    authority_key: object = None,
    leaf_key: object = None,
) -> Chain:
    """Root, issuing authority, leaf."""
    top = make(root, key=root_key)
    middle = make(authority, top, key=authority_key)
    end = make(leaf, middle, key=leaf_key)
    return Chain(end.der, (top.der,), (middle.der,), at, policies)


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def names(*, permitted: str = "", excluded: str = "") -> x509.NameConstraints:
    """Constraints on the names of a directory, by the country's organization."""

    def subtree(name: str) -> list[x509.GeneralName] | None:
        return [x509.DirectoryName(x509.Name(_organization(name)))] if name else None

    return x509.NameConstraints(subtree(permitted), subtree(excluded))


def _organization(name: str) -> list[x509.NameAttribute[str]]:
    return [
        x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "KZ"),
        x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, name),
    ]


def of(organization: str) -> Profile:
    """A leaf within an organization's names."""
    name = x509.Name(
        [*_organization(organization), x509.NameAttribute(x509.NameOID.COMMON_NAME, "Leaf")]
    )
    return replace(LEAF, name=name)


def constrained(authority: x509.NameConstraints, leaf: Profile) -> Chain:
    # The root bears the constraint's organization itself, or its own issuing authority breaks it.
    return usual(leaf, authority=replace(AUTHORITY, extensions=[(authority, True)]))


def alternative(*names_: x509.GeneralName) -> Profile:
    return replace(LEAF, extensions=[(x509.SubjectAlternativeName(names_), False)])


UPN = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")


def no_upn() -> x509.NameConstraints:
    """A constraint on a form of names that is not compared."""
    return x509.NameConstraints(None, [x509.OtherName(UPN, b"\x0c\x01a")])


def anchor_names(constraints: x509.NameConstraints) -> Profile:
    return replace(ROOT, extensions=[(constraints, True)])


def _below_anchor_of(limit: int) -> Chain:
    """One authority below an anchor that allows so many."""
    return usual(root=replace(ROOT, path_length=limit))


def _path_of(length: int, limit: int | None) -> Chain:
    """A root that allows `limit` authorities below the first, and `length` of them."""
    root = make(ROOT)
    authorities = [make(replace(AUTHORITY, common_name="CA 0", path_length=limit), root)]
    for index in range(1, length + 1):
        profile = replace(AUTHORITY, common_name=f"CA {index}")
        authorities.append(make(profile, authorities[-1]))
    leaf = make(LEAF, authorities[-1])
    return Chain(leaf.der, (root.der,), tuple(made.der for made in authorities))


def _issued_by_a_leaf() -> Chain:
    root = make(ROOT)
    leaf = make(replace(LEAF, common_name="Holder"), root)
    return Chain(make(LEAF, leaf).der, (root.der,), (leaf.der,))


def _signed_by_another_key() -> Chain:
    root = make(ROOT)
    impostor = Made(b"", make(ROOT).key, root.name)
    return Chain(make(LEAF, impostor).der, (root.der,))


def _self_signed() -> Chain:
    return Chain(make(LEAF).der, (make(ROOT).der,))


def _unknown_issuer() -> Chain:
    stranger = make(replace(ROOT, common_name="Stranger"))
    return Chain(make(LEAF, stranger).der, (make(ROOT).der,))


def _intermediate_only() -> Chain:
    chain = usual()
    return replace(chain, anchors=())


def _cross_signed() -> Chain:
    """Two roots sign one authority; only the second is trusted."""
    first, second = make(replace(ROOT, common_name="A")), make(replace(ROOT, common_name="B"))
    one = make(AUTHORITY, first)
    other = make(AUTHORITY, second, key=one.key)
    return Chain(make(LEAF, one).der, (second.der,), (one.der, other.der))


def _one_way_expired() -> Chain:
    root = make(ROOT)
    old = make(replace(AUTHORITY, not_after=NOW - timedelta(days=1)), root)
    new = make(AUTHORITY, root, key=old.key)
    return Chain(make(LEAF, old).der, (root.der,), (old.der, new.der))


def _loop() -> Chain:
    """Two authorities that certify each other and nobody else does."""
    stub_a, stub_b = make(replace(ROOT, common_name="A")), make(replace(ROOT, common_name="B"))
    a_by_b = make(replace(AUTHORITY, common_name="A"), stub_b, key=stub_a.key)
    b_by_a = make(replace(AUTHORITY, common_name="B"), stub_a, key=stub_b.key)
    return Chain(make(LEAF, a_by_b).der, (make(ROOT).der,), (a_by_b.der, b_by_a.der))


def _trailing_bytes() -> Chain:
    chain = usual()
    return replace(chain, leaf=chain.leaf + b"\0")


def _garbage() -> Chain:
    return replace(usual(), leaf=b"\x30\x03\x02\x01\x01")


def _truncated() -> Chain:
    chain = usual()
    return replace(chain, leaf=chain.leaf[:-20])


def _flipped_bit() -> Chain:
    chain = usual()
    leaf = bytearray(chain.leaf)
    leaf[-5] ^= 1
    return replace(chain, leaf=bytes(leaf))


def _root_itself() -> Chain:
    root = make(ROOT)
    return Chain(root.der, (root.der,))


def _anchor_that_is_no_authority() -> Chain:
    holder = make(LEAF)
    return Chain(make(LEAF, holder).der, (holder.der,))


def _long_path() -> Chain:
    return _path_of(9, None)


GOOD, UNTRUSTED = "GOOD", "UNTRUSTED"
MALFORMED, WRONG_USAGE = "MALFORMED", "WRONG_USAGE"
EXPIRED, NOT_YET_VALID = "EXPIRED", "NOT_YET_VALID"
AFTER = LEAF.not_after
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


def authority_usage(*usages: str) -> Profile:
    return replace(AUTHORITY, usage=key_usage(*usages))


CASES = [
    # Algorithms of issuers
    Case("P-256 throughout", GOOD, usual),
    Case(
        "P-384 issuer, SHA-256",
        GOOD,
        lambda: usual(authority_key=ec.generate_private_key(ec.SECP384R1())),
    ),
    Case(
        "P-521 root",
        GOOD,
        lambda: usual(root_key=ec.generate_private_key(ec.SECP521R1())),
    ),
    Case("RSA-2048 issuer", GOOD, lambda: usual(authority_key=rsa_key())),
    Case("RSA-1024 issuer", UNTRUSTED, lambda: usual(authority_key=rsa_key(1024))),
    Case(
        "Ed25519 issuer",
        GOOD,
        lambda: usual(authority_key=ed25519.Ed25519PrivateKey.generate()),
    ),
    Case(
        "Ed25519 throughout",
        GOOD,
        lambda: usual(
            root_key=ed25519.Ed25519PrivateKey.generate(),
            authority_key=ed25519.Ed25519PrivateKey.generate(),
            leaf_key=ed25519.Ed25519PrivateKey.generate(),
        ),
    ),
    Case("GOST issuer, 512 bits", GOOD, lambda: usual(authority_key=GostKey())),
    Case(
        "GOST throughout, 512 bits",
        GOOD,
        lambda: usual(
            root_key=GostKey(), authority_key=GostKey(secret=2**300 + 7), leaf_key=GostKey(3)
        ),
    ),
    Case("secp256k1 issuer", UNTRUSTED, lambda: usual(authority_key=_k1())),
    # Paths
    Case("no intermediate between", GOOD, lambda: _path_of(0, 0)),
    Case("a path of five authorities", GOOD, lambda: _path_of(4, None)),
    Case("path length allowed", GOOD, lambda: _path_of(2, 2)),
    Case("path length exceeded", UNTRUSTED, lambda: _path_of(2, 1)),
    Case("the anchor's path length allowed", GOOD, lambda: _below_anchor_of(1)),
    Case("the anchor's path length exceeded", UNTRUSTED, lambda: _below_anchor_of(0)),
    Case("a path of ten authorities", UNTRUSTED, _long_path),
    Case("cross-signed, one root trusted", GOOD, _cross_signed),
    Case("two ways, one expired", GOOD, _one_way_expired),
    Case("authorities that certify each other", UNTRUSTED, _loop),
    Case("unknown issuer", UNTRUSTED, _unknown_issuer),
    Case("only the intermediate is at hand", UNTRUSTED, _intermediate_only),
    Case("self-signed leaf", UNTRUSTED, _self_signed),
    Case("the trust anchor itself", UNTRUSTED, _root_itself),
    Case("issuer's name with another key", UNTRUSTED, _signed_by_another_key),
    Case("one bit of the signature flipped", UNTRUSTED, _flipped_bit),
    Case("issued by a holder's certificate", UNTRUSTED, _issued_by_a_leaf),
    Case("an anchor that is no authority", UNTRUSTED, _anchor_that_is_no_authority),
    # Dates
    Case("in its first second", GOOD, lambda: usual(at=LEAF.not_before)),
    Case("one second before", NOT_YET_VALID, lambda: usual(at=LEAF.not_before - SECOND)),
    Case("in its last second", GOOD, lambda: usual(at=AFTER)),
    Case("one second after", EXPIRED, lambda: usual(at=AFTER + SECOND)),
    Case(
        "issuer expired",
        UNTRUSTED,
        lambda: usual(authority=replace(AUTHORITY, not_after=NOW - SECOND)),
    ),
    Case(
        "issuer not yet valid",
        UNTRUSTED,
        lambda: usual(authority=replace(AUTHORITY, not_before=NOW + SECOND)),
    ),
    Case("anchor expired", UNTRUSTED, lambda: usual(root=replace(ROOT, not_after=NOW - SECOND))),
    # Authorities
    Case(
        "issuer without basicConstraints",
        UNTRUSTED,
        lambda: usual(authority=replace(AUTHORITY, basic_constraints=False)),
    ),
    Case(
        "issuer that is no authority",
        UNTRUSTED,
        lambda: usual(authority=replace(AUTHORITY, authority=False)),
    ),
    Case(
        "issuer that may sign no certificates",
        UNTRUSTED,
        lambda: usual(authority=authority_usage("crl_sign", "digital_signature")),
    ),
    Case(
        "issuer without keyUsage",
        GOOD,
        lambda: usual(authority=replace(AUTHORITY, usage=None)),
    ),
    # Names
    Case(
        "within the permitted names",
        GOOD,
        lambda: constrained(names(permitted="Банк"), of("Банк")),
    ),
    Case(
        "outside the permitted names",
        UNTRUSTED,
        lambda: constrained(names(permitted="Банк"), of("Министрлік")),
    ),
    Case(
        "among the excluded names",
        UNTRUSTED,
        lambda: constrained(names(excluded="Банк"), of("Банк")),
    ),
    Case(
        "an e-mail address outside the permitted ones",
        UNTRUSTED,
        lambda: constrained(
            x509.NameConstraints([x509.RFC822Name("good.kz")], None),
            alternative(x509.RFC822Name("a@bad.kz")),
        ),
    ),
    Case(
        "an e-mail address within the permitted ones",
        GOOD,
        lambda: constrained(
            x509.NameConstraints([x509.RFC822Name("good.kz")], None),
            alternative(x509.RFC822Name("a@good.kz")),
        ),
    ),
    Case(
        "an address of the network that is excluded",
        UNTRUSTED,
        lambda: constrained(
            x509.NameConstraints(None, [x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))]),
            alternative(x509.IPAddress(ipaddress.ip_address("10.1.2.3"))),
        ),
    ),
    Case(
        "the anchor's own names broken",
        UNTRUSTED,
        lambda: usual(
            of("Министрлік"), root=replace(ROOT, extensions=[(names(permitted="Банк"), True)])
        ),
    ),
    Case(
        "an anchor that permits a form of names that the leaf has not",
        GOOD,
        lambda: usual(root=anchor_names(x509.NameConstraints([x509.DNSName("good.kz")], None))),
    ),
    Case(
        "an anchor that excludes a form of names that the leaf has not",
        GOOD,
        lambda: usual(root=anchor_names(x509.NameConstraints(None, [x509.DNSName("bad.kz")]))),
    ),
    Case(
        "an e-mail address that the anchor excludes",
        UNTRUSTED,
        lambda: usual(
            alternative(x509.RFC822Name("a@bad.kz")),
            root=anchor_names(x509.NameConstraints(None, [x509.RFC822Name("bad.kz")])),
        ),
    ),
    Case(
        "an issuer that excludes an otherName that the leaf has not",
        GOOD,
        lambda: usual(authority=replace(AUTHORITY, extensions=[(no_upn(), True)])),
    ),
    Case(
        "an anchor that excludes an otherName that the leaf has not",
        GOOD,
        lambda: usual(root=anchor_names(no_upn())),
    ),
    Case(
        "an otherName in the leaf, of a form that the issuer restricts",
        UNTRUSTED,
        lambda: usual(
            alternative(x509.OtherName(UPN, b"\x0c\x01b")),
            authority=replace(AUTHORITY, extensions=[(no_upn(), True)]),
        ),
    ),
    # Policies
    Case(
        "a required policy is there",
        GOOD,
        lambda: usual(
            replace(LEAF, policies=[POLICY]),
            authority=replace(AUTHORITY, policies=[POLICY]),
            policies=frozenset({POLICY}),
        ),
    ),
    Case(
        "anyPolicy in the issuer stands for the required one",
        GOOD,
        lambda: usual(
            replace(LEAF, policies=[POLICY]),
            authority=replace(AUTHORITY, policies=["2.5.29.32.0"]),
            policies=frozenset({POLICY}),
        ),
    ),
    Case(
        "a required policy is missing",
        UNTRUSTED,
        lambda: usual(
            authority=replace(AUTHORITY, policies=[POLICY]), policies=frozenset({POLICY})
        ),
    ),
    Case(
        "another policy than the required one",
        UNTRUSTED,
        lambda: usual(
            replace(LEAF, policies=[OTHER_POLICY]),
            authority=replace(AUTHORITY, policies=[OTHER_POLICY]),
            policies=frozenset({POLICY}),
        ),
    ),
    Case(
        "policies that do not agree, none required",
        GOOD,
        lambda: usual(
            replace(LEAF, policies=[POLICY]),
            authority=replace(AUTHORITY, policies=[OTHER_POLICY]),
        ),
    ),
    Case(
        "policies that do not agree, the issuer requires one",
        UNTRUSTED,
        lambda: usual(
            replace(LEAF, policies=[POLICY]),
            authority=replace(
                AUTHORITY,
                policies=[OTHER_POLICY],
                extensions=[(x509.PolicyConstraints(0, None), True)],
            ),
        ),
    ),
    # Extensions
    Case(
        "unknown critical extension in the leaf",
        UNTRUSTED,
        lambda: usual(replace(LEAF, extensions=[(PRIVATE_EXTENSION, True)])),
    ),
    Case(
        "unknown critical extension in the issuer",
        UNTRUSTED,
        lambda: usual(authority=replace(AUTHORITY, extensions=[(PRIVATE_EXTENSION, True)])),
    ),
    Case(
        "unknown extension that is not critical",
        GOOD,
        lambda: usual(replace(LEAF, extensions=[(PRIVATE_EXTENSION, False)])),
    ),
    # Usage
    Case(
        "an authentication certificate as NCA issues it",
        WRONG_USAGE,
        lambda: usual(
            replace(
                LEAF,
                usage=key_usage("digital_signature", "key_encipherment"),
                purposes=[CLIENT, SIGNING[1]],
            )
        ),
    ),
    Case(
        "nonRepudiation with the purpose of authentication",
        WRONG_USAGE,
        lambda: usual(replace(LEAF, purposes=[*SIGNING, CLIENT])),
    ),
    Case(
        "digitalSignature without nonRepudiation",
        WRONG_USAGE,
        lambda: usual(replace(LEAF, usage=key_usage("digital_signature"))),
    ),
    Case(
        "nonRepudiation alone",
        GOOD,
        lambda: usual(replace(LEAF, usage=key_usage("content_commitment"))),
    ),
    Case("no keyUsage", WRONG_USAGE, lambda: usual(replace(LEAF, usage=None))),
    Case("no extendedKeyUsage", GOOD, lambda: usual(replace(LEAF, purposes=None))),
    Case(
        "a role of NCA's as the only purpose, as its information systems have it",
        GOOD,
        lambda: usual(replace(LEAF, purposes=[SIGNING[1]])),
    ),
    Case(
        "a purpose other than signing",
        WRONG_USAGE,
        lambda: usual(replace(LEAF, purposes=[ExtendedKeyUsageOID.SERVER_AUTH])),
    ),
    Case(
        "the purpose of time-stamping",
        WRONG_USAGE,
        lambda: usual(replace(LEAF, purposes=[ExtendedKeyUsageOID.TIME_STAMPING])),
    ),
    Case(
        "an authority's certificate as a signer",
        WRONG_USAGE,
        lambda: usual(replace(LEAF, authority=True)),
    ),
    # Names that are Kazakhstan's
    Case(
        "a name of more than 64 characters",
        GOOD,
        lambda: usual(replace(LEAF, name=long_name())),
    ),
    Case("a number with a wrong check digit", GOOD, lambda: usual(replace(LEAF, name=numbered()))),
    # Bytes
    Case("trailing bytes", MALFORMED, _trailing_bytes),
    Case("truncated", MALFORMED, _truncated),
    Case("bytes that are not a certificate", MALFORMED, _garbage),
]


def _k1() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256K1())


def long_name() -> x509.Name:
    text = "Қазақстан Республикасының Цифрлық даму министрлігі " * 2
    return x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COMMON_NAME, text.strip(), _validate=False),
            x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "KZ"),
        ]
    )


def numbered() -> x509.Name:
    return x509.Name(
        [
            *name_of("ТЕСТОВ ТЕСТ"),
            x509.NameAttribute(x509.NameOID.SERIAL_NUMBER, "IIN123456789011"),
        ]
    )
