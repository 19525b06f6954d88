"""The promise, in a browser: whatever breaks on the way, each message stands on the page once and in its order."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from roomcast.core import sqlite
from tests.browser.another_client import say
from tests.browser.chat_page import Somebody, box, enter, log, row, said, write
from tests.browser.conftest import open_browser
from tests.browser.playground import OpenPage
from tests.clients.proxy import Proxy
from tests.process import SERVE, Process

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LOST = "Connection lost. Reconnecting…"


class Sends:
    """What becomes of a page's sendMessage requests: they pass, are lost, lose their answers, or hang."""

    PASS, LOST, ANSWERS_LOST, HANG = range(4)

    def __init__(self) -> None:
        self.fate = self.PASS

    async def handle(self, route: Route) -> None:
        if self.fate == self.PASS or "sendMessage" not in (route.request.post_data or ""):
            await route.fallback()
        elif self.fate == self.ANSWERS_LOST:
            await route.fetch()
            await route.abort()
        elif self.fate == self.LOST:
            await route.abort()


async def sends_of(page: Page, fate: int) -> Sends:
    sends = Sends()
    sends.fate = fate
    await page.route("**/graphql", sends.handle)
    return sends


async def test_a_message_that_failed_is_sent_once_by_retry(open_page: OpenPage, server: str) -> None:
    ann = Somebody(server, "ann")
    room_id, _ = ann.create_room()
    page = await enter(open_page, ann, room_id)
    sends = await sends_of(page, Sends.LOST)
    await write(page, "try me")
    await expect(row(page, "try me").get_by_role("alert")).to_contain_text("Not sent")
    await write(page, "drop me")
    await row(page, "drop me").get_by_role("button", name="Delete").click()
    sends.fate = Sends.PASS
    await row(page, "try me").get_by_role("button", name="Retry").click()
    await expect(row(page, "try me").get_by_role("button", name="Open thread")).to_be_attached()
    assert await said(page) == ann.heard(room_id) == ["try me"]


async def test_a_message_whose_answer_was_lost_is_there_once(open_page: OpenPage, server: str) -> None:
    ann = Somebody(server, "ann")
    room_id, _ = ann.create_room()
    page = await enter(open_page, ann, room_id)
    sends = await sends_of(page, Sends.ANSWERS_LOST)
    await write(page, "did you get this?")
    await expect(row(page, "did you get this?").get_by_role("button", name="Open thread")).to_be_attached()
    sends.fate = Sends.PASS
    await page.reload()
    await expect(row(page, "did you get this?")).to_be_visible()
    assert await said(page) == ann.heard(room_id) == ["did you get this?"]


async def test_a_reload_in_the_middle_of_a_send_loses_and_repeats_nothing(open_page: OpenPage, server: str) -> None:
    ann = Somebody(server, "ann")
    room_id, _ = ann.create_room()
    page = await enter(open_page, ann, room_id)
    sends = await sends_of(page, Sends.HANG)
    await write(page, "on my way")
    await expect(row(page, "on my way")).to_have_class(re.compile("pending"))
    await box(page).fill("not yet said")
    sends.fate = Sends.PASS
    await page.reload()
    await expect(row(page, "on my way").get_by_role("button", name="Open thread")).to_be_attached()
    await expect(box(page)).to_have_value("not yet said")
    assert await said(page) == ann.heard(room_id) == ["on my way"]


async def test_a_cut_wire_loses_and_repeats_nothing(chromium: Browser, server: str) -> None:
    ann, bob = Somebody(server, "ann"), Somebody(server, "bob")
    room_id, _ = ann.create_room()
    bob.join(room_id)
    async with Proxy(server) as connection, open_browser(chromium, connection.url) as open_page:
        page = await enter(open_page, ann, room_id)
        for number in range(2):
            say(server, bob.token, room_id, f"before {number}")
            connection.rejects = True
            connection.cut()
            say(server, bob.token, room_id, f"during {number}")
            await expect(page.get_by_role("status")).to_have_text(LOST)
            connection.rejects = False
            say(server, bob.token, room_id, f"after {number}")
            await expect(row(page, f"after {number}")).to_be_visible()
            await expect(page.get_by_role("status")).to_have_text("")
        assert await said(page) == ann.heard(room_id)
        await page.close()


async def test_a_killed_server_comes_back_with_everything(chromium: Browser, tmp_path: Path) -> None:
    process = Process(f"sqlite:///{tmp_path}/chat.db", tmp_path)
    await process.start()
    try:
        ann, bob = Somebody(process.url, "ann"), Somebody(process.url, "bob")
        room_id, _ = ann.create_room()
        bob.join(room_id)
        async with open_browser(chromium, process.url) as open_page:
            page = await enter(open_page, ann, room_id)
            await write(page, "so far")
            await expect(row(page, "so far").get_by_role("button", name="Open thread")).to_be_attached()
            await process.kill()
            await write(page, "into the void")
            await expect(row(page, "into the void").get_by_role("alert")).to_be_visible()
            await process.start()
            say(process.url, bob.token, room_id, "back again")
            await expect(row(page, "back again")).to_be_visible()
            await row(page, "into the void").get_by_role("button", name="Retry").click()
            await expect(row(page, "into the void").get_by_role("button", name="Open thread")).to_be_attached()
            await expect(log(page).locator(".failed")).to_have_count(0)
            assert await said(page) == ann.heard(room_id) == ["so far", "back again", "into the void"]
            await page.close()
    finally:
        await process.stop()


async def test_a_server_that_forgot_something_is_believed(chromium: Browser, tmp_path: Path) -> None:
    database, kept = tmp_path / "chat.db", tmp_path / "kept.db"
    process = Process(f"sqlite:///{database}", tmp_path)
    await process.start()
    try:
        ann, bob = Somebody(process.url, "ann"), Somebody(process.url, "bob")
        room_id, _ = ann.create_room()
        bob.join(room_id)
        say(process.url, bob.token, room_id, "kept")
        async with open_browser(chromium, process.url) as open_page:
            page = await enter(open_page, ann, room_id)
            sqlite.copy(database, kept)
            say(process.url, bob.token, room_id, "forgotten")
            await expect(row(page, "forgotten")).to_be_visible()
            await process.kill()
            restore(kept, database)
            await process.start()
            await expect(row(page, "forgotten")).to_have_count(0)
            say(process.url, bob.token, room_id, "new")
            await expect(row(page, "new")).to_be_visible()
            assert await said(page) == ann.heard(room_id) == ["kept", "new"]
            await page.close()
    finally:
        await process.stop()


def restore(kept: Path, database: Path) -> None:
    """As an operator does it: the files put back, and the epoch begun anew."""
    for journal in database.parent.glob(f"{database.name}-*"):
        journal.unlink()
    shutil.copy(kept, database)
    settings = {"ROOMCAST_DATABASE_URL": f"sqlite:///{database}", "ROOMCAST_DATA_DIR": str(database.parent)}
    command = [sys.executable, "-c", SERVE, "after-restore"]
    subprocess.run(command, env=os.environ | settings, cwd=database.parent, check=True, capture_output=True)
