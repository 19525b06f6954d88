"""The picture worker: `python -m roomcast.uploads.picture_worker MEMORY_BYTES`.

Reads jobs from standard input and writes the results to standard output, one JSON object per line. Ends when its input
is closed, which also happens when the server process crashes.
"""

import errno
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from roomcast.core.errors import Refused, UnsupportedMediaType
from roomcast.uploads.stripping import strip

try:
    import resource
except ImportError:  # Windows: only the server's time limit applies
    resource = None  # type: ignore[assignment]

NICENESS = 5
"""Requests go first; on a busy machine, the worker still gets about a quarter of a core."""

READ_BYTES = 1024 * 1024
_DISK_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT})
"""Errors of the disk, which no picture can cause."""


def main() -> None:
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of libraries must not mix with replies
    os.umask(0o077)
    if hasattr(os, "nice"):
        with suppress(OSError):
            os.nice(NICENESS)
    with suppress(OSError):  # when the machine runs out of memory, this process is ended first (Linux)
        Path("/proc/self/oom_score_adj").write_text("1000")
    if resource is not None:
        _limit(resource.RLIMIT_AS, int(sys.argv[1]))  # more is a MemoryError; macOS does not keep to it
        _limit(resource.RLIMIT_CORE, 0)
    for line in sys.stdin.buffer:
        replies.write(json.dumps(_run_job(json.loads(line))).encode() + b"\n")
        replies.flush()


def _limit(what: int, value: int) -> None:
    _, most = resource.getrlimit(what)
    with suppress(OSError, ValueError):
        resource.setrlimit(what, (value if most == resource.RLIM_INFINITY else min(value, most), most))


def _run_job(job: Mapping[str, Any]) -> Mapping[str, Any]:
    # The limit counts from now on. A process that uses more CPU time is ended by the system (SIGXCPU).
    if resource is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + job["cpu_seconds"])
    try:
        return _prepare(job)
    except Refused as refused:
        return {"refused": refused.code, "message": refused.message}
    except Exception as error:  # decoders raise many kinds of errors for malformed data
        if isinstance(error, OSError) and error.errno in _DISK_ERRNOS:
            return {"errno": error.errno, "message": os.strerror(error.errno)}
        return {"refused": UnsupportedMediaType.code, "message": "this picture cannot be read"}


def _prepare(job: Mapping[str, Any]) -> Mapping[str, Any]:
    path, sha256, byte_size, picture = Path(job["path"]), None, None, None
    if job["stripped"] is not None:
        target = Path(job["stripped"])
        strip(path, target, job["content_type"])
        path, byte_size = target, target.stat().st_size
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while data := file.read(READ_BYTES):
                digest.update(data)
            sha256 = digest.hexdigest()
    if job["thumbnail"] is not None:
        from roomcast.uploads.picture_decoding import decode_picture  # noqa: PLC0415 (an extra)

        picture = decode_picture(path, job["content_type"], Path(job["thumbnail"]))
    return {"sha256": sha256, "byte_size": byte_size, "picture": picture}


if __name__ == "__main__":
    main()
