"""What an error of the database means: it was not asked, a lock stood in the way, or the change may have happened."""

import sqlite3

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

LOCKED = frozenset({"55P03", "40P01", "40001"})
"""SQLSTATE of lock_not_available, deadlock_detected and serialization_failure."""


def is_outage(error: BaseException) -> bool:
    """Whether the database could not be asked, so that the same question may be answered later."""
    if isinstance(error, DBAPIError):
        return not isinstance(error, DataError | IntegrityError | NotSupportedError | ProgrammingError)
    # What asyncpg raises while it connects reaches us as it is; importing it for its name would load it on SQLite too.
    return isinstance(error, OSError | PoolTimeout) or type(error).__module__.startswith("asyncpg.")


def is_lock_failure(error: BaseException) -> bool:
    """Whether another transaction's lock was not released in time. The database has undone this transaction."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.OperationalError):
        return error.orig.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    return getattr(error.orig, "sqlstate", None) in LOCKED


def is_answered(error: BaseException) -> bool:
    """Whether the database itself reported this error and the connection lives: then it has undone the transaction."""
    return isinstance(error, DBAPIError) and not error.connection_invalidated and not _is_shutdown(error)


def _is_shutdown(error: DBAPIError) -> bool:
    """A server that is stopped may have committed before it says so."""
    state = getattr(error.orig, "sqlstate", None)
    return state is not None and state[:2] in {"08", "57"}
