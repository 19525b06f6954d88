"""`<roomcast-room>` in a page of another origin: three lines, and connections that are cut."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.strangers import room_of_two, serve_folder
from tests.clients import node
from tests.clients.packages import install
from tests.clients.proxy import Proxy

PAGE = """<!doctype html><title>A page</title>
<script type="module" src="/roomcast-room.js"></script>
<roomcast-room server="{server}" room="{room}" token="{token}"></roomcast-room>
"""

pytestmark = [pytest.mark.browser, pytest.mark.node, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with the script, and the address under which it is served."""
    node.require()
    project = tmp_path_factory.mktemp("element")
    packages = install(project, "element")
    public = project / "public"
    public.mkdir()
    shutil.copy(packages / "@roomcast" / "element" / "dist" / "roomcast-room.js", public)
    with serve_folder(public) as url:
        yield public, url


async def open_page(chromium: Browser, url: str, errors: list[str]) -> Page:
    page = await (await chromium.new_context()).new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(url)
    return page


async def test_three_lines_of_html_show_a_room(chromium: Browser, server: str, folder: tuple[Path, str]) -> None:
    public, url = folder
    room, tokens = await room_of_two(server, "element")
    errors: list[str] = []
    async with Proxy(server) as proxy:
        for number, token in enumerate(tokens):
            text = PAGE.format(server=proxy.url, room=room, token=token)
            (public / f"{number}.html").write_text(text)
            assert len(text.splitlines()) == 3
        pages = [await open_page(chromium, f"{url}/{number}.html", errors) for number in range(2)]
        sent = []
        for number in range(6):
            box = pages[number % 2].get_by_role("textbox", name="Write a message")
            await expect(pages[number % 2].get_by_role("log").locator("li").first).to_be_visible()
            await box.fill(f"**message** {number} <img src=x onerror=alert(1)>")
            await box.press("Enter")
            sent.append(f"message {number}")
            proxy.cut()
            for page in pages:
                await expect(page.get_by_role("log").locator("li").filter(has_text="message")).to_contain_text(sent)
        assert await pages[0].locator("roomcast-room img").count() == 0
        assert await pages[0].locator("roomcast-room strong").count() == 6
        for page in pages:
            await page.context.close()
    assert errors == []


async def test_a_room_that_may_not_be_read_fires_an_error(
    chromium: Browser, server: str, folder: tuple[Path, str]
) -> None:
    public, url = folder
    _, [token, _] = await room_of_two(server, "refused")
    (public / "refused.html").write_text(PAGE.format(server=server, room="room_nothing", token=token))
    page = await (await chromium.new_context()).new_page()
    await page.add_init_script(
        "window.refused = new Promise((resolve) =>"
        " addEventListener('roomcast-error', ({ detail }) => resolve(detail.code), true));"
    )
    await page.goto(f"{url}/refused.html")
    assert await page.evaluate("window.refused") in ("NOT_FOUND", "BAD_USER_INPUT")
    await page.context.close()
