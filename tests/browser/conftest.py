"""A real Chromium and a real server. Requests to other hosts, exceptions and policy violations fail the test."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, Route, WebSocket, async_playwright, expect

from tests.browser.playground import OpenPage
from tests.children import free_port
from tests.process import START_SECONDS
from tests.servers import skip

LIMIT_SECONDS = 20.0
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `roomcast serve` with an empty database."""
    port = free_port()
    folder = tmp_path_factory.mktemp("roomcast")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROOMCAST_")}
    environment |= {
        "ROOMCAST_HOST": "127.0.0.1",
        "ROOMCAST_PORT": str(port),
        "ROOMCAST_DATA_DIR": str(folder / "data"),
    }
    command = [str(Path(sys.executable).with_name("roomcast")), "serve"]
    with (
        (folder / "log").open("w+") as log,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            if not ready(url, process):
                log.seek(0)
                pytest.fail(f"roomcast serve did not become ready:\n{log.read()}")
            yield url
        finally:
            stop(process)


def ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait for /health/ready. Returns False when the process ends before or the time is up."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            if httpx.get(f"{url}/health/ready", trust_env=False).is_success:
                return True
        except httpx.TransportError:
            time.sleep(0.05)
    return False


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(LIMIT_SECONDS)
    finally:
        process.kill()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        skip("no Chromium found: install chromium or set CHROMIUM to its path")
    expect.set_options(timeout=LIMIT_SECONDS * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def open_browser(chromium: Browser, server: str) -> AsyncIterator[OpenPage]:
    """A browser profile that opens paths of the server. Violations of the pages fail the test at the end."""
    violations: list[str] = []

    def is_own_origin(address: str) -> bool:
        parts = urlsplit(address)
        is_own = parts.scheme in {"data", "blob"} or parts.netloc == urlsplit(server).netloc
        if not is_own:
            violations.append(f"requested {address}")
        return is_own

    async def block_other_origins(route: Route) -> None:
        await (route.continue_() if is_own_origin(route.request.url) else route.abort())

    def check_socket(opened: WebSocket) -> None:
        is_own_origin(opened.url)

    def check_console(line: ConsoleMessage) -> None:
        if "Security Policy" in line.text:
            violations.append(line.text)

    async with await chromium.new_context(base_url=server) as context:
        context.set_default_timeout(LIMIT_SECONDS * 1000)
        await context.route("**/*", block_other_origins)
        context.on("weberror", lambda thrown: violations.append(f"threw {thrown.error}"))
        context.on("console", check_console)

        async def open_path(path: str) -> Page:
            page = await context.new_page()
            page.on("websocket", check_socket)
            await page.goto(server + path)
            return page

        yield open_path
    assert not violations


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(chromium: Browser, server: str) -> AsyncIterator[OpenPage]:
    async with open_browser(chromium, server) as open_path:
        yield open_path


@pytest_asyncio.fixture(loop_scope="session")
async def open_elsewhere(chromium: Browser, server: str) -> AsyncIterator[OpenPage]:
    """As `open_page`, in a second browser profile, for another user."""
    async with open_browser(chromium, server) as open_path:
        yield open_path
