"""The page for visitors who are not signed in: the sign-in form and the links of the server."""

import pytest
from playwright.async_api import expect

from tests.browser.playground import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_every_link_of_the_front_page_works(open_page: OpenPage) -> None:
    page = await open_page("/")
    links = page.get_by_role("navigation", name="This server").get_by_role("link")
    await expect(links).to_have_count(4)
    for name in await links.all_inner_texts():
        link = links.filter(has_text=name.splitlines()[0])
        answer = await page.request.get(await link.evaluate("link => link.href"), headers={"Accept": "text/html"})
        assert answer.ok, name


async def test_the_front_page_links_to_graphiql_and_back(open_page: OpenPage) -> None:
    page = await open_page("/")
    await page.get_by_role("link", name="GraphiQL").click()
    await page.get_by_role("link", name="roomcast").click()
    await expect(page.get_by_role("heading", name="roomcast")).to_be_visible()


async def test_the_front_page_fits_a_phone(open_page: OpenPage) -> None:
    page = await open_page("/")
    await page.set_viewport_size({"width": 320, "height": 640})
    await expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") == 320
