"""File descriptors of this process: every connection takes one."""

import logging
import sys

FEW = 4_096
"""A server with fewer is full before any of its own limits is reached."""

MOST = 1_048_576

log = logging.getLogger("roomcast")


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one, and warn where that is low."""
    if (limit := _raised()) is not None and limit < FEW:
        log.warning("this process may open only %d files and connections: %s", limit, ADVICE)


ADVICE = "raise the hard limit (ulimit -Hn, or LimitNOFILE= of a systemd service) to 65536"


def descriptor_limit() -> int | None:
    """What the limit is or can be raised to; None where there is none."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 (POSIX only)

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)


def _raised() -> int | None:
    wanted = descriptor_limit()
    if sys.platform == "win32" or wanted is None:
        return None
    import resource  # noqa: PLC0415 (POSIX only)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # some systems have a limit below the one they name
            return soft
    return wanted
