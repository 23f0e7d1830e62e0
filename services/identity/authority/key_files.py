"""The keys of the platform's authorities, in files of identity's folder: NAME.pem and NAME.key."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from services.identity.x509.issuing import CertificateAuthority
from services.identity.x509.signed_data import is_issued_by
from services.runtime.clock import Randomness
from services.runtime.secret_files import SecretRefused, read_secret, write_secret

# Names: the root, the authority that issues, the one that stamps the time.
ROOT, ISSUING, TIME_STAMPING = "root", "authority", "time-stamping"


def write_authority(folder: Path, name: str, authority: CertificateAuthority) -> None:
    """Write a new authority's certificate and key. Raises FileExistsError."""
    pem = authority.certificate.public_bytes(Encoding.PEM)
    key = authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_secret(folder / f"{name}.pem", pem)
    write_secret(folder / f"{name}.key", key)


def load_authority(folder: Path, name: str) -> CertificateAuthority:
    """Load an authority's certificate and key. Raises SecretRefused."""
    path = folder / f"{name}.key"
    try:
        key = load_pem_private_key(read_secret(path), password=None)
    except (ValueError, TypeError):
        raise SecretRefused(f"{path} is not a private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SecretRefused(f"{path} is not an elliptic-curve key")
    return CertificateAuthority(load_certificate(folder, name), key)


def load_certificate(folder: Path, name: str) -> x509.Certificate:
    """Load an authority's certificate. Raises SecretRefused."""
    path = folder / f"{name}.pem"
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise SecretRefused(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise SecretRefused(f"{path} is not a certificate in PEM") from None


def make_time_stamper(
    folder: Path, issuer: CertificateAuthority, *, now: datetime, randomness: Randomness
) -> None:
    """Write a new key and certificate of the time-stamping authority, replacing any."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issuer.issue_time_stamper(key.public_key(), now=now, randomness=randomness)
    for path in _time_stamping_files(folder):
        path.unlink(missing_ok=True)
    write_authority(folder, TIME_STAMPING, CertificateAuthority(certificate, key))


def load_time_stamper(
    folder: Path, issuer: CertificateAuthority, *, now: datetime, randomness: Randomness
) -> CertificateAuthority:
    """Load the time-stamping authority's certificate and key; make them if one is missing.

    A folder of an earlier version has none, and an operator removes them to have them renewed.
    Raises SecretRefused if the certificate is not by this issuer, and as load_authority does.
    """
    if not all(path.exists() for path in _time_stamping_files(folder)):
        make_time_stamper(folder, issuer, now=now, randomness=randomness)
    loaded = load_authority(folder, TIME_STAMPING)
    own, issuing = (
        certificate.public_bytes(Encoding.DER)
        for certificate in (loaded.certificate, issuer.certificate)
    )
    if not is_issued_by(own, issuing):
        raise SecretRefused(
            f"{folder / TIME_STAMPING}.pem is not by this authority: remove it and its key"
        )
    return loaded


def _time_stamping_files(folder: Path) -> tuple[Path, ...]:
    return tuple(folder / f"{TIME_STAMPING}.{suffix}" for suffix in ("pem", "key"))
