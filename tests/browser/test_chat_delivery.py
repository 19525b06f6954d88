"""Delivery on the chat page: after every kind of failure, each message is shown once and in order."""

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
from tests.browser.chat_page import Account, box, log, open_room, row, shown_messages, write
from tests.browser.conftest import open_browser
from tests.browser.playground import OpenPage
from tests.clients.proxy import Proxy
from tests.process import SERVE, Process

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LOST = "Connection lost. Reconnecting…"


class Sends:
    """Intercepts a page's sendMessage requests: they pass, are lost, lose their responses, or hang."""

    PASS, LOST, RESPONSES_LOST, HANG = range(4)

    def __init__(self) -> None:
        self.outcome = self.PASS

    async def handle(self, route: Route) -> None:
        if self.outcome == self.PASS or "sendMessage" not in (route.request.post_data or ""):
            await route.fallback()
        elif self.outcome == self.RESPONSES_LOST:
            await route.fetch()
            await route.abort()
        elif self.outcome == self.LOST:
            await route.abort()


async def sends_of(page: Page, outcome: int) -> Sends:
    sends = Sends()
    sends.outcome = outcome
    await page.route("**/graphql", sends.handle)
    return sends


async def test_retry_sends_a_failed_message_once(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room_id, _ = ann.create_room()
    page = await open_room(open_page, ann, room_id)
    sends = await sends_of(page, Sends.LOST)
    await write(page, "try me")
    await expect(row(page, "try me").get_by_role("alert")).to_contain_text("Not sent")
    await write(page, "drop me")
    await row(page, "drop me").get_by_role("button", name="Delete").click()
    sends.outcome = Sends.PASS
    await row(page, "try me").get_by_role("button", name="Retry").click()
    await expect(row(page, "try me").get_by_role("button", name="Open thread")).to_be_attached()
    assert await shown_messages(page) == ann.stored_messages(room_id) == ["try me"]


async def test_a_message_whose_response_was_lost_is_shown_once(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room_id, _ = ann.create_room()
    page = await open_room(open_page, ann, room_id)
    sends = await sends_of(page, Sends.RESPONSES_LOST)
    await write(page, "did you get this?")
    await expect(row(page, "did you get this?").get_by_role("button", name="Open thread")).to_be_attached()
    sends.outcome = Sends.PASS
    await page.reload()
    await expect(row(page, "did you get this?")).to_be_visible()
    assert await shown_messages(page) == ann.stored_messages(room_id) == ["did you get this?"]


async def test_a_reload_during_a_send_loses_and_repeats_nothing(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room_id, _ = ann.create_room()
    page = await open_room(open_page, ann, room_id)
    sends = await sends_of(page, Sends.HANG)
    await write(page, "on my way")
    await expect(row(page, "on my way")).to_have_class(re.compile("pending"))
    await box(page).fill("not yet said")
    sends.outcome = Sends.PASS
    await page.reload()
    await expect(row(page, "on my way").get_by_role("button", name="Open thread")).to_be_attached()
    await expect(box(page)).to_have_value("not yet said")
    assert await shown_messages(page) == ann.stored_messages(room_id) == ["on my way"]


async def test_a_cut_connection_loses_and_repeats_nothing(chromium: Browser, server: str) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    room_id, _ = ann.create_room()
    bob.join(room_id)
    async with Proxy(server) as connection, open_browser(chromium, connection.url) as open_page:
        page = await open_room(open_page, ann, room_id)
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
        assert await shown_messages(page) == ann.stored_messages(room_id)
        await page.close()


async def test_a_restarted_server_shows_every_message(chromium: Browser, tmp_path: Path) -> None:
    process = Process(f"sqlite:///{tmp_path}/chat.db", tmp_path)
    await process.start()
    try:
        ann, bob = Account(process.url, "ann"), Account(process.url, "bob")
        room_id, _ = ann.create_room()
        bob.join(room_id)
        async with open_browser(chromium, process.url) as open_page:
            page = await open_room(open_page, ann, room_id)
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
            expected = ["so far", "back again", "into the void"]
            assert await shown_messages(page) == ann.stored_messages(room_id) == expected
            await page.close()
    finally:
        await process.stop()


async def test_the_page_follows_a_server_restored_from_a_backup(chromium: Browser, tmp_path: Path) -> None:
    database, backup = tmp_path / "chat.db", tmp_path / "backup.db"
    process = Process(f"sqlite:///{database}", tmp_path)
    await process.start()
    try:
        ann, bob = Account(process.url, "ann"), Account(process.url, "bob")
        room_id, _ = ann.create_room()
        bob.join(room_id)
        say(process.url, bob.token, room_id, "kept")
        async with open_browser(chromium, process.url) as open_page:
            page = await open_room(open_page, ann, room_id)
            sqlite.copy(database, backup)
            say(process.url, bob.token, room_id, "forgotten")
            await expect(row(page, "forgotten")).to_be_visible()
            await process.kill()
            restore(backup, database)
            await process.start()
            await expect(row(page, "forgotten")).to_have_count(0)
            say(process.url, bob.token, room_id, "new")
            await expect(row(page, "new")).to_be_visible()
            assert await shown_messages(page) == ann.stored_messages(room_id) == ["kept", "new"]
            await page.close()
    finally:
        await process.stop()


def restore(backup: Path, database: Path) -> None:
    """Restore a backup as operators do: copy the files back and start a new epoch."""
    for journal in database.parent.glob(f"{database.name}-*"):
        journal.unlink()
    shutil.copy(backup, database)
    settings = {"ROOMCAST_DATABASE_URL": f"sqlite:///{database}", "ROOMCAST_DATA_DIR": str(database.parent)}
    command = [sys.executable, "-c", SERVE, "after-restore"]
    subprocess.run(command, env=os.environ | settings, cwd=database.parent, check=True, capture_output=True)
