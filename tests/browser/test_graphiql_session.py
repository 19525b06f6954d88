"""GraphiQL in the session of the chat page: after a click, for that user, until the sign-out. No token is copied."""

import json
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, Page, Request, expect

from tests.browser.another_client import create_room, say
from tests.browser.chat_page import Account, new_name, open_with_session
from tests.browser.conftest import open_browser
from tests.browser.playground import (
    OpenPage,
    answer,
    editor,
    event_count,
    open_graphiql,
    run,
    session_button,
    until_stored,
    use_session,
    write,
)
from tests.process import Process

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WHO = "query Who { me { user { username } } }"
LISTEN = 'subscription Listen { roomMessages(roomId: "%s", after: "%s") { message { body } } }'
STORED = "JSON.parse(localStorage['roomcast.session'])"
CHANGE = f"(change) => localStorage['roomcast.session'] = JSON.stringify({{...{STORED}, ...change}})"
RENEWED = f"(old) => {STORED}.accessToken !== old"
KEPT = "JSON.stringify([Object.entries(sessionStorage), history.state, document.cookie, location.href])"


async def open_graphiql_signed_in(open_page: OpenPage, who: Account) -> Page:
    """GraphiQL in the browser of somebody who is signed in on the chat page."""
    await (await open_with_session(open_page, who)).close()
    return await open_graphiql(open_page)


async def ask_who(page: Page) -> None:
    await write(page, "Query Editor", WHO)
    await run(page)


