"""Classifies database errors: an outage, a lock that was not released, or an error that the database itself
reported. Logs when an outage begins and ends."""

import errno
import logging
import sqlite3
import time

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

MOVED = "RC001"
"""SQLSTATE of the triggers with which `roomcast copy` ends the use of a database. SQLite's errors of triggers are no
other ones: we have no other triggers that raise."""

LOCKED = frozenset({"55P03", "40P01", "40001"})
"""SQLSTATE of lock_not_available, deadlock_detected and serialization_failure."""

DISK_FULL = "53100"
"""SQLSTATE of disk_full."""

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO})
"""Errors of files. SQLite reports them by an exception of its own."""

QUIET_SECONDS = 5.0
"""An outage ends with the first transaction that succeeds this long after the last failure."""

logger = logging.getLogger("roomcast.db")


def is_outage(error: BaseException) -> bool:
    """Whether the database could not be reached or did not answer, so that a retry may succeed."""
    if isinstance(error, DBAPIError):
        return not isinstance(error, DataError | IntegrityError | NotSupportedError | ProgrammingError)
    # SQLAlchemy does not translate what asyncpg raises while it connects. Importing asyncpg would load it with SQLite
    # too.
    if isinstance(error, OSError):
        return error.errno not in DISK_ERRORS
    return isinstance(error, PoolTimeout) or type(error).__module__.startswith("asyncpg.")


def is_lock_failure(error: BaseException) -> bool:
    """Whether another transaction did not release a lock in time, or has moved the installation to another database.
    The database has rolled this transaction back."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.OperationalError):
        return error.orig.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    return getattr(error.orig, "sqlstate", None) in LOCKED or is_moved(error)


def is_moved(error: BaseException) -> bool:
    """Whether the change failed because `roomcast copy` has moved the installation to another database."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.IntegrityError):
        return error.orig.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_TRIGGER
    return getattr(error.orig, "sqlstate", None) == MOVED


def is_answered(error: BaseException) -> bool:
    """Whether the database reported this error on a living connection. It has then rolled the transaction back."""
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return False
    # In these classes of states the server reports that it stops. It may have committed before.
    state = getattr(error.orig, "sqlstate", None)
    return state is None or state[:2] not in {"08", "57"}


class OutageLog:
    """Logs one line when a database begins to fail, and one when it works again, however many requests fail.

    An error before the first success is not logged here: the start of the process fails with it.
    """

    def __init__(self) -> None:
        self.failures = 0
        """Failures of all outages."""
        self.disk_was_full = False
        """PostgreSQL has reported a full disk, and nobody has found space since."""
        self._has_worked = False
        self._began_at: float | None = None
        self._failed_at = 0.0
        self._failures_before = 0

    @property
    def is_out(self) -> bool:
        return self._began_at is not None

    def on_error(self, error: BaseException) -> None:
        """Call it with every error of a transaction. Those that are no outage are ignored."""
        if not self._has_worked or not isinstance(error, Exception) or not is_outage(error) or is_lock_failure(error):
            return
        self.disk_was_full |= getattr(getattr(error, "orig", None), "sqlstate", None) == DISK_FULL
        self._failed_at = time.monotonic()
        if self._began_at is None:
            self._began_at, self._failures_before = self._failed_at, self.failures
            logger.error("the database fails: %s; this is logged once until it works again", reason(error))
        self.failures += 1

    def on_success(self) -> None:
        """Call it after every transaction."""
        self._has_worked = True
        if self._began_at is not None and time.monotonic() - self._failed_at > QUIET_SECONDS:
            seconds, self._began_at = self._failed_at - self._began_at, None
            failed = self.failures - self._failures_before
            logger.warning("the database works again; it failed for %.0f s, in %d transactions", seconds, failed)


def reason(error: BaseException) -> str:
    """The first line of what the driver says, which contains no statement and no parameters."""
    text = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
