"""The one place that makes people, organizations and credentials for tests.

People and organizations differ from all others of the session, so that tests may share a suite.
"""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

from cli.made_up_numbers import made_up_bin
from qagazsyz.credentials import Credential, PrivateKey
from testing.people import Organization, Person, people

_people = people()
_serials = itertools.count(1)
# The demo's organizations were registered in other months.
_REGISTERED = date(2015, 9, 1)


def new_person() -> Person:
    """Make up a person with a number of their own."""
    return next(_people)


def new_organization() -> Organization:
    """Make up an organization with a number of its own."""
    serial = next(_serials)
    return Organization(made_up_bin(_REGISTERED, serial), f"«Ұйым № {serial}» ЖШС")


def self_signed_credential(key: PrivateKey | None = None) -> Credential:
    """Make a credential whose certificate its own key has signed; an Ed25519 key if not given."""
    key = key or ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return Credential(certificate.public_bytes(serialization.Encoding.DER), key)


def with_last_bit_flipped(data: bytes) -> bytes:
    """Spoil random bytes for certain: writing a fixed byte over one changes nothing in one case of
    256."""
    return data[:-1] + bytes([data[-1] ^ 1])
