"""CPU from the start command to the first answered query, compared with a minimal Strawberry app."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.servers import ROOT, SERVE, free_port
from bench.table import Comparison, Row

HELLO = [sys.executable, "-m", "bench.baselines.hello"]


async def rows(*, quick: bool) -> list[Row]:
    with TemporaryDirectory() as folder:
        seconds_until_answered(SERVE, "ROOMCAST_PORT", folder)  # creates the database
        pairs = [
            (seconds_until_answered(SERVE, "ROOMCAST_PORT", folder), seconds_until_answered(HELLO, "PORT", folder))
            for _ in range(2 if quick else 9)
        ]
    ours, theirs = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    ratio = median(ours / theirs for ours, theirs in pairs)
    what = "import and start to the first answered query, CPU, against a hello-world Strawberry app"
    return [Comparison(what, f"{ours:.2f} s", f"{theirs:.2f} s", ratio, 4)]


def seconds_until_answered(command: list[str], port_variable: str, folder: str) -> float:
    """CPU seconds, so that other load on the machine does not count."""
    port = free_port()
    environment = {**os.environ, port_variable: str(port), "ROOMCAST_DATA_DIR": folder, "ROOMCAST_LOG_LEVEL": "warning"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        _until_answered(f"http://127.0.0.1:{port}/graphql", process)
        return _cpu_seconds(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _until_answered(url: str, process: subprocess.Popen[bytes]) -> None:
    headers = {"content-type": "application/json"}
    asked = urllib.request.Request(url, json.dumps({"query": "{ __typename }"}).encode(), headers)  # noqa: S310
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(asked) as answer:  # noqa: S310 (our own address)
            assert json.load(answer)["data"] == {"__typename": "Query"}
            return
        time.sleep(0.005)
    raise RuntimeError(f"{url} did not come up")


def _cpu_seconds(pid: int) -> float:
    """User and system time of all threads."""
    nanoseconds = sum(
        int(Path(task, "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()
    )
    return nanoseconds / 1e9
