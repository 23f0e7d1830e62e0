"""A new platform's identity: its folder and credentials; nothing is written for a wrong number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography import x509

from qagazsyz.credentials import Credential
from services.identity.authority.key_files import ISSUING, ROOT, load_authority, load_certificate
from services.identity.new_secrets import Credentials, Operator, Platform, create_secrets
from services.identity.seed import SEED
from services.identity.subjects.iin_bin import InvalidNumber
from services.identity.tokens.keys import TOKEN_KEYS_FOLDER, TokenKeys
from services.identity.x509.inspection import inspect
from services.runtime.clock import system_clock, system_randomness
from tests.unit.identity.service import number

PLATFORM = Platform("Qagazsyz", number("200140", 1))
OPERATOR = Operator(number("9503014", 1), "Құрманова", "Әлия", "Серікқызы")


def create(
    folder: Path, platform: Platform = PLATFORM, operator: Operator = OPERATOR
) -> Credentials:
    return create_secrets(
        folder,
        platform,
        operator,
        services=["signing", "registry"],
        now=system_clock(),
        randomness=system_randomness,
    )


def test_the_folder_is_the_owners_alone_and_has_all_that_identity_reads(tmp_path: Path) -> None:
    folder = tmp_path / "identity"
    create(folder)
    assert {path.name for path in folder.iterdir()} == {
        "authority.key",
        "authority.pem",
        "challenge.key",
        "phone-numbers.key",
        "root.key",
        "root.pem",
        "seed.json",
        "time-stamping.key",
        "time-stamping.pem",
        "token-keys",
        "trust",
    }
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert len(TokenKeys(folder / TOKEN_KEYS_FOLDER).all()) == 1
    load_authority(folder, ISSUING)
    root = load_certificate(folder, ROOT)
    assert root.subject == root.issuer


def test_credentials_are_certificates_with_their_issuer_and_key(tmp_path: Path) -> None:
    made = create(tmp_path / "identity")
    assert set(made.services) == {"signing", "registry"}
    issuer = load_certificate(tmp_path / "identity", ISSUING)
    for name, pem in {"operator": made.operator, **made.services}.items():
        (tmp_path / name).write_bytes(pem)
        credential = Credential.load(tmp_path / name)
        certificate = x509.load_der_x509_certificate(credential.certificate)
        certificate.verify_directly_issued_by(issuer)
        assert x509.load_pem_x509_certificates(pem) == [certificate, issuer]
        facts = inspect(credential.certificate)
        assert (facts.iin, facts.bin) == (
            (OPERATOR.iin, "") if name == "operator" else ("", PLATFORM.bin)
        )


def test_the_seed_names_the_platform_the_operator_and_the_services(tmp_path: Path) -> None:
    create(tmp_path / "identity")
    seed = json.loads((tmp_path / "identity" / SEED).read_bytes())
    assert (seed["platform"]["bin"], seed["operator"]["iin"]) == (PLATFORM.bin, OPERATOR.iin)
    assert seed["operator"]["patronymic"] == "Серікқызы"
    assert set(seed["services"]) == {"signing", "registry"}


@pytest.mark.parametrize(
    ("platform", "operator"),
    [
        (PLATFORM, Operator("123456789012", "А", "Б")),
        (PLATFORM, Operator(PLATFORM.bin, "А", "Б")),
        (Platform("Qagazsyz", OPERATOR.iin), OPERATOR),
    ],
)
def test_nothing_is_written_for_a_wrong_number(
    tmp_path: Path, platform: Platform, operator: Operator
) -> None:
    with pytest.raises(InvalidNumber):
        create(tmp_path / "identity", platform, operator)
    assert list(tmp_path.iterdir()) == []
