"""`qagazsyz verify` on this machine: files with signatures beside them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from typer.testing import CliRunner

from cli.commands.certificate import KeyType, make_key
from cli.main import tool
from qagazsyz.credentials import PrivateKey, sign

CONTENT = "Мекенжай анықтамасы".encode()


def write_signed(folder: Path, name: str, key: PrivateKey, *, in_base64: bool = False) -> Path:
    """Write a file with its signature and its signer's public key beside it."""
    path = folder / name
    path.write_bytes(CONTENT)
    signature = sign(key, CONTENT)
    (folder / f"{name}.sig").write_bytes(base64.b64encode(signature) if in_base64 else signature)
    (folder / f"{name}.pem").write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return path


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(tool, ["verify", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


@pytest.mark.parametrize("key_type", list(KeyType))
def test_a_valid_signature_is_found_valid(tmp_path: Path, key_type: KeyType) -> None:
    path = write_signed(tmp_path, "a.pdf", make_key(key_type), in_base64=True)
    code, output = run(path, "--backend", "portable")
    assert code == 0
    assert "1 of 1 signatures are valid, by the portable backend" in output


def test_an_invalid_signature_in_a_folder_is_named_and_sets_the_exit_code(tmp_path: Path) -> None:
    key = make_key(KeyType.P256)
    for name in ("a", "b", "c"):
        write_signed(tmp_path, name, key)
    (tmp_path / "b").write_bytes(CONTENT + b" ")
    code, output = run(tmp_path, "--backend", "portable", "--json")
    assert code == 1
    verdicts = {
        Path(line["file"]).name: line["verdict"] for line in map(json.loads, output.splitlines())
    }
    assert verdicts == {"a": "VALID", "b": "INVALID_SIGNATURE", "c": "VALID"}


def test_one_signer_can_be_named_for_all(tmp_path: Path) -> None:
    path = write_signed(tmp_path, "a", make_key(KeyType.ED25519))
    other = write_signed(tmp_path, "b", make_key(KeyType.ED25519))
    code, _ = run(path, "--signer", f"{other}.pem", "--backend", "portable")
    assert code == 1


def test_without_files_the_backend_is_printed() -> None:
    assert run("--backend", "portable") == (0, "portable\n")
    assert run()[1].strip() in ("kernel", "portable")
