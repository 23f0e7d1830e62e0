"""The registry's process refuses secrets that others can read, and a damaged log."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.registry.log.kept_checkpoint import KEPT_CHECKPOINT
from services.registry.main import load_content_key, load_log_key, serve
from services.registry.settings import RegistrySettings
from services.runtime.secret_files import SecretRefused
from services.runtime.settings import CannotStart
from services.runtime.storage.object_store import open_object_store
from tests.builders import self_signed_credential


def pem(key: Ed25519PrivateKey | EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write(path: Path, data: bytes, mode: int = 0o600) -> None:
    path.write_bytes(data)
    path.chmod(mode)


@pytest.fixture
def settings(tmp_path: Path) -> RegistrySettings:
    write(tmp_path / "log.key", pem(Ed25519PrivateKey.generate()))
    write(tmp_path / "content.key", b"content-1 " + base64.b64encode(bytes(32)) + b"\n")
    return RegistrySettings(folder=tmp_path)


def test_the_keys_of_a_folder_are_read(settings: RegistrySettings) -> None:
    assert load_log_key(settings).origin == "log.qagazsyz.example"
    assert load_content_key(settings).id == "content-1"


@pytest.mark.parametrize("name", ["log.key", "content.key"])
def test_a_key_that_others_can_read_is_refused(settings: RegistrySettings, name: str) -> None:
    (settings.folder / name).chmod(0o640)
    load = load_log_key if name == "log.key" else load_content_key
    with pytest.raises(SecretRefused, match="0600"):
        load(settings)
    (settings.folder / name).unlink()
    with pytest.raises(SecretRefused, match="cannot be read"):
        load(settings)


def test_a_content_key_is_read_as_strictly_as_every_other(settings: RegistrySettings) -> None:
    encoded = base64.b64encode(bytes(32)).decode()
    for line in (f"a/b {encoded}", f"{'a' * 65} {encoded}", f"a {encoded} b", f"a  {encoded[:-1]}"):
        write(settings.folder / "content.key", line.encode())
        with pytest.raises(SecretRefused):
            load_content_key(settings)


def test_another_file_than_a_key_is_refused_without_being_shown(settings: RegistrySettings) -> None:
    write(settings.folder / "content.key", b"content-1 c2VjcmV0")
    with pytest.raises(SecretRefused) as refusal:
        load_content_key(settings)
    assert "c2VjcmV0" not in str(refusal.value)
    write(settings.folder / "log.key", pem(generate_private_key(SECP256R1())))
    with pytest.raises(SecretRefused):
        load_log_key(settings)
    write(settings.folder / "log.key", b"no key")
    with pytest.raises(SecretRefused):
        load_log_key(settings)


async def test_a_damaged_log_is_refused_in_one_line_that_says_what_to_do(
    settings: RegistrySettings,
) -> None:
    write(settings.credential_file(), self_signed_credential().to_pem())
    # Never reached: the log is opened before anybody is called.
    nowhere = f"unix:{settings.folder}/nowhere"
    settings = settings.model_copy(update={"identity_address": nowhere, "signing_address": nowhere})
    objects = open_object_store(settings.contents_location())
    await objects.put(KEPT_CHECKPOINT, load_log_key(settings).sign(7, bytes(32)))
    with pytest.raises(CannotStart, match="no head, and yet there was a log") as refusal:
        await serve(settings, asyncio.Event())
    assert "\n" not in str(refusal.value)
    assert "qagazsyz audit" in str(refusal.value)
