"""What a library raised over foreign bytes, which it should have refused in its own words.

Parsers fail in ways that they do not document: RecursionError over nested names, OverflowError over
dates, MemoryError over lengths. Whatever it is, it is about one certificate or one token, and
becomes that one's own answer; the log says that it happened.
"""

from __future__ import annotations

import hashlib
import logging

log = logging.getLogger(__name__)


def log_unforeseen(what: str, data: bytes, error: Exception) -> None:
    """Log the kind of error and the data's SHA-256, which tells neither's content."""
    log_unforeseen_of(what, hashlib.sha256(data).digest(), error)


def log_unforeseen_of(what: str, fingerprint: bytes, error: Exception) -> None:
    """Log the kind of error for data whose SHA-256 is known."""
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    place = "" if frames is None else f"{frames.tb_frame.f_code.co_name}:{frames.tb_lineno}"
    log.warning(
        "%s could not be read",
        what,
        extra={
            "sha256": fingerprint.hex(),
            "exception": type(error).__name__,
            "place": place,
        },
    )
