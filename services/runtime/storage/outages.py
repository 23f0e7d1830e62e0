"""Failures of the database and the object store, by whose they are: the statement's, another
transaction's, or the store's own. The last kind - a lost connection, a full disk, an I/O error, a
read-only store - becomes StorageUnavailable here, for all services: the same call may succeed
later.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import obstore
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.runtime.errors import Unavailable

# PostgreSQL's and CockroachDB's serialization_failure and deadlock_detected.
RETRYABLE_STATES = frozenset({"40001", "40P01"})
# SQLite's primary result codes of outages (sqlite.org/rescode.html): BUSY, LOCKED, NOMEM, READONLY,
# IOERR, FULL, CANTOPEN, PROTOCOL. The generic ERROR, of a wrong statement, is a defect.
_SQLITE_OUTAGES = frozenset({5, 6, 7, 8, 10, 13, 14, 15})
# CORRUPT and NOTADB.
_SQLITE_DAMAGE = frozenset({11, 26})
# PostgreSQL's classes of states (its Appendix A): connection exception, insufficient resources,
# system error. Then single states: read_only_sql_transaction, idle_in_transaction_session_timeout,
# admin_shutdown, crash_shutdown, cannot_connect_now.
_POSTGRESQL_OUTAGE_CLASSES = frozenset({"08", "53", "58"})
_POSTGRESQL_OUTAGES = frozenset({"25006", "25P03", "57P01", "57P02", "57P03"})


class StorageUnavailable(Unavailable):
    """The database or the object store failed. What was being committed may have been."""


@contextmanager
def storage_outages(message: str) -> Iterator[None]:
    """Raise StorageUnavailable with this message in place of an outage in the block."""
    try:
        yield
    except Exception as error:
        if isinstance(error, StorageUnavailable) or not is_unavailable(error):
            raise
        raise StorageUnavailable(message) from error


def is_unavailable(error: Exception) -> bool:
    """Return whether the store or the connection to it failed, so that the same may succeed later.

    asyncpg raises an OSError of its own where it cannot connect.
    """
    if isinstance(error, StorageUnavailable | PoolTimeout | OSError):
        return True
    if isinstance(error, obstore.exceptions.BaseError):
        return True
    code = _sqlite_code(error)
    if code is not None:
        return code in _SQLITE_OUTAGES
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated or is_retryable(error):
        return True
    state = _state_of(error)
    if state is not None:
        return state[:2] in _POSTGRESQL_OUTAGE_CLASSES or state in _POSTGRESQL_OUTAGES
    return isinstance(error, OperationalError | InterfaceError | InternalError)


def is_retryable(error: DBAPIError) -> bool:
    """Return whether the same transaction, run again, may well succeed."""
    return _state_of(error) in RETRYABLE_STATES


def is_malformed(error: Exception) -> bool:
    """Return whether SQLite found its file damaged, or no database of its own."""
    return _sqlite_code(error) in _SQLITE_DAMAGE


def is_conflict(error: Exception) -> bool:
    """Return whether a row broke a constraint: another of its key is there, or a row that it
    refers to is not."""
    return isinstance(error, IntegrityError) and not is_unavailable(error)


def _sqlite_code(error: Exception) -> int | None:
    """Return the primary result code of SQLite's own error, None for any other. Errors of opening a
    connection come as the driver raised them."""
    code = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


def _state_of(error: DBAPIError) -> str | None:
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    return None if state is None else str(state)
