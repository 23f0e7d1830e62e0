"""A new platform's identity, made offline before its first start: keys, certificates, the seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.identity.authority.key_files import (
    ISSUING,
    ROOT,
    load_authority,
    make_time_stamper,
    write_authority,
)
from services.identity.phones.numbers import make_number_key
from services.identity.seed import SEED
from services.identity.subjects.iin_bin import check_bin, check_iin
from services.identity.tokens.challenges import CHALLENGE_KEY, CHALLENGE_KEY_BYTES
from services.identity.tokens.keys import TOKEN_KEYS_FOLDER, make_token_key
from services.identity.validation.trust_store import TRUST_FOLDER
from services.identity.x509.issuing import (
    CertificateAuthority,
    Holder,
    create_authority,
    service_holder,
)
from services.identity.x509.usages import CertificateUsage
from services.runtime.clock import Randomness, uuid7
from services.runtime.secret_files import (
    make_private_folder,
    read_secret,
    replacing_secret,
    write_secret,
)


@dataclass(frozen=True, slots=True)
class Platform:
    """The platform's own organization."""

    display_name: str
    bin: str


@dataclass(frozen=True, slots=True)
class Operator:
    """The first operator."""

    iin: str
    family_name: str
    given_name: str
    patronymic: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials in PEM, each a certificate, its issuer's and the key."""

    operator: bytes
    # By the service's name.
    services: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class _Credential:
    certificate: x509.Certificate
    pem: bytes


def create_secrets(
    folder: Path,
    platform: Platform,
    operator: Operator,
    *,
    services: Sequence[str],
    now: datetime,
    randomness: Randomness,
) -> Credentials:
    """Write identity's folder (mode 0700, files 0600) and return the credentials that it issued.

    services: the services that call others and so have a credential. The seed is written last.
    Raises InvalidNumber, before anything is written, for a malformed IIN or BIN.
    """
    check_iin(operator.iin)
    check_bin(platform.bin)
    make_private_folder(folder)
    root, issuing = create_authority(platform.display_name, now, randomness)
    write_authority(folder, ROOT, root)
    write_authority(folder, ISSUING, issuing)
    make_time_stamper(folder, issuing, now=now, randomness=randomness)
    make_private_folder(folder / TRUST_FOLDER)
    token_keys = make_private_folder(folder / TOKEN_KEYS_FOLDER)
    make_token_key(token_keys, now=now, randomness=randomness)
    write_secret(folder / CHALLENGE_KEY, randomness(CHALLENGE_KEY_BYTES))
    make_number_key(folder, randomness)

    def issue(holder: Holder) -> _Credential:
        return _issue_credential(issuing, holder, now=now, randomness=randomness)

    of_operator = issue(_operator_holder(operator))
    of_services = {
        name: issue(
            service_holder(name, organization_name=platform.display_name, bin_=platform.bin)
        )
        for name in services
    }
    seed = {
        "create_time": now.isoformat(),
        "platform": {
            "name": f"subjects/{uuid7(now, randomness)}",
            "bin": platform.bin,
            "display_name": platform.display_name,
        },
        "operator": {
            "name": f"subjects/{uuid7(now, randomness)}",
            "iin": operator.iin,
            "family_name": operator.family_name,
            "given_name": operator.given_name or operator.family_name,
            "patronymic": operator.patronymic,
            "certificate": _pem_text(of_operator.certificate),
        },
        "services": {name: _pem_text(made.certificate) for name, made in of_services.items()},
    }
    _write_seed(folder, seed)
    return Credentials(of_operator.pem, {name: made.pem for name, made in of_services.items()})


def add_service(folder: Path, name: str, *, now: datetime, randomness: Randomness) -> bytes:
    """Issue the credential of a service that the folder's version did not have yet; return it.

    Its certificate goes into the seed, in the place of one whose credential was lost before it was
    written; identity imports it when it starts next. Raises SecretRefused.
    """
    path = folder / SEED
    seed = json.loads(read_secret(path))
    platform = seed["platform"]
    holder = service_holder(name, organization_name=platform["display_name"], bin_=platform["bin"])
    issuing = load_authority(folder, ISSUING)
    made = _issue_credential(issuing, holder, now=now, randomness=randomness)
    seed["services"][name] = _pem_text(made.certificate)
    with replacing_secret(path) as file:
        file.write(_seed_text(seed))
    return made.pem


def _operator_holder(operator: Operator) -> Holder:
    return Holder(
        common_name=f"{operator.family_name} {operator.given_name}".strip(),
        surname=operator.family_name,
        patronymic=operator.patronymic,
        iin=operator.iin,
    )


def _issue_credential(
    authority: CertificateAuthority, holder: Holder, *, now: datetime, randomness: Randomness
) -> _Credential:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = authority.issue(
        holder=holder,
        key=key.public_key(),
        usage=CertificateUsage.AUTHENTICATE,
        now=now,
        randomness=randomness,
    )
    pem = b"".join(
        (
            certificate.public_bytes(Encoding.PEM),
            authority.certificate.public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )
    )
    return _Credential(certificate, pem)


def _write_seed(folder: Path, seed: Mapping[str, Any]) -> None:
    # The numbers of the operator and the platform are personal data, so it is private too.
    write_secret(folder / SEED, _seed_text(seed))


def _seed_text(seed: Mapping[str, Any]) -> bytes:
    return json.dumps(seed, ensure_ascii=False, indent=1).encode()


def _pem_text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
