"""The lock that a server process holds on its SQLite file, so that a second one is refused.

SQLite takes one server process: with two, clients of one would not see the messages of the other. The lock is a file
beside the database, which the kernel locks for the process that has it open. It is free again when that process has
ended, however it ended, so a crash leaves nothing behind. `advisory_lock` does the same for PostgreSQL.

A starting process asks for the lock before it imports SQLAlchemy and Strawberry, so this module imports neither.
"""

import errno
import logging
import os
import socket
import sys
import time
from pathlib import Path

from roomcast.database_urls import sqlite_path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_SECONDS, RETRY_SECONDS = 0.3, 0.05
"""How long a start tries to get the lock: a process that was killed a moment ago may still hold it, and
`is_server_running` takes it for an instant."""

_LOCKED_BYTE = 1 << 30
"""Windows locks bytes, which nobody else can read then: one far behind the text."""

_HELD = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})
_NOT_SUPPORTED = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS})

logger = logging.getLogger("roomcast")


class AlreadyRunning(Exception):
    """Another server process holds the lock. The message names that process."""


def sqlite_lock_path(database_url: str) -> Path:
    """The lock file of an SQLite database. Links to the database lead to the same lock file."""
    database = sqlite_path(database_url).resolve()
    return database.with_name(f"{database.name}.lock")


def is_server_running(database_url: str) -> bool:
    """Whether a server process uses this SQLite file now. Creates no file. Raises OSError."""
    try:
        file = os.open(sqlite_lock_path(database_url), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(file)
    finally:
        os.close(file)


class FileLock:
    """A lock of this process on a file; also a context manager. Programs that it starts do not inherit the lock.

    It reaches as far as the kernel's `flock`: not to other machines, on most network file systems.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock; does nothing if this object holds it. Raises AlreadyRunning, or OSError for a file that cannot
        be created."""
        if self._file is not None:
            return
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            end = time.monotonic() + LOCK_SECONDS
            while not _try_lock(file):
                if time.monotonic() > end:
                    raise AlreadyRunning(os.read(file, 200).decode(errors="replace").strip())
                time.sleep(RETRY_SECONDS)
            os.ftruncate(file, 0)
            os.write(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        except BaseException:
            os.close(file)
            raise
        self._file = file

    def release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def __enter__(self) -> "FileLock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _try_lock(file: int) -> bool:
    """Lock an open file until it is closed; False if it is locked. Raises OSError."""
    try:
        if sys.platform == "win32":
            os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NOT_SUPPORTED:
            logger.warning("this file system has no locks: nothing keeps a second server from using the database")
            return True
        if error.errno not in _HELD:
            raise
        return False
    finally:
        os.lseek(file, 0, os.SEEK_SET)
    return True
