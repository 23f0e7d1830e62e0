"""A signing process of its own: its command, the secrets in its folder, its variables."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.unit.signing.builders import TestKey

COMMAND = [sys.executable, "-m", "services.signing.main"]
KEY_FILE = "key-encryption.key"


def environment(folder: Path, listen: str) -> dict[str, str]:
    """Write the secrets into the folder; return the variables. Identity's address is a dead one."""
    line = "test " + base64.b64encode(bytes(32)).decode()
    (folder / KEY_FILE).write_text(line)
    (folder / KEY_FILE).chmod(0o600)
    key = TestKey()
    certificate = x509.load_der_x509_certificate(key.certificate())
    credential = folder / "credential.pem"
    credential.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    credential.chmod(0o600)
    return {
        **os.environ,
        "QAGAZSYZ_FOLDER": str(folder),
        "QAGAZSYZ_LISTEN": listen,
        "QAGAZSYZ_IDENTITY_ADDRESS": "127.0.0.1:1",
    }
