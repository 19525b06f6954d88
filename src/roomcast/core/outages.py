"""Classifies database errors: an outage, a lock that was not released, or an error that the database itself
reported."""

import sqlite3

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

LOCKED = frozenset({"55P03", "40P01", "40001"})
"""SQLSTATE of lock_not_available, deadlock_detected and serialization_failure."""


def is_outage(error: BaseException) -> bool:
    """Whether the database could not be reached or did not answer, so that a retry may succeed."""
    if isinstance(error, DBAPIError):
        return not isinstance(error, DataError | IntegrityError | NotSupportedError | ProgrammingError)
    # SQLAlchemy does not translate what asyncpg raises while it connects. Importing asyncpg would load it with SQLite
    # too.
    return isinstance(error, OSError | PoolTimeout) or type(error).__module__.startswith("asyncpg.")


def is_lock_failure(error: BaseException) -> bool:
    """Whether another transaction did not release a lock in time. The database has rolled this transaction back."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.OperationalError):
        return error.orig.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    return getattr(error.orig, "sqlstate", None) in LOCKED


def is_answered(error: BaseException) -> bool:
    """Whether the database reported this error on a living connection. It has then rolled the transaction back."""
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return False
    # In these classes of states the server reports that it stops. It may have committed before.
    state = getattr(error.orig, "sqlstate", None)
    return state is None or state[:2] not in {"08", "57"}
