"""examples/react-chat as a stranger builds it: packed packages, Vite, Chromium, and connections that are cut."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.strangers import PASSWORD, room_of_two, serve_folder
from tests.clients import node
from tests.clients.packages import install
from tests.clients.proxy import Proxy

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "react-chat"
VITE = ROOT / "web" / "node_modules" / "vite" / "bin" / "vite.js"

pytestmark = [pytest.mark.browser, pytest.mark.node, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture(scope="module")
def built_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the built example."""
    node.require()
    project = tmp_path_factory.mktemp("react-chat") / "project"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("node_modules", "dist"))
    install(project, "js", "react")
    subprocess.run(["node", VITE, "build", "--logLevel", "warn"], cwd=project, check=True)
    with serve_folder(project / "dist") as url:
        yield url


async def open_chat(chromium: Browser, page_url: str, server_url: str, name: str) -> Page:
    page = await (await chromium.new_context()).new_page()
    await page.goto(f"{page_url}/?server={server_url}")
    await page.get_by_placeholder("Name").fill(name)
    await page.get_by_placeholder("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="react lobby")).to_be_visible()
    return page


async def test_a_chat_in_forty_lines_loses_and_repeats_nothing(chromium: Browser, server: str, built_page: str) -> None:
    assert len((EXAMPLE / "src" / "main.jsx").read_text().splitlines()) <= 40
    await room_of_two(server, "react")
    names = ("reactann", "reactbob")
    async with Proxy(server) as proxy:
        pages = [await open_chat(chromium, built_page, proxy.url, name) for name in names]
        sent = []
        for number in range(6):
            box = pages[number % 2].get_by_placeholder("Message")
            await box.fill(f"message {number}")
            await box.press("Enter")
            sent.append(f"{names[number % 2]}: message {number}")
            proxy.cut()
            for page in pages:
                await expect(page.locator("li").filter(has_text="message")).to_have_text(sent)
        for page in pages:
            await page.context.close()
