"""The first account of a server in production, by the link that the server logs."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.api_clients import PASSWORD
from tests.browser.chat_page import rooms
from tests.browser.conftest import open_browser
from tests.process import Process

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_logged_setup_link_creates_the_first_account(chromium: Browser, tmp_path: Path) -> None:
    server = Process("", tmp_path, profile="production")
    await server.start()
    try:
        found = re.search(r"set-up token ([0-9a-f]{32})\.", server.log_text())
        assert found is not None
        async with open_browser(chromium, server.url) as open_path:
            page = await open_path(f"/#setup={found[1]}")
            await page.get_by_label("Username").fill("admin")
            await page.get_by_label("Password").fill(PASSWORD)
            await page.get_by_role("button", name="Create account").click()
            await expect(rooms(page)).to_be_visible()
            assert found[1] not in page.url
    finally:
        await server.stop()
