"""No user content runs as a script: in GraphiQL, in the chat page, or in a page that embeds our HTML."""

import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from playwright.async_api import FilePayload, Page, expect

from tests.browser import chat_page
from tests.browser.another_client import ask, create_room, data_of, sign_up
from tests.browser.chat_page import log, rooms, row, sign_in, until_open
from tests.browser.playground import OpenPage, answer, editor, open_graphiql, run, write
from tests.messages.corpus import XSS

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ROOM: Final = "mutation M($input: CreateRoomInput!) { createRoom(input: $input) { errors { code } room { id } } }"
RENAME: Final = "mutation M($input: UpdateRoomInput!) { updateRoom(input: $input) { errors { code } } }"
PROFILE: Final = "mutation M($input: UpdateProfileInput!) { updateProfile(input: $input) { errors { code } } }"
SEND: Final = "mutation M($input: SendMessageInput!) { sendMessage(input: $input) { errors { code } message { id } } }"

PEOPLE: Final = "{ me { user { username displayName bio } } }"
ROOMS: Final = "{ rooms(first: 100) { nodes { name topic description createdBy { displayName } } } }"
MESSAGES: Final = "nodes { body bodyHtml kind author { displayName } replyTo { body } }"
HISTORY: Final = (
    "query History($id: ID!, $root: ID!) { messages(roomId: $id, last: 100) { " + MESSAGES + " } "
    "thread: messages(roomId: $id, last: 100, threadRootId: $root) { " + MESSAGES + " } "
    'searchMessages(query: "alert", first: 100) { edges { snippetHtml node { body } } } }'
)

ALARM = "void (window.alert = async (text) => { await window.alarm(String(text)); window.isAlarmRaised = true; })"
INSERT = """(pieces) => {
  for (const piece of pieces) document.body.appendChild(document.createElement("div")).innerHTML = piece;
  for (const one of document.querySelectorAll("body *"))
    for (const kind of ["mouseover", "focus", "toggle", "animationstart"]) one.dispatchEvent(new Event(kind));
  return [...document.querySelectorAll("a[href]")].map((link) => new URL(link.getAttribute("href")).protocol);
}"""
TOUCH_ALL = """() => {
  for (const one of document.querySelectorAll("body *"))
    for (const kind of ["mouseover", "focus", "toggle", "animationstart"]) one.dispatchEvent(new Event(kind));
  return [...document.querySelectorAll("a[href]")].map((link) => new URL(link.href).protocol);
}"""
SHOW_ALL = "document.querySelector('.result-window .CodeMirror').CodeMirror.setOption('viewportMargin', Infinity)"
RAISE_ALARM = "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"alert(`it works`)\">')"


@dataclass(frozen=True)
class HostileContent:
    """A room that contains the whole corpus, on a server with names from the corpus."""

    token: str
    room_id: str
    root_id: str


@pytest.fixture(scope="module")
def hostile_content(server: str) -> HostileContent:
    """Store the corpus as bodies, names, topics, descriptions and profile fields, wherever it is accepted."""
    token = sign_up(server, "mallory")
    room_id = create_room(server, token, "Trap")["id"]
    root = ask(server, SEND, {"input": {"roomId": room_id, "body": XSS[0]}}, token)["message"]["id"]
    mutations: list[tuple[str, dict[str, Any]]] = []
    for number, text in enumerate(XSS):
        mutations += [
            (SEND, {"roomId": room_id, "body": text, "replyToId": root}),
            (SEND, {"roomId": room_id, "body": text, "threadRootId": root}),
            (RENAME, {"roomId": room_id, "name": text}),
            (ROOM, {"name": f"{number}{text}"[:80], "topic": text, "description": text}),
            (PROFILE, {"displayName": text[:64], "bio": text}),
        ]
    answers = [data_of(server, mutation, {"input": arguments}, token) for mutation, arguments in mutations]
    accepted = [payload for (payload,) in map(dict.values, answers) if not payload["errors"]]
    assert len(accepted) > 0.8 * len(mutations), "too few inputs were accepted"
    return HostileContent(token, room_id, root)


