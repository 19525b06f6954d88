"""What GraphiQL keeps over a reload: the tabs, without their secrets. Its list of events, its layout on a phone."""

import json
import re

import pytest
from playwright.async_api import FloatRect, Page, ViewportSize, expect

from tests.browser.another_client import create_room, say, sign_up
from tests.browser.chat_page import new_name
from tests.browser.playground import (
    OpenPage,
    answer,
    editor,
    event_count,
    open_graphiql,
    open_tab,
    run,
    until_stored,
    write,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PHONE: ViewportSize = {"width": 390, "height": 844}
QUERY = """query Mine($password: String = "default-secret", $name: String) {
  me { user { username } }
  room(id: "room_1", inviteToken: "inline-secret", note: \"\"\"kept block\"\"\"
    secret: \"\"\"block-secret\"\"\") { id }
}"""
VARIABLES = {
    "name": "kept name",
    "input": {"password": "nested-secret", "newPassword": 987654321, "refreshToken": "refresh-secret"},
    "apiKeys": ["listed-secret"],
    "authorId": "kept author",
    "note": "Bearer bearer-secret",
}
SECRETS = [
    *("default-secret", "inline-secret", "block-secret", "nested-secret", "987654321", "refresh-secret"),
    *("listed-secret", "bearer-secret", "header-secret", "cookie-secret"),
]
LISTEN = 'subscription Listen { roomMessages(roomId: "%s", after: "%s") { message { body } } }'
STORED = "JSON.stringify([Object.entries(sessionStorage), Object.entries(localStorage)])"
RESULT = "document.querySelector('.result-window .CodeMirror').CodeMirror.getValue()"


async def write_a_tab(page: Page, name: str, variables: str) -> None:
    await page.get_by_role("button", name="New tab").click()
    await write(page, "Query Editor", QUERY.replace("Mine", name))
    await write(page, "Headers", json.dumps({"Authorization": "Bearer header-secret", "X-Cookie": "cookie-secret"}))
    await page.get_by_role("button", name="Variables").click()
    await write(page, "Variables", variables)
    await page.get_by_role("button", name="Headers").click()


async def test_tabs_outlive_a_reload_without_their_secrets(open_page: OpenPage) -> None:
    page = await open_graphiql(open_page)
    unfinished = '{"name": "kept draft", "password": "nested-secret'
    await write_a_tab(page, "First", unfinished)
    await write_a_tab(page, "Second", json.dumps(VARIABLES))
    await until_stored(page, "kept draft")
    await until_stored(page, "kept author")
    await run(page)
    await until_stored(page, "kept author", "queries")
    stored = await page.evaluate(STORED)
    assert [secret for secret in SECRETS if secret in stored] == []

    await page.reload()
    await expect(editor(page, "Query Editor")).to_contain_text("query Second($password: String")
    await expect(editor(page, "Query Editor")).to_contain_text("kept block")
    await page.get_by_role("button", name="Variables").click()
    await expect(editor(page, "Variables")).to_contain_text('"name": "kept name"')
    await expect(editor(page, "Variables")).to_contain_text('"password": ""')
    await expect(page.get_by_role("tab")).to_have_count(7)
    await open_tab(page, "First")
    await expect(editor(page, "Variables")).to_contain_text('"name": "kept draft", "password": ""')


async def test_a_reload_opens_the_tab_that_was_open(open_page: OpenPage) -> None:
    page = await open_graphiql(open_page, "/graphql?query=query+Linked+%7B+me+%7B+user+%7B+id+%7D+%7D+%7D")
    assert page.url.endswith("/graphql")
    await write(page, "Query Editor", "query Edited { me { user { id } } }")
    await until_stored(page, "query Edited")
    await open_tab(page, "History")
    await page.wait_for_function("() => JSON.parse(sessionStorage['graphiql:tabState']).activeTabIndex === 5")
    await page.reload()
    await expect(page.get_by_role("tab", selected=True)).to_contain_text("History")
    await expect(page.get_by_role("tab")).to_have_count(6)
    await open_tab(page, "Edited")
    await expect(editor(page, "Query Editor")).to_contain_text("query Edited")


async def test_live_events_are_listed_and_counted(open_page: OpenPage, server: str) -> None:
    token = sign_up(server, new_name("lister"))
    room = create_room(server, token, new_name("Kitchen"))
    page = await open_graphiql(open_page)
    await listen(page, token, room)
    for text in ("one", "two", "three"):
        say(server, token, room["id"], text)
    await expect(event_count(page)).to_have_text("3 events, newest first")
    await page.wait_for_function(f"() => {RESULT}.includes('three')")  # the count is shown before the editor is filled
    bodies = re.findall(r'"body": "(\w+)"', await page.evaluate(RESULT))
    assert bodies == ["three", "two", "one"]

    await page.get_by_role("button", name="Clear events").click()
    await expect(event_count(page)).to_have_text("0 events, newest first")
    await expect(answer(page)).not_to_contain_text("three")
    say(server, token, room["id"], "four")
    await expect(event_count(page)).to_have_text("1 event, newest first")
    await expect(answer(page)).to_contain_text('"body": "four"')

    await page.get_by_role("button", name="Stop query").click()
    await expect(page.get_by_role("button", name="Execute query")).to_be_visible()
    await expect(answer(page)).to_contain_text('"body": "four"')
    await write(page, "Query Editor", "query Plain { serverInfo { version } }")
    await run(page)
    await expect(answer(page)).to_contain_text("serverInfo")
    await expect(event_count(page)).to_have_count(0)


async def test_the_events_of_one_tab_are_not_shown_in_another(open_page: OpenPage, server: str) -> None:
    token = sign_up(server, new_name("switcher"))
    room = create_room(server, token, new_name("Kitchen"))
    page = await open_graphiql(open_page)
    await listen(page, token, room)
    say(server, token, room["id"], "in the first tab")
    await expect(answer(page)).to_contain_text("in the first tab")
    await open_tab(page, "History")
    await expect(event_count(page)).to_have_count(0)
    say(server, token, room["id"], "after the first tab")
    await write(page, "Query Editor", "query Plain { serverInfo { version } }")
    await run(page)
    await expect(answer(page)).to_contain_text("serverInfo")
    await expect(answer(page)).not_to_contain_text("first tab")


async def test_a_refused_subscription_says_why(open_page: OpenPage) -> None:
    page = await open_graphiql(open_page)
    await listen(page, "not.a.token", {"id": "room_1", "streamCursor": "none"})
    await expect(answer(page)).to_contain_text("The connection was closed (4401")
    await listen(page, "", {"id": "room_1", "streamCursor": "none"})
    await expect(answer(page)).to_contain_text("UNAUTHENTICATED")
    await expect(page.get_by_role("button", name="Execute query")).to_be_visible()


async def test_graphiql_is_usable_on_a_phone(open_page: OpenPage) -> None:
    page = await open_page("/static/icon.svg")
    await page.set_viewport_size(PHONE)
    await page.goto("/graphql")
    await expect(editor(page, "Query Editor")).to_contain_text("mutation SignUp")
    await write(page, "Query Editor", "query Plain { serverInfo { version } }")
    await run(page)
    await expect(answer(page)).to_contain_text("serverInfo")
    assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    query = await box(page, "[aria-label='Query Editor']")
    result = await box(page, "[aria-label='Result Window']")
    assert query["y"] + query["height"] <= result["y"]
    for part in (query, result):
        assert part["width"] > 300
        assert part["height"] > 150
    for name in ("Use my session", "Execute query", "New tab", "Variables", "Show Documentation Explorer"):
        assert is_inside(await box(page, f"button:is([aria-label^='{name}'], :text-is('{name}'))"))
    for link in ("/docs", "/"):
        assert is_inside(await box(page, f"a[href='{link}']"))
    await page.get_by_role("button", name="Show Documentation Explorer").click()
    assert (await box(page, ".graphiql-plugin"))["width"] > 300
    await page.get_by_role("button", name="Hide Documentation Explorer").click()
    await expect(page.get_by_role("button", name="Execute query")).to_be_in_viewport()
    await run(page)


async def test_the_page_links_to_the_reference_and_the_chat_page(open_page: OpenPage) -> None:
    page = await open_graphiql(open_page)
    await expect(page.get_by_role("link", name="API reference")).to_have_attribute("href", "/docs")
    await expect(page.get_by_role("link", name="roomcast")).to_have_attribute("href", "/")


async def listen(page: Page, token: str, room: dict[str, str]) -> None:
    """Subscribe from the room's cursor: no later message is missed."""
    await write(page, "Headers", json.dumps({"Authorization": f"Bearer {token}"}))
    await write(page, "Query Editor", LISTEN % (room["id"], room["streamCursor"]))
    await run(page)


async def box(page: Page, selector: str) -> FloatRect:
    found = await page.locator(selector).first.bounding_box()
    assert found is not None, selector
    return found


def is_inside(part: FloatRect) -> bool:
    right, bottom = part["x"] + part["width"], part["y"] + part["height"]
    return part["x"] >= 0 and right <= PHONE["width"] and bottom <= PHONE["height"]
