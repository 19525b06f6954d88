"""examples/react-chat as a stranger builds it: packed packages, Vite, Chromium, and connections that are cut."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests.clients import node
from tests.clients.packages import install
from tests.clients.proxy import Proxy

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "react-chat"
VITE = ROOT / "web" / "node_modules" / "vite" / "bin" / "vite.js"
PASSWORD = "a good long pass phrase"

pytestmark = [pytest.mark.browser, pytest.mark.node, pytest.mark.asyncio(loop_scope="session")]


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def built_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the built example."""
    node.require()
    project = tmp_path_factory.mktemp("react-chat") / "project"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("node_modules", "dist"))
    install(project, "js", "react")
    subprocess.run(["node", VITE, "build", "--logLevel", "warn"], cwd=project, check=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(project / "dist"))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def open_chat(chromium: Browser, page_url: str, server_url: str, name: str) -> Page:
    page = await (await chromium.new_context()).new_page()
    await page.goto(f"{page_url}/?server={server_url}")
    await page.get_by_placeholder("Name").fill(name)
    await page.get_by_placeholder("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="react lobby")).to_be_visible()
    return page


async def execute(url: str, token: str | None, document: str, given: dict[str, object]) -> dict[str, object]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(
            f"{url}/graphql", json={"query": document, "variables": {"input": given}}, headers=headers
        )
    [payload] = answer.json()["data"].values()
    assert payload["errors"] == []
    return dict(payload)


async def test_a_chat_in_forty_lines_loses_and_repeats_nothing(chromium: Browser, server: str, built_page: str) -> None:
    assert len((EXAMPLE / "src" / "main.jsx").read_text().splitlines()) <= 40
    signup = "mutation ($input: SignupInput!) { signup(input: $input) { errors { code } tokens { accessToken } } }"
    create = "mutation ($input: CreateRoomInput!) { createRoom(input: $input) { errors { code } room { id } } }"
    join = "mutation ($input: JoinRoomInput!) { joinRoom(input: $input) { errors { code } } }"
    tokens = []
    for name in ("reactann", "reactbob"):
        signed_up = await execute(server, None, signup, {"username": name, "password": PASSWORD})
        tokens.append(str(signed_up["tokens"]["accessToken"]))  # type: ignore[index]
    created = await execute(server, tokens[0], create, {"name": "react lobby"})
    await execute(server, tokens[1], join, {"roomId": created["room"]["id"]})  # type: ignore[index]
    async with Proxy(server) as proxy:
        pages = [await open_chat(chromium, built_page, proxy.url, name) for name in ("reactann", "reactbob")]
        sent = []
        for number in range(6):
            writer, name = pages[number % 2], ("reactann", "reactbob")[number % 2]
            box = writer.get_by_placeholder("Message")
            await box.fill(f"message {number}")
            await box.press("Enter")
            sent.append(f"{name}: message {number}")
            proxy.cut()
            for page in pages:
                await expect(page.locator("li").filter(has_text="message")).to_have_text(sent)
        for page in pages:
            await page.context.close()
