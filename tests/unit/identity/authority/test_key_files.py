"""Files of the authorities' keys: the time-stamping key is made if missing, loose files refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.identity.authority.key_files import (
    ISSUING,
    ROOT,
    TIME_STAMPING,
    load_authority,
    load_certificate,
    load_time_stamper,
    write_authority,
)
from services.identity.x509.issuing import CertificateAuthority, create_authority
from services.runtime.clock import system_clock, system_randomness
from services.runtime.secret_files import SecretRefused
from tests.openssl import openssl

NOW = system_clock()


def new_authority(folder: Path) -> CertificateAuthority:
    root, issuing = create_authority("Test", NOW, system_randomness)
    write_authority(folder, ROOT, root)
    write_authority(folder, ISSUING, issuing)
    return issuing


def time_stamper(folder: Path, issuer: CertificateAuthority) -> x509.Certificate:
    loaded = load_time_stamper(folder, issuer, now=NOW, randomness=system_randomness)
    return loaded.certificate


def modes(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in folder.iterdir()}


async def test_openssl_finds_the_certificate_fit_for_time_stamping(tmp_path: Path) -> None:
    issuer = new_authority(tmp_path)
    certificate = time_stamper(tmp_path, issuer)
    verified = await openssl(
        "verify", "-x509_strict", "-purpose", "timestampsign", "-CAfile", tmp_path / "root.pem",
        "-untrusted", tmp_path / "authority.pem", tmp_path / "time-stamping.pem",
    )  # fmt: skip
    assert verified.returncode == 0, verified.stderr
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert purposes.critical and [one.dotted_string for one in purposes.value] == [
        "1.3.6.1.5.5.7.3.8"
    ]
    assert certificate.not_valid_after_utc == issuer.certificate.not_valid_after_utc


def test_an_authority_is_loaded_as_it_was_written(tmp_path: Path) -> None:
    issuer = new_authority(tmp_path)
    loaded = load_authority(tmp_path, ISSUING)
    assert loaded.certificate == issuer.certificate == load_certificate(tmp_path, ISSUING)
    assert loaded.key.private_numbers() == issuer.key.private_numbers()
    assert modes(tmp_path) == {0o600}


@pytest.mark.parametrize("suffix", ["key", "pem"])
def test_the_time_stamping_key_is_made_again_if_a_file_is_missing(
    tmp_path: Path, suffix: str
) -> None:
    issuer = new_authority(tmp_path)
    first = time_stamper(tmp_path, issuer)
    assert time_stamper(tmp_path, issuer) == first
    (tmp_path / f"{TIME_STAMPING}.{suffix}").unlink()
    second = time_stamper(tmp_path, issuer)
    assert second != first and time_stamper(tmp_path, issuer) == second
    assert modes(tmp_path) == {0o600}


def test_a_time_stamping_certificate_by_another_authority_is_refused(tmp_path: Path) -> None:
    time_stamper(tmp_path, new_authority(tmp_path))
    _, other = create_authority("Other", NOW, system_randomness)
    with pytest.raises(SecretRefused, match="not by this authority"):
        time_stamper(tmp_path, other)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    new_authority(tmp_path)
    (tmp_path / "authority.key").chmod(mode)
    with pytest.raises(SecretRefused, match=f"has mode {mode:04o}"):
        load_authority(tmp_path, ISSUING)


def test_a_file_that_is_not_a_key_or_a_certificate_is_refused(tmp_path: Path) -> None:
    new_authority(tmp_path)
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, content, why in (
        ("authority.key", b"garbage", "not a private key"),
        ("authority.key", pem, "not an elliptic-curve key"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SecretRefused, match=why):
            load_authority(tmp_path, ISSUING)
    (tmp_path / "root.pem").write_bytes(b"garbage")
    with pytest.raises(SecretRefused, match="not a certificate"):
        load_certificate(tmp_path, ROOT)
    (tmp_path / "root.pem").unlink()
    with pytest.raises(SecretRefused, match="cannot be read"):
        load_certificate(tmp_path, ROOT)
