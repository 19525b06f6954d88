"""Sessions on the chat page: token renewal, reloads, several tabs, and revoked sessions."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, WebSocket, expect

from tests.browser.another_client import ask, data_of, say
from tests.browser.chat_page import (
    PASSWORD,
    Account,
    log,
    open_room,
    open_with_session,
    row,
    shown_messages,
    until_open,
    write,
)
from tests.browser.conftest import open_browser
from tests.browser.playground import OpenPage
from tests.process import Process

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LOGIN = "mutation ($input: LoginInput!) { login(input: $input) { errors { code } tokens { accessToken } } }"
SESSIONS = "{ me { sessions { id current } } }"
REVOKE = "mutation ($input: RevokeSessionInput!) { revokeSession(input: $input) { errors { code } } }"
RENEWED = "(old) => JSON.parse(localStorage['roomcast.session']).accessToken !== old"
TOKEN = "JSON.parse(localStorage['roomcast.session']).accessToken"
MAKE_TOKEN_STALE = """() => {
  const session = JSON.parse(localStorage['roomcast.session']);
  localStorage['roomcast.session'] = JSON.stringify({...session, staleAt: 0});
}"""


async def test_tokens_are_renewed_over_the_open_socket(chromium: Browser, tmp_path: Path) -> None:
    process = Process(f"sqlite:///{tmp_path}/chat.db", tmp_path, access_token_seconds=4)
    await process.start()
    try:
        ann = Account(process.url, "ann")
        room_id, _ = ann.create_room()
        async with open_browser(chromium, process.url) as open_page:
            page = await open_with_session(open_page, ann)
            await page.evaluate(MAKE_TOKEN_STALE)  # so that the page starts with a new token
            sockets: list[WebSocket] = []
            sent: list[str] = []
            page.on("websocket", lambda opened: sockets.append(opened))
            page.on("websocket", lambda opened: opened.on("framesent", lambda frame: sent.append(str(frame))))
            await page.goto(f"/#{room_id}")
            await until_open(page)
            for text in ("with one token", "with the next"):
                token = await page.evaluate(TOKEN)
                await write(page, text)
                await expect(row(page, text).get_by_role("button", name="Open thread")).to_be_attached()
                await page.wait_for_function(RENEWED, arg=token)
            assert await shown_messages(page) == ["with one token", "with the next"]
            assert len(sockets) == 1
            assert sum("refreshSession" in frame for frame in sent) >= 2
            await page.close()
    finally:
        await process.stop()


async def test_a_page_with_an_expired_token_renews_it(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room_id, _ = ann.create_room()
    page = await open_room(open_page, ann, room_id)
    old = await page.evaluate(TOKEN)
    await page.evaluate(MAKE_TOKEN_STALE)
    await page.reload()
    await until_open(page)
    assert await page.evaluate(TOKEN) != old
    await write(page, "good morning")
    await expect(row(page, "good morning").get_by_role("button", name="Open thread")).to_be_attached()


async def test_two_tabs_share_one_session(open_page: OpenPage, server: str) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    room_id, _ = ann.create_room()
    bob.join(room_id)
    one = await open_room(open_page, ann, room_id)
    other = await open_page(f"/#{room_id}")
    await until_open(other)
    await write(one, "from one tab")
    await expect(row(other, "from one tab")).to_be_visible()
    say(server, bob.token, room_id, "hello, both")
    for page in (one, other):
        await expect(row(page, "hello, both")).to_be_visible()
    await one.get_by_role("button", name="Sign out").click()
    await expect(other.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_revoked_session_signs_the_page_out(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room_id, _ = ann.create_room()
    page = await open_room(open_page, ann, room_id)
    signed_in = ask(server, LOGIN, {"input": {"usernameOrEmail": ann.name, "password": PASSWORD}})
    token = signed_in["tokens"]["accessToken"]
    for session in data_of(server, SESSIONS, {}, token)["me"]["sessions"]:
        if not session["current"]:
            ask(server, REVOKE, {"input": {"sessionId": session["id"]}}, token)
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await expect(log(page)).to_have_count(0)
