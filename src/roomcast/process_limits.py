"""Limits of the process: open file descriptors, of which every connection takes one, memory that stays unused, and
garbage collection."""

import ctypes
import gc
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

RECOMMENDED_DESCRIPTORS = 4_096
"""With fewer, the process runs out of descriptors before it reaches any limit of its own."""

MAX_DESCRIPTORS = 1_048_576

LARGE_ALLOCATION = 256 * 1024
"""Blocks of memory of this size are returned to the system when they are freed."""

_MALLOPT_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD in malloc.h of glibc

logger = logging.getLogger("roomcast")


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard limit, and log a warning if that is low."""
    if (limit := _raise_soft_limit()) is not None and limit < RECOMMENDED_DESCRIPTORS:
        logger.warning("this process may open only %d files and connections: %s", limit, ADVICE)


ADVICE = "raise the hard limit (ulimit -Hn, or LimitNOFILE= of a systemd service) to 65536"


def descriptor_limit() -> int | None:
    """The limit that this process has or can raise its own to; None on Windows, which has none."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 (POSIX only)

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)


def _raise_soft_limit() -> int | None:
    wanted = descriptor_limit()
    if sys.platform == "win32" or wanted is None:
        return None
    import resource  # noqa: PLC0415 (POSIX only)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # some systems enforce less than the hard limit they report
            return soft
    return wanted


def return_freed_memory() -> None:
    """Return large freed blocks to the system. glibc keeps them by default: it raises its threshold with each of them.

    A user who makes the server build many large responses would otherwise leave it with twice its memory. Does nothing
    with another C library.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_MALLOPT_MMAP_THRESHOLD, LARGE_ALLOCATION)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """For the imports of a start: they create no garbage, and the collector would take a fifth of their time. What
    exists at the end of the block is never visited by it."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
