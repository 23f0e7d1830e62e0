"""The beginning of a platform: its authority, its keys, its first operator - made offline.

create_platform writes the folders of all services; import_seed takes the seed
(the platform's organization, the first operator, the services' credentials)
into identity's database, once, when it first starts.
"""

from __future__ import annotations

import contextlib
import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity import store
from services.identity.certificates.rules import StoredCertificate
from services.identity.subjects.iin_bin import check_bin, check_digit, check_iin
from services.identity.subjects.rules import ORGANIZATION, PERSON, Membership, Subject
from services.identity.validation.trust_store import TRUST_FOLDER
from services.identity.x509 import issuing
from services.identity.x509.issuing import Holder, Issuer, Usage
from services.identity.x509.signed_data import issued_by
from services.runtime.access import Role
from services.runtime.clock import Randomness, uuid7
from services.runtime.secret_files import (
    SecretRefused,
    make_private_folder,
    read_secret,
    write_secret,
)
from services.runtime.storage.database import Database

# What calls other services, and so has a credential of its own.
CALLING_SERVICES = ("signing", "registry")
# The time-stamping authority's certificate and key.
STAMPING = "time-stamping"
SEED = "seed.json"
SEEDED = "seeded"


def create_platform(
    data: Path,
    *,
    platform_name: str,
    operator_iin: str,
    operator_name: str,
    now: datetime,
    randomness: Randomness,
) -> None:
    """Writes keys, certificates and the seed below data: files 0600, folders 0700.

    operator_iin may be empty: then a well-formed one is made up. operator_name is "family given
    [patronymic]". Raises InvalidNumber for a malformed IIN.
    """
    iin = operator_iin or made_up_iin(randomness)
    check_iin(iin)
    family, given, patronymic = ([*operator_name.split(maxsplit=2), "", "", ""])[:3]
    bin_ = made_up_bin(now, randomness)
    folders = {
        name: make_private_folder(data / name)
        for name in ("identity", "signing", "registry", "credentials")
    }
    root, issuer = issuing.create_authority(platform_name, now, randomness)
    identity = folders["identity"]
    for name, made in (("root", root), ("authority", issuer)):
        write_secret(identity / f"{name}.pem", made.certificate.public_bytes(Encoding.PEM))
        write_secret(identity / f"{name}.key", _key_pem(made.key))
    make_stamper(identity, issuer, now=now, randomness=randomness)
    make_private_folder(identity / "token-keys")
    make_private_folder(identity / TRUST_FOLDER)
    kid = f"{now:%Y%m%dT%H%M%S}-{randomness(4).hex()}"
    write_secret(
        identity / "token-keys" / f"{kid}.pem", _key_pem(ed25519.Ed25519PrivateKey.generate())
    )
    write_secret(identity / "challenge.key", randomness(32))
    for folder, name in (("signing", "key-encryption.key"), ("registry", "content.key")):
        line = f"{uuid7(now, randomness)} {b64encode(randomness(32)).decode()}\n"
        write_secret(folders[folder] / name, line.encode())
    write_secret(folders["registry"] / "log.key", _key_pem(ed25519.Ed25519PrivateKey.generate()))

    chain = issuer.certificate.public_bytes(Encoding.PEM)

    def credential(holder: Holder, path: Path) -> x509.Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = issuer.issue(
            holder=holder,
            key=key.public_key(),
            usage=Usage.AUTHENTICATE,
            now=now,
            randomness=randomness,
        )
        write_secret(path, certificate.public_bytes(Encoding.PEM) + chain + _key_pem(key))
        return certificate

    services = {
        name: credential(
            Holder(common_name=f"qagazsyz-{name}", organization_name=platform_name, bin=bin_),
            folders[name] / "credential.pem",
        )
        for name in CALLING_SERVICES
    }
    operator = credential(
        Holder(
            common_name=f"{family} {given}".strip(),
            surname=family,
            patronymic=patronymic,
            iin=iin,
        ),
        folders["credentials"] / "operator.pem",
    )
    seed = {
        "create_time": now.isoformat(),
        "platform": {
            "name": f"subjects/{uuid7(now, randomness)}",
            "bin": bin_,
            "display_name": platform_name,
        },
        "operator": {
            "name": f"subjects/{uuid7(now, randomness)}",
            "iin": iin,
            "family_name": family,
            "given_name": given or family,
            "patronymic": patronymic,
            "certificate": _certificate_text(operator),
        },
        "services": {name: _certificate_text(made) for name, made in services.items()},
    }
    write_secret(identity / SEED, json.dumps(seed, ensure_ascii=False, indent=1).encode())