async def test_one_click_makes_the_pages_session_the_token(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    page = await open_graphiql_signed_in(open_page, ann)
    await ask_who(page)
    await expect(answer(page)).to_contain_text('"me": null')
    await use_session(page)
    await run(page)
    await expect(answer(page)).to_contain_text(f'"username": "{ann.name}"')
    await session_button(page).click()
    await run(page)
    await expect(answer(page)).to_contain_text('"me": null')


async def test_without_a_session_there_is_nothing_to_click(open_page: OpenPage) -> None:
    page = await open_graphiql(open_page)
    await expect(session_button(page)).to_be_disabled()


async def test_a_token_in_headers_is_sent_instead(open_page: OpenPage, server: str) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    page = await open_graphiql_signed_in(open_page, ann)
    await use_session(page)
    await write(page, "Headers", json.dumps({"authorization": f"Bearer {bob.token}"}))
    await ask_who(page)
    await expect(answer(page)).to_contain_text(f'"username": "{bob.name}"')


async def test_a_link_or_a_reload_cannot_make_the_click(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    page = await open_graphiql_signed_in(open_page, ann)
    await use_session(page)
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    await page.goto(f"{server}/graphql?{urlencode({'query': WHO})}")
    await expect(page.get_by_role("note")).to_contain_text("from a link")
    await expect(session_button(page)).to_have_attribute("aria-pressed", "false")
    await run(page)
    await expect(answer(page)).to_contain_text('"me": null')
    assert sent
    assert not any("authorization" in request.headers for request in sent)


async def test_the_token_is_in_no_storage_and_no_address(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room = create_room(server, ann.token, new_name("room"))
    page = await open_graphiql_signed_in(open_page, ann)
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.on("websocket", lambda socket: addresses.append(socket.url))
    await use_session(page)
    await ask_who(page)
    await expect(answer(page)).to_contain_text(ann.name)
    await listen(page, room)
    await expect(event_count(page)).to_be_visible()
    await until_stored(page, "Listen")
    await page.get_by_role("button", name="Stop query").click()
    await run(page)
    await until_stored(page, "Listen", "queries")
    kept = await page.evaluate(KEPT)
    assert any(address.startswith("ws") for address in addresses)
    for secret in (ann.token, json.loads(ann.session)["refreshToken"]):
        assert secret not in kept
        assert not any(secret in address for address in addresses)
    assert await page.evaluate("Object.keys(localStorage)") == ["roomcast.session"]
    await expect(editor(page, "Headers")).to_contain_text('{"Authorization": "Bearer "}')


async def test_signing_out_on_the_page_ends_the_use(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room = create_room(server, ann.token, new_name("room"))
    chat = await open_with_session(open_page, ann)
    await chat.goto(f"/#{room['id']}")
    page = await open_graphiql(open_page)
    await use_session(page)
    await listen(page, room)
    await until_live(page, ann, room["id"])
    await chat.get_by_role("button", name="Sign out").click()
    await expect(session_button(page)).to_be_disabled()
    await expect(page.get_by_role("button", name="Execute query")).to_be_visible()
    await ask_who(page)
    await expect(answer(page)).to_contain_text('"me": null')


async def test_no_longer_using_the_session_ends_its_subscriptions(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room = create_room(server, ann.token, new_name("room"))
    page = await open_graphiql_signed_in(open_page, ann)
    await use_session(page)
    await listen(page, room)
    await until_live(page, ann, room["id"])
    await session_button(page).click()
    await expect(answer(page)).to_contain_text('"closed": "The session of the chat page is no longer used."')
    await expect(page.get_by_role("button", name="Execute query")).to_be_visible()


async def test_the_next_user_of_the_page_is_not_used(open_page: OpenPage, server: str) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    page = await open_graphiql_signed_in(open_page, ann)
    await use_session(page)
    await open_with_session(open_page, bob)
    await expect(session_button(page)).to_have_attribute("aria-pressed", "false")
    await expect(session_button(page)).to_be_enabled()
    await ask_who(page)
    await expect(answer(page)).to_contain_text('"me": null')


@pytest.mark.parametrize(
    "change",
    [{"staleAt": 0}, {"accessToken": "an.invalid.token"}],
    ids=["stale by the clock", "refused by the server"],
)
async def test_an_expired_token_is_refreshed(open_page: OpenPage, server: str, change: dict[str, object]) -> None:
    ann = Account(server, "ann")
    page = await open_graphiql_signed_in(open_page, ann)
    await page.evaluate(CHANGE, change)
    old = await page.evaluate(f"{STORED}.accessToken")
    await use_session(page)
    await ask_who(page)
    await expect(answer(page)).to_contain_text(f'"username": "{ann.name}"')
    session = await page.evaluate(STORED)
    assert session["accessToken"] != old
    assert session["staleAt"] > 0
    assert session["userId"] == json.loads(ann.session)["userId"]


async def test_a_session_that_cannot_be_refreshed_says_what_to_do(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    page = await open_graphiql_signed_in(open_page, ann)
    await page.evaluate(CHANGE, {"staleAt": 0, "refreshToken": "unknown"})
    await use_session(page)
    await ask_who(page)
    await expect(answer(page)).to_contain_text("Sign in there again")


async def test_a_subscription_outlives_its_token(chromium: Browser, tmp_path: Path) -> None:
    process = Process(f"sqlite:///{tmp_path}/chat.db", tmp_path, access_token_seconds=4)
    await process.start()
    try:
        ann = Account(process.url, "ann")
        room = create_room(process.url, ann.token, new_name("room"))
        async with open_browser(chromium, process.url) as open_page:
            page = await open_graphiql_signed_in(open_page, ann)
            await page.evaluate(CHANGE, {"staleAt": 0})
            await use_session(page)
            await listen(page, room)
            await page.wait_for_function(RENEWED, arg=ann.token)
            for _ in range(2):
                token = await page.evaluate(f"{STORED}.accessToken")
                await page.wait_for_function(RENEWED, arg=token)
            ann.token = await page.evaluate(f"{STORED}.accessToken")
            await until_live(page, ann, room["id"])
            assert '"closed"' not in await answer(page).inner_text()
            await page.close()
    finally:
        await process.stop()


async def listen(page: Page, room: dict[str, str]) -> None:
    """Subscribe from the room's cursor: no later message is missed."""
    await write(page, "Query Editor", LISTEN % (room["id"], room["streamCursor"]))
    await run(page)


async def until_live(page: Page, who: Account, room_id: str) -> None:
    """Until the running subscription has shown a message."""
    say(who.server, who.token, room_id, "Are you there?")
    await expect(answer(page)).to_contain_text("Are you there?")
