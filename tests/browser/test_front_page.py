"""The page for who is not signed in: the way in, what roomcast is, and where its doors are."""

import pytest
from playwright.async_api import expect

from tests.browser.playground import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_every_door_of_the_front_page_opens(open_page: OpenPage) -> None:
    page = await open_page("/")
    doors = page.get_by_role("navigation", name="This server").get_by_role("link")
    await expect(doors).to_have_count(4)
    for name in await doors.all_inner_texts():
        door = doors.filter(has_text=name.splitlines()[0])
        answer = await page.request.get(await door.evaluate("link => link.href"), headers={"Accept": "text/html"})
        assert answer.ok, name


async def test_the_front_page_leads_to_graphiql_and_back(open_page: OpenPage) -> None:
    page = await open_page("/")
    await page.get_by_role("link", name="GraphiQL").click()
    await page.get_by_role("link", name="roomcast").click()
    await expect(page.get_by_role("heading", name="roomcast")).to_be_visible()


async def test_the_front_page_fits_a_phone(open_page: OpenPage) -> None:
    page = await open_page("/")
    await page.set_viewport_size({"width": 320, "height": 640})
    await expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") == 320