async def import_seed(database: Database, seed: Mapping[str, Any]) -> None:
    """Takes the seed into the database, unless that was done before."""

    async def work(connection: AsyncConnection) -> None:
        if await store.get_fact(connection, SEEDED) is not None:
            return
        now = datetime.fromisoformat(seed["create_time"])
        platform, operator = seed["platform"], seed["operator"]
        await store.add_subject(
            connection,
            Subject(
                name=platform["name"],
                kind=ORGANIZATION,
                number=platform["bin"],
                display_name=platform["display_name"],
                create_time=now,
                update_time=now,
            ),
        )
        await store.add_subject(
            connection,
            Subject(
                name=operator["name"],
                kind=PERSON,
                number=operator["iin"],
                family_name=operator["family_name"],
                given_name=operator["given_name"],
                patronymic=operator["patronymic"],
                create_time=now,
                update_time=now,
            ),
        )
        await store.add_membership(
            connection,
            Membership(platform["name"], operator["name"], int(Role.ROLE_OPERATOR), now),
        )
        certificates = [(operator["name"], "", operator["certificate"])]
        certificates += [("", name, text) for name, text in seed["services"].items()]
        for subject, service, text in certificates:
            certificate = x509.load_pem_x509_certificate(text.encode())
            await store.add_certificate(
                connection,
                stored(
                    certificate,
                    subject=subject,
                    usage=Usage.AUTHENTICATE,
                    own=True,
                    service=service,
                    now=now,
                ),
            )
        await store.set_fact(connection, store.PLATFORM, platform["name"])
        await store.set_fact(connection, SEEDED, now.isoformat())

    try:
        await database.run(work)
    except store.Taken:
        # Another replica started at the same moment and was first.
        await database.run(work)


def make_stamper(folder: Path, issuer: Issuer, *, now: datetime, randomness: Randomness) -> None:
    """Writes a new key and certificate of the time-stamping authority, in place of any."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issuer.issue_stamper(key.public_key(), now=now, randomness=randomness)
    for suffix, content in (
        ("pem", certificate.public_bytes(Encoding.PEM)),
        ("key", _key_pem(key)),
    ):
        path = folder / f"{STAMPING}.{suffix}"
        path.unlink(missing_ok=True)
        write_secret(path, content)


def load_stamper(folder: Path, issuer: Issuer, *, now: datetime, randomness: Randomness) -> Issuer:
    """The time-stamping authority's certificate and key, made now where there are none: a folder
    of an earlier version has none, and an operator takes them away to have them renewed.

    Raises SecretRefused where they are not of this issuer, and as load_issuer does.
    """
    if not all((folder / f"{STAMPING}.{suffix}").exists() for suffix in ("pem", "key")):
        make_stamper(folder, issuer, now=now, randomness=randomness)
    stamper = load_issuer(folder, STAMPING)
    der, of = (
        certificate.public_bytes(Encoding.DER)
        for certificate in (stamper.certificate, issuer.certificate)
    )
    if not issued_by(der, of):
        raise SecretRefused(f"{STAMPING}.pem is not of this authority: take it and its key away")
    return stamper


async def register_stamper(
    database: Database, certificate: x509.Certificate, now: datetime
) -> None:
    """Makes the certificate one of the platform's organization, where its operators find and
    revoke it, unless that was done before. Earlier ones stay: tokens of their time are judged by
    them."""

    async def work(connection: AsyncConnection) -> None:
        platform = await store.get_fact(connection, store.PLATFORM) or ""
        kept = stored(certificate, subject=platform, usage=Usage.STAMP_TIME, own=True, now=now)
        with contextlib.suppress(store.Taken):
            await store.add_certificate(connection, kept)

    await database.run(work)


def stored(
    certificate: x509.Certificate,
    *,
    subject: str,
    usage: Usage,
    own: bool,
    now: datetime,
    organization: str = "",
    service: str = "",
) -> StoredCertificate:
    """A certificate as the database keeps it."""
    return StoredCertificate(
        fingerprint=issuing.fingerprint(certificate),
        subject=subject,
        der=certificate.public_bytes(Encoding.DER),
        serial_number=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        usage=int(usage),
        own=own,
        organization=organization,
        service=service,
        create_time=now,
    )


def load_issuer(folder: Path, name: str) -> Issuer:
    """Load an authority's certificate and key from its folder. Raises SecretRefused."""
    path = folder / f"{name}.key"
    try:
        key = load_pem_private_key(read_secret(path), password=None)
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
    except (OSError, ValueError, TypeError):
        raise SecretRefused(f"{path} and its certificate are not a key and a certificate") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SecretRefused(f"{path} is not an elliptic-curve key")
    return Issuer(certificate, key)


def made_up_iin(randomness: Randomness) -> str:
    """A well-formed IIN of somebody born on the first of January 1990."""
    return _with_check_digit("9001013", randomness)


def made_up_bin(now: datetime, randomness: Randomness) -> str:
    """A well-formed BIN of a resident legal entity's head office, registered this month."""
    number = _with_check_digit(f"{now:%y%m}40", randomness)
    check_bin(number)
    return number


def _with_check_digit(prefix: str, randomness: Randomness) -> str:
    while True:
        free = 11 - len(prefix)
        serial = int.from_bytes(randomness(4), "big") % 10**free
        first = f"{prefix}{serial:0{free}d}"
        digit = check_digit(first)
        if digit is not None:
            return f"{first}{digit}"


def _certificate_text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
