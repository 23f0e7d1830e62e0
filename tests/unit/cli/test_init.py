"""`qagazsyz init`: what it writes, and what it refuses before it writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from cli.errors import Failure
from cli.main import tool
from cli.operations.data_folder import DataFolder
from qagazsyz.credentials import Credential
from services.identity.subjects.iin_bin import check_bin, check_iin

FILES = {
    ".gitignore",
    "identity/authority.key",
    "identity/authority.pem",
    "identity/challenge.key",
    "identity/phone-numbers.key",
    "identity/root.key",
    "identity/root.pem",
    "identity/seed.json",
    "identity/time-stamping.key",
    "identity/time-stamping.pem",
    "signing/credential.pem",
    "signing/key-encryption.key",
    "messaging/credential.pem",
    "messaging/lookup.key",
    "messaging/message.key",
    "requests/credential.pem",
    "requests/text.key",
    "registry/content.key",
    "registry/credential.pem",
    "registry/log.key",
    "credentials/operator.pem",
}


def init(data: Path, *options: str) -> str:
    """What init says. Raises what it refuses."""
    result = CliRunner().invoke(tool, ["init", "--data", str(data), *options])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def files(data: Path) -> set[str]:
    return {str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()}


def test_each_service_gets_its_own_secrets_and_the_operator_a_credential(tmp_path: Path) -> None:
    data = tmp_path / "data"
    said = init(data)
    token_keys = {f"identity/token-keys/{path.name}" for path in data.glob("*/token-keys/*")}
    assert files(data) == FILES | token_keys and len(token_keys) == 1
    for path in [data, *data.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert (data / "identity" / "trust").is_dir()
    assert (data / ".gitignore").read_text() == "*\n"
    assert (
        said == f"made {data}; the first operator's credential is {data}/credentials/operator.pem\n"
    )
    for path in data.glob("*/*.pem"):
        if path.name in ("credential.pem", "operator.pem"):
            Credential.load(path)


def test_numbers_that_are_not_given_are_made_up(tmp_path: Path) -> None:
    init(tmp_path, "--operator-name", "Құрманова Әлия Серікқызы")
    seed = json.loads((tmp_path / "identity" / "seed.json").read_bytes())
    check_iin(seed["operator"]["iin"])
    check_bin(seed["platform"]["bin"])
    names = [seed["operator"][name] for name in ("family_name", "given_name", "patronymic")]
    assert names == ["Құрманова", "Әлия", "Серікқызы"]


def test_the_operators_own_number_is_taken(tmp_path: Path) -> None:
    init(tmp_path, "--operator-iin", "791028302728")
    seed = json.loads((tmp_path / "identity" / "seed.json").read_bytes())
    assert seed["operator"]["iin"] == "791028302728"


def test_a_malformed_number_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="--operator-iin: the check digit is wrong"):
        init(tmp_path, "--operator-iin", "791028302729")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_a_file_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "registry.db").touch()
    with pytest.raises(Failure, match="in use"):
        init(tmp_path)
    assert files(tmp_path) == {"registry/registry.db"}


@pytest.mark.parametrize("option", ["--platform-name", "--operator-name"])
def test_a_name_with_a_control_character_is_refused_before_anything_is_written(
    tmp_path: Path, option: str
) -> None:
    with pytest.raises(Failure, match="control character"):
        init(tmp_path / "data", option, "Банк\x1b[2K")
    assert not files(tmp_path / "data")


# With the keys of each.
ADDED = {"messaging": ("lookup.key", "message.key"), "requests": ("text.key",)}


def of_an_earlier_version(data: Path) -> None:
    """Make a data folder that knows of no messaging and no requests."""
    init(data)
    path = data / "identity" / "seed.json"
    seed = json.loads(path.read_bytes())
    for name in ADDED:
        shutil.rmtree(data / name)
        del seed["services"][name]
    path.write_text(json.dumps(seed))


@pytest.mark.parametrize("name", ADDED)
def test_a_service_is_added_to_a_folder_of_an_earlier_version(tmp_path: Path, name: str) -> None:
    of_an_earlier_version(tmp_path)
    before = {path: (tmp_path / path).read_bytes() for path in files(tmp_path)}
    assert init(tmp_path, "--add", name) == (
        f"added {name} to {tmp_path}; identity takes its certificate when it starts next\n"
    )
    seed = json.loads((tmp_path / "identity" / "seed.json").read_bytes())
    credential = Credential.load(tmp_path / name / "credential.pem")
    certificate = x509.load_pem_x509_certificate(seed["services"][name].encode())
    assert certificate.public_bytes(Encoding.DER) == credential.certificate
    assert set(seed["services"]) == {"signing", "registry", name}
    changed = {
        path for path in files(tmp_path) if before.get(path) != (tmp_path / path).read_bytes()
    }
    made = {f"{name}/{each}" for each in ("credential.pem", *ADDED[name])}
    assert changed == {"identity/seed.json", "run/lock"} | made
    for path in [tmp_path / name, *(tmp_path / each for each in changed - {"run/lock"})]:
        assert path.stat().st_mode & 0o077 == 0


def test_an_addition_that_was_interrupted_keeps_the_keys_it_had_made(tmp_path: Path) -> None:
    of_an_earlier_version(tmp_path)
    init(tmp_path, "--add", "messaging")
    (tmp_path / "messaging" / "credential.pem").unlink()
    (tmp_path / "messaging" / "lookup.key").unlink()
    key = (tmp_path / "messaging" / "message.key").read_bytes()
    init(tmp_path, "--add", "messaging")
    assert (tmp_path / "messaging" / "message.key").read_bytes() == key
    assert (tmp_path / "messaging" / "lookup.key").exists()
    Credential.load(tmp_path / "messaging" / "credential.pem")


def test_a_service_that_is_there_or_unknown_or_runs_is_not_added(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="not a data folder"):
        init(tmp_path / "nothing", "--add", "messaging")
    of_an_earlier_version(tmp_path)
    with pytest.raises(Failure, match="--add: not one of messaging, requests"):
        init(tmp_path, "--add", "identity")
    with DataFolder(tmp_path).lock(), pytest.raises(Failure, match="in use"):
        init(tmp_path, "--add", "messaging")
    assert not (tmp_path / "messaging").exists()
    init(tmp_path, "--add", "messaging")
    with pytest.raises(Failure, match="has messaging already"):
        init(tmp_path, "--add", "messaging")
