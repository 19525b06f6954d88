"""The GraphiQL page: its examples run, and it uses the token of the Headers tab."""

import json
from urllib.parse import urlencode

import pytest
from playwright.async_api import expect

from tests.browser.another_client import create_room, say, sign_up
from tests.browser.playground import OpenPage, answer, editor, open_graphiql, open_tab, run, write

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

EXAMPLES = {
    "SignUp": '"accessToken"',
    "CreateRoom": '"streamCursor"',
    "SendMessage": '"replayed": false',
    "RoomMessages": '"body": "Hello, room!"',
    "History": '"nodes"',
}


async def test_graphiql_opens_with_an_example_in_every_tab(open_page: OpenPage) -> None:
    page = await open_graphiql(open_page)
    await expect(page.get_by_role("tab")).to_contain_text(list(EXAMPLES))
    await expect(editor(page, "Query Editor")).to_contain_text("mutation SignUp")
    await expect(editor(page, "Headers")).to_contain_text('{"Authorization": "Bearer "}')


async def test_the_examples_run_in_order_without_input(open_page: OpenPage) -> None:
    page = await open_graphiql(open_page)
    for name, expected in EXAMPLES.items():
        await open_tab(page, name)
        await run(page)
        await expect(answer(page)).to_contain_text(expected)


async def test_a_query_sends_the_token_of_the_headers_tab(open_page: OpenPage, server: str) -> None:
    token = sign_up(server, "ann")
    page = await open_graphiql(open_page)
    await write(page, "Query Editor", "{ me { user { username } } }")
    await write(page, "Headers", bearer(token))
    await run(page)
    await expect(answer(page)).to_contain_text('"username": "ann"')


async def test_a_subscription_shows_messages_of_another_client(open_page: OpenPage, server: str) -> None:
    token = sign_up(server, "bob")
    room = create_room(server, token, "Kitchen")
    say(server, token, room["id"], "Tea?")
    page = await open_graphiql(open_page)
    await open_tab(page, "RoomMessages")
    await write(page, "Headers", bearer(token))
    await page.get_by_role("button", name="Variables").click()
    await write(page, "Variables", json.dumps({"roomId": room["id"], "after": room["streamCursor"]}))
    await run(page)
    await expect(answer(page)).to_contain_text("Tea?")
    say(server, token, room["id"], "Coffee!")
    await expect(answer(page)).to_contain_text("Coffee!")
    await expect(answer(page)).to_contain_text('"replayed": false')


async def test_the_explorer_shows_the_current_query(open_page: OpenPage) -> None:
    page = await open_graphiql(open_page)
    await page.get_by_role("button", name="Show GraphiQL Explorer").click()
    await expect(page.locator(".docExplorerWrap")).to_contain_text("signup")


async def test_a_link_opens_its_query_and_variables(open_page: OpenPage) -> None:
    link = {"query": "query Linked($id: ID!) { user(id: $id) { id } }", "variables": '{"id": "user_1"}'}
    page = await open_graphiql(open_page, f"/graphql?{urlencode(link)}")
    await expect(editor(page, "Query Editor")).to_contain_text("query Linked")
    await expect(page.get_by_role("tab", selected=True)).to_contain_text("Linked")
    await page.get_by_role("button", name="Variables").click()
    await expect(editor(page, "Variables")).to_contain_text('{"id": "user_1"}')


async def test_input_is_not_kept_after_a_reload(open_page: OpenPage) -> None:
    page = await open_graphiql(open_page)
    await run(page)
    await expect(answer(page)).to_contain_text("accessToken")
    await page.reload()
    await expect(editor(page, "Query Editor")).to_contain_text("mutation SignUp")
    assert await page.evaluate("localStorage.length") == 0


def bearer(token: str) -> str:
    return json.dumps({"Authorization": f"Bearer {token}"})
