"""The API reference in a browser: no request to another origin, search by keyboard, accessibility."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.playground import OpenPage, editor
from tests.servers import skip

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
VIOLATIONS = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .map(({id, nodes}) => `${id}: ${nodes.slice(0, 5).map(({html}) => html).join(" ")}`)"""
WIDTH = "document.documentElement.scrollWidth"


def box(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Search the reference")


def found(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Found").get_by_role("option")


async def type_to_search(page: Page, text: str) -> None:
    """As somebody does whose hands stay on the keyboard."""
    await expect(box(page)).to_be_visible()
    await page.keyboard.press("/")
    await expect(box(page)).to_be_focused()
    await page.keyboard.type(text)


async def test_the_search_finds_by_keyboard_and_without_the_server(open_page: OpenPage) -> None:
    page = await open_page("/docs")
    await expect(box(page)).to_be_visible()
    await page.context.set_offline(True)
    await type_to_search(page, "sendmess")
    await expect(found(page).first).to_have_text("Mutation.sendMessage mutation")
    await expect(found(page).first).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("ArrowDown")
    await expect(found(page).nth(1)).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    heading = page.get_by_role("heading", name="sendMessage", exact=True)
    await expect(heading).to_be_focused()
    await expect(heading).to_be_in_viewport()
    assert page.url.endswith("/docs#Mutation.sendMessage")
    await expect(found(page)).to_have_count(0)
    await page.context.set_offline(False)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("room", "Query.room query"),
        ("room object", "Room object"),
        ("ROOM.NAME", "Room.name field"),
        ("4401", "4401 close code"),
        ("not_found", "NOT_FOUND payload code"),
        ("inbox union", "InboxEvent union"),
        ("datetime", "DateTime scalar"),
    ],
)
async def test_the_best_result_comes_first(open_page: OpenPage, text: str, first: str) -> None:
    page = await open_page("/docs")
    await type_to_search(page, text)
    await expect(found(page).first).to_have_text(first)


async def test_a_search_without_results_says_so_and_escape_ends_it(open_page: OpenPage) -> None:
    page = await open_page("/docs")
    await type_to_search(page, "xyzzy")
    await expect(page.get_by_role("status")).to_have_text("0 results")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Escape")
    await expect(box(page)).to_have_value("")
    await expect(page.get_by_role("status")).to_be_empty()
    assert page.url.endswith("/docs")


async def test_a_result_opens_by_click(open_page: OpenPage) -> None:
    page = await open_page("/docs")
    await type_to_search(page, "SESSION_REVOKED")
    await found(page).first.click()
    await expect(page.locator(":target")).to_contain_text("SESSION_REVOKED")


async def test_without_scripts_the_page_is_there_and_the_search_is_not(open_page: OpenPage) -> None:
    page = await open_page("/")
    await page.context.route("**/search.js", lambda route: route.abort())
    await page.goto(page.url + "docs#Room")
    await expect(page.get_by_role("heading", name="Room", exact=True)).to_be_in_viewport()
    await expect(box(page)).to_be_hidden()


@pytest.mark.parametrize("size", [(320, 640), (1280, 800)], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_and_nothing_is_cut_off(
    open_page: OpenPage, scheme: Any, size: tuple[int, int]
) -> None:
    if not AXE.is_file():
        skip("axe-core is not installed: run make test, or npm ci in web")
    page = await open_page("/docs")
    await page.set_viewport_size({"width": size[0], "height": size[1]})
    await page.emulate_media(color_scheme=scheme)
    await page.reload()
    assert await page.evaluate(WIDTH) == size[0]
    await page.evaluate(AXE.read_text())
    await type_to_search(page, "message")
    await expect(found(page)).to_have_count(30)
    assert await page.evaluate(VIOLATIONS) == []


async def test_a_phone_reaches_an_operation_by_the_contents(open_page: OpenPage) -> None:
    page = await open_page("/")
    await page.set_viewport_size({"width": 320, "height": 640})
    await page.goto(page.url + "docs")
    contents = page.get_by_role("navigation", name="Contents")
    await expect(contents.get_by_role("link", name="markRead", exact=True)).to_be_hidden()
    await contents.get_by_text("Mutations", exact=True).click()
    await contents.get_by_role("link", name="markRead", exact=True).click()
    await expect(page.get_by_role("heading", name="markRead", exact=True)).to_be_in_viewport()


async def test_an_example_opens_in_graphiql(open_page: OpenPage) -> None:
    page = await open_page("/docs")
    example = page.locator("article").filter(has=page.locator("[id='Query.serverInfo']"))
    await example.get_by_role("link", name="Open in GraphiQL").click()
    await expect(editor(page, "Query Editor")).to_contain_text("query ServerInfo")


async def test_the_front_page_and_graphiql_lead_to_the_reference(open_page: OpenPage) -> None:
    page = await open_page("/")
    await page.get_by_role("link", name="API reference").click()
    await expect(page.get_by_role("heading", name="API reference")).to_be_visible()
    await page.get_by_role("link", name="GraphiQL", exact=True).click()
    await page.get_by_role("link", name="API reference").click()
    await expect(page.get_by_role("heading", name="API reference")).to_be_visible()
