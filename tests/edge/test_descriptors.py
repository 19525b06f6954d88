"""A process without free file descriptors says so, in the log and in its metrics."""

import asyncio
import errno
import logging
import resource
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from roomcast.core.loop_watch import LoopWatch
from tests.process import processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sets a limit of another process")


async def test_a_process_without_free_descriptors_logs_it_once_and_counts_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'roomcast.db'}"
    async with processes(1, url, tmp_path, migrate_on_start="true") as [process], httpx.AsyncClient() as scraper:
        await scraper.get(f"{process.url}/metrics")  # opens the connection that stays usable
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (open_files(process.pid) + 8, hard))
        host, port = process.url.removeprefix("http://").split(":")
        with ExitStack() as stack:
            for _ in range(30):
                stack.enter_context(socket.create_connection((host, int(port))))
            async with asyncio.timeout(20):
                while "no file descriptor is free" not in process.log_text():  # noqa: ASYNC110 (another process)
                    await asyncio.sleep(0.1)
            page = (await scraper.get(f"{process.url}/metrics")).text
            [count] = [
                line.split()[1] for line in page.splitlines() if line.startswith("roomcast_accept_failures_total")
            ]
            assert float(count) >= 1
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (soft, hard))
        assert process.log_text().count("no file descriptor is free") == 1


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def test_an_accept_that_fails_is_counted_and_other_exceptions_are_passed_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop, seen = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _loop, context: seen.append(context))
    watch = LoopWatch()
    await watch.start()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            loop.call_exception_handler({"message": "accept", "exception": OSError(errno.EMFILE, "too many files")})
    loop.call_exception_handler({"message": "another"})
    await watch.stop()
    assert watch.accept_failures == 3
    assert len(caplog.records) == 1
    assert [context["message"] for context in seen] == ["another"]
    loop.call_exception_handler({"message": "afterwards"})
    assert len(seen) == 2
    loop.set_exception_handler(None)
