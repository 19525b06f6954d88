"""The front page: what roomcast is, where its doors are, and five operations to take along."""

import pytest
from playwright.async_api import expect

from tests.browser.playground import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_every_door_of_the_front_page_opens(open_page: OpenPage) -> None:
    page = await open_page("/")
    doors = page.get_by_role("navigation").get_by_role("link")
    for name in await doors.all_inner_texts():
        door = doors.filter(has_text=name.splitlines()[0])
        answer = await page.request.get(await door.evaluate("link => link.href"), headers={"Accept": "text/html"})
        assert answer.ok, name


async def test_the_front_page_leads_to_graphiql_and_back(open_page: OpenPage) -> None:
    page = await open_page("/")
    await page.get_by_role("link", name="Open GraphiQL").click()
    await page.get_by_role("link", name="roomcast").click()
    await expect(page.get_by_role("heading", name="roomcast")).to_be_visible()


async def test_the_front_page_shows_the_operations_that_wait_in_graphiql(open_page: OpenPage) -> None:
    page = await open_page("/")
    shown = await page.locator("pre").all_text_contents()
    waiting = await page.evaluate(
        """async () => (await import("/static/graphiql/examples.js")).examples.map(({ query }) => query)"""
    )
    assert shown == [without_comments(query) for query in waiting]


async def test_an_operation_is_copied_at_a_press(open_page: OpenPage) -> None:
    page = await open_page("/")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Copy CreateRoom").click()
    await expect(page.get_by_role("status")).to_have_text("CreateRoom is on the clipboard.")
    assert "createRoom(input: $input)" in await page.evaluate("navigator.clipboard.readText()")


async def test_the_front_page_fits_a_phone(open_page: OpenPage) -> None:
    page = await open_page("/")
    await page.set_viewport_size({"width": 320, "height": 640})
    assert await page.evaluate("document.documentElement.scrollWidth") == 320


def without_comments(query: str) -> str:
    return "\n".join(line for line in query.strip().splitlines() if not line.startswith("#"))
