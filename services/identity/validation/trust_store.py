"""The trust folder: certificates of external authorities that an operator trusts.

A file holds one DER certificate or any number in PEM. Self-signed certificates in the folder are
trust anchors, and so is every certificate in its subfolder `anchors` (an authority whose root is
not at hand); all others are intermediates, which help to build a path and are not trusted by
themselves. A certificate in the subfolder `time-stamping` is of an authority that stamps the time:
it need not come with the stamps, and counts as not revoked if it names no source of revocation and
no list of its issuer is in the folder. CRL files (*.crl, DER or PEM) are asked about every
certificate of their issuer.

The folder is read again when something in it changes. Each file is read with the parsers that will
use it (path_engine.py); one that cannot be used trusts nobody, and is named in the log, and
identity's health says that there is one; the others count. A file that was taken out counts no
more, whatever the others are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.identity.validation.crl import issuer_name
from services.identity.validation.interface import REASON_LIMIT
from services.identity.validation.path_engine import check_usable
from services.identity.x509.signed_data import is_issued_by, read_signed

log = logging.getLogger(__name__)

# In identity's own folder, unless the settings name another.
TRUST_FOLDER = "trust"
ANCHORS = "anchors"
STAMPERS = "time-stamping"
CERTIFICATE_SUFFIXES = frozenset({".pem", ".der", ".crt", ".cer"})
CRL_SUFFIX = ".crl"
# How soon a change is seen; looking costs one stat a file.
CHECK_SECONDS = 1.0
# NCA's lists have tens of megabytes; a larger file is a mistake.
FILE_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredList:
    """A revocation list of the folder, and its issuer's name; both DER."""

    der: bytes
    issuer: bytes


@dataclass(frozen=True, slots=True, eq=False)
class TrustStore:
    """The folder's content at one time, DER; compared by identity."""

    anchors: tuple[bytes, ...] = ()
    intermediates: tuple[bytes, ...] = ()
    crls: tuple[StoredList, ...] = ()
    # Those whose certificates may name no source of revocation.
    stampers: tuple[bytes, ...] = ()
    # The names of files that cannot be used.
    unusable: tuple[str, ...] = ()


class TrustFolder:
    """The folder, read when it changes. Blocking: call it from a thread."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.monotonic) -> None:
        """folder: need not exist; nothing is trusted then. now: a monotonic clock in seconds."""
        self._folder = folder
        self._now = now
        self._checked_at = float("-inf")
        self._listing: tuple[object, ...] | None = None
        self._store = TrustStore()

    def is_due(self) -> bool:
        """Return whether it is time to check the folder again. Does not block."""
        return self._now() - self._checked_at >= CHECK_SECONDS

    def current(self) -> TrustStore:
        """Return the current content; the same object until something changes."""
        if not self.is_due():
            return self._store
        now = self._now()
        listing = _listing(self._folder)
        if listing != self._listing:
            self._store = _read(self._folder)
            self._listing = listing
        self._checked_at = now
        return self._store


def _files(folder: Path) -> list[Path]:
    try:
        found = [*folder.iterdir(), *(folder / ANCHORS).glob("*"), *(folder / STAMPERS).glob("*")]
    except OSError:
        return []
    suffixes = CERTIFICATE_SUFFIXES | {CRL_SUFFIX}
    return sorted(path for path in found if path.suffix.lower() in suffixes)


def _listing(folder: Path) -> tuple[object, ...]:
    listing = []
    for path in _files(folder):
        try:
            found = path.stat()
        except OSError:
            continue
        listing.append((str(path), found.st_mtime_ns, found.st_size, found.st_ino))
    return tuple(listing)


def _read(folder: Path) -> TrustStore:
    anchors: dict[bytes, None] = {}
    others: dict[bytes, None] = {}
    stampers: dict[bytes, None] = {}
    crls: dict[StoredList, None] = {}
    unusable = []
    for path in _files(folder):
        try:
            if path.stat().st_size > FILE_LIMIT_BYTES:
                raise ValueError("too large")
            content = path.read_bytes()
            if path.suffix.lower() == CRL_SUFFIX:
                crls[_read_crl(content)] = None
                continue
            for der in _certificates(content):
                check_usable(der)
                if path.parent != folder and path.parent.name == STAMPERS:
                    stampers[der] = None
                    continue
                anchor = path.parent.name == ANCHORS or _self_signed(der)
                (anchors if anchor else others)[der] = None
        except Exception as error:  # whatever a parser makes of it
            unusable.append(path.name)
            reason = str(error)[:REASON_LIMIT] or type(error).__name__
            log.warning("%s is ignored: it cannot be used (%s)", path.name, reason)
    log.info(
        "trust anchors, intermediates, CRLs: %d, %d, %d",
        len(anchors),
        len(others),
        len(crls),
    )
    intermediates = (der for der in others if der not in anchors)
    return TrustStore(
        tuple(anchors), tuple(intermediates), tuple(crls), tuple(stampers), tuple(unusable)
    )


def _certificates(content: bytes) -> Iterable[bytes]:
    if b"-----BEGIN" in content:
        parsed = x509.load_pem_x509_certificates(content)
        return [certificate.public_bytes(Encoding.DER) for certificate in parsed]
    x509.load_der_x509_certificate(content)
    return [content]


def _read_crl(content: bytes) -> StoredList:
    if b"-----BEGIN" in content:
        content = x509.load_pem_x509_crl(content).public_bytes(Encoding.DER)
    x509.load_der_x509_crl(content)
    return StoredList(content, issuer_name(read_signed(content).content))


def _self_signed(der: bytes) -> bool:
    certificate = x509.load_der_x509_certificate(der)
    return certificate.subject == certificate.issuer and is_issued_by(der, der)
