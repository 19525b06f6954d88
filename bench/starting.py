"""CPU from the start command to the first answered query, compared with a minimal Strawberry app."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from functools import partial
from tempfile import TemporaryDirectory

from bench.rounds import alternate
from bench.servers import SERVE, ServerProcess, free_port, start_on_server_core
from bench.table import Row

HELLO = [sys.executable, "-m", "bench.baselines.hello"]


async def rows(*, quick: bool) -> list[Row]:
    with TemporaryDirectory() as folder:
        await seconds_until_answered(SERVE, "ROOMCAST_PORT", folder)  # creates the database
        found = await alternate(
            2 if quick else 9,
            partial(seconds_until_answered, SERVE, "ROOMCAST_PORT", folder),
            partial(seconds_until_answered, HELLO, "PORT", folder),
        )
    what = "cold start to the first answered query, CPU, against a hello-world Strawberry app"
    return [found.comparison(what, "s", 3)]


async def seconds_until_answered(command: list[str], port_variable: str, folder: str) -> float:
    """CPU seconds, so that other load on the machine does not count."""
    port = free_port()
    environment = {port_variable: str(port), "ROOMCAST_DATA_DIR": folder, "ROOMCAST_LOG_LEVEL": "warning"}
    process = start_on_server_core(command, environment)
    try:
        _until_answered(f"http://127.0.0.1:{port}/graphql", process)
        return ServerProcess(port, process.pid).cpu_seconds()
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
