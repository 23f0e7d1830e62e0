"""Whom the platform trusts beside itself: certificates that an operator puts in a folder.

A file holds one DER certificate or any number in PEM. Self-signed certificates
in the folder are trust anchors, and so is whatever lies in its subfolder
`anchors` (an authority whose root is not at hand); all others are intermediates,
which help to build a path and are trusted for nothing by themselves. Revocation
lists (*.crl, DER or PEM) serve where an authority's own addresses cannot be
reached. The folder is read again when something in it changes. A file that
cannot be read trusts nobody, and is named in the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.identity.x509.signed_data import issued_by

log = logging.getLogger(__name__)

# In identity's folder, unless the settings name another.
TRUST_FOLDER = "trust"
ANCHORS = "anchors"
CERTIFICATE_SUFFIXES = frozenset({".pem", ".der", ".crt", ".cer"})
LIST_SUFFIX = ".crl"
# A change is seen by then; looking costs one stat a file.
LOOKED_AT_EVERY_SECONDS = 1.0
# NCA's lists have tens of megabytes; a larger file is a mistake.
FILE_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class TrustStore:
    """What the folder held at one time, DER. Two are the same only if they are one object."""

    anchors: tuple[bytes, ...] = ()
    intermediates: tuple[bytes, ...] = ()
    revocation_lists: tuple[bytes, ...] = ()


class TrustFolder:
    """The folder, read when it changes. Blocking: to be called from a thread."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.monotonic) -> None:
        """folder: need not exist; then nobody is trusted. now: seconds that only rise."""
        self._folder = folder
        self._now = now
        self._looked_at = float("-inf")
        self._seen: tuple[object, ...] | None = None
        self._store = TrustStore()

    def is_due(self) -> bool:
        """Whether it is time to look at the folder again. Does not block."""
        return self._now() - self._looked_at >= LOOKED_AT_EVERY_SECONDS

    def current(self) -> TrustStore:
        """What is trusted now; the same object for as long as nothing changes."""
        if not self.is_due():
            return self._store
        now = self._now()
        seen = _listing(self._folder)
        if seen != self._seen:
            self._store = _read(self._folder)
            self._seen = seen
        self._looked_at = now
        return self._store


def _files(folder: Path) -> list[Path]:
    try:
        found = [*folder.iterdir(), *(folder / ANCHORS).glob("*")]
    except OSError:
        return []
    suffixes = CERTIFICATE_SUFFIXES | {LIST_SUFFIX}
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
    lists: dict[bytes, None] = {}
    for path in _files(folder):
        try:
            if path.stat().st_size > FILE_LIMIT_BYTES:
                raise ValueError("too large")
            content = path.read_bytes()
            if path.suffix.lower() == LIST_SUFFIX:
                lists[_list(content)] = None
                continue
            for der in _certificates(content):
                anchor = path.parent.name == ANCHORS or _self_signed(der)
                (anchors if anchor else others)[der] = None
        except (OSError, ValueError) as error:
            log.warning("%s is not trusted: it cannot be read (%s)", path.name, error)
    log.info(
        "trust anchors, intermediates, revocation lists: %d, %d, %d",
        len(anchors),
        len(others),
        len(lists),
    )
    intermediates = (der for der in others if der not in anchors)
    return TrustStore(tuple(anchors), tuple(intermediates), tuple(lists))


def _certificates(content: bytes) -> Iterable[bytes]:
    if b"-----BEGIN" in content:
        parsed = x509.load_pem_x509_certificates(content)
        return [certificate.public_bytes(Encoding.DER) for certificate in parsed]
    x509.load_der_x509_certificate(content)
    return [content]


def _list(content: bytes) -> bytes:
    if b"-----BEGIN" in content:
        return x509.load_pem_x509_crl(content).public_bytes(Encoding.DER)
    x509.load_der_x509_crl(content)
    return content


def _self_signed(der: bytes) -> bool:
    certificate = x509.load_der_x509_certificate(der)
    return certificate.subject == certificate.issuer and issued_by(der, der)