async def test_graphiql_shows_the_corpus_and_runs_no_script(
    open_page: OpenPage, hostile_content: HostileContent
) -> None:
    page = await open_graphiql(open_page)
    executed = await record_alerts(page)
    await write(page, "Headers", json.dumps({"Authorization": f"Bearer {hostile_content.token}"}))
    await page.get_by_role("button", name="Variables").click()
    await write(page, "Variables", json.dumps({"id": hostile_content.room_id, "root": hostile_content.root_id}))
    for query, expected in ((PEOPLE, "displayName"), (ROOMS, "description"), (HISTORY, "snippetHtml")):
        await write(page, "Query Editor", query)
        await run(page)
        await expect(answer(page)).to_contain_text(expected)
        await page.evaluate(SHOW_ALL)
        await expect(answer(page)).to_contain_text("alert(")
        assert await answer(page).locator("img, script, iframe, svg, a").count() == 0
    assert executed == []


async def test_the_chat_page_shows_the_corpus_and_runs_no_script(
    open_page: OpenPage, hostile_content: HostileContent
) -> None:
    page = await sign_in(open_page, "mallory", f"/#{hostile_content.room_id}")
    executed = await record_alerts(page)
    await page.reload()
    await until_open(page)
    files = [FilePayload(name=text, mimeType="text/html", buffer=b"<script>alert(1)</script>") for text in XSS[:10]]
    await page.get_by_label("Files", exact=True).set_input_files(files)
    await chat_page.write(page, "files")
    await expect(row(page, "files").locator(".file")).to_have_count(len(files))
    for panel in (log(page), page.get_by_role("complementary", name="Search")):
        if await panel.count() == 0:
            await page.get_by_role("button", name="Search messages").click()
            await page.get_by_role("searchbox", name="Search messages").fill("alert")
        await expect(panel).to_contain_text("alert(")
        assert (
            await panel.locator("script, iframe, object, embed, form[action], style, [onclick], [onerror]").count() == 0
        )
    await page.get_by_role("button", name="Browse all rooms").click()
    await expect(rooms(page)).to_contain_text("alert(")
    assert set(await page.evaluate(TOUCH_ALL)) <= {"http:", "https:", "mailto:"}
    assert await page.locator("img:not([alt=''])").count() == 0
    assert executed == []


@pytest.mark.parametrize("path", ["/?{}#{}", "/graphql?{}#{}"])
async def test_no_url_makes_a_page_run_a_script(open_page: OpenPage, path: str) -> None:
    text = "<img src=x onerror=alert(1)>{{constructor.constructor('alert(1)')()}}\"'><script>alert(1)</script>"
    link = urlencode(dict.fromkeys(("query", "variables", "headers", "operationName", "invite"), text))
    page = await open_page("/")
    executed = await record_alerts(page)
    await page.goto(page.url.rstrip("/") + path.format(link, text))
    if "graphql" in path:
        await expect(editor(page, "Query Editor")).to_contain_text("onerror")
    await expect(page.locator("body")).to_be_visible()
    assert executed == []


async def test_rendered_html_in_a_page_without_a_policy_runs_no_script(
    open_page: OpenPage, server: str, hostile_content: HostileContent
) -> None:
    pieces = html_of(server, hostile_content)
    assert len(pieces) > 2 * len(XSS)
    page = await open_page("/")
    executed = await record_alerts(page)
    await page.goto("about:blank")
    protocols = await page.evaluate(INSERT, pieces)
    assert set(protocols) <= {"http:", "https:", "mailto:"}
    await page.evaluate(RAISE_ALARM)
    await page.wait_for_function("() => window.isAlarmRaised")
    assert executed == ["it works"]


async def record_alerts(page: Page) -> list[str]:
    """Record the alerts that scripts of the corpus raise in the page from now on."""
    executed: list[str] = []

    def alarm(text: str) -> None:
        executed.append(text)

    await page.expose_function("alarm", alarm)
    await page.add_init_script(ALARM)
    await page.evaluate(ALARM)
    return executed


def html_of(server: str, hostile_content: HostileContent) -> list[str]:
    """All HTML that the server renders from the corpus."""
    variables = {"id": hostile_content.room_id, "root": hostile_content.root_id}
    data = data_of(server, HISTORY, variables, hostile_content.token)
    messages = [*data["messages"]["nodes"], *data["thread"]["nodes"]]
    return [node["bodyHtml"] for node in messages] + [edge["snippetHtml"] for edge in data["searchMessages"]["edges"]]
