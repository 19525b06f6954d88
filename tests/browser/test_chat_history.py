"""Older messages on the chat page: scrolling back, search, links and threads."""

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.browser.another_client import data_of, say
from tests.browser.chat_page import Account, entry, log, open_room, row, shown_messages, until_open, use, write
from tests.browser.playground import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

MANY = "mutation Many({}) {{ {} }}"
ONE = "m{0}: sendMessage(input: $i{0}) {{ errors {{ code }} message {{ id }} }}"
PAGE = 20
REPLY = "mutation Reply($input: SendMessageInput!) { sendMessage(input: $input) { errors { code } } }"
UNREAD_THREADS = "{ threads(unreadOnly: true) { nodes { viewerUnreadCount } } }"


def say_many(user: Account, room_id: str, count: int) -> list[str]:
    """Send numbered messages. Returns their ids."""
    ids: list[str] = []
    for begin in range(0, count, PAGE):
        numbers = range(begin, min(begin + PAGE, count))
        document = MANY.format(
            ", ".join(f"$i{number}: SendMessageInput!" for number in numbers),
            " ".join(ONE.format(number) for number in numbers),
        )
        inputs = {f"i{number}": {"roomId": room_id, "body": f"message {number:03}"} for number in numbers}
        answers = data_of(user.server, document, inputs, user.token)
        ids += [answers[f"m{number}"]["message"]["id"] for number in numbers]
    return ids


async def top_of(page: Page, text: str) -> float:
    """The distance of a message from the top of the window, in pixels."""
    found = await row(page, text).bounding_box()
    assert found is not None
    return found["y"]


async def test_scrolling_back_keeps_the_scroll_position_and_reaches_the_start(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room_id, name = ann.create_room()
    say_many(ann, room_id, 180)
    page = await open_room(open_page, ann, room_id)
    await expect(row(page, "message 179")).to_be_in_viewport()
    await log(page).hover()
    await log(page).evaluate("list => { list.scrollTop = 300; }")
    before = await log(page).locator(".message").first.inner_text()
    position = await top_of(page, "message 150")
    await expect(log(page).locator(".message").first).not_to_have_text(before, use_inner_text=True)
    assert abs(await top_of(page, "message 150") - position) < 2
    while not await log(page).get_by_text(f"This is the start of {name}.").count():
        await page.mouse.wheel(0, -3000)
        await until_open(page)
    assert await shown_messages(page) == [f"message {number:03}" for number in range(180)]


async def test_new_messages_do_not_scroll_a_reader_of_older_ones(open_page: OpenPage, server: str) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    room_id, _ = ann.create_room()
    bob.join(room_id)
    say_many(ann, room_id, 40)
    page = await open_room(open_page, ann, room_id)
    await log(page).evaluate("list => { list.scrollTop = 200; }")
    await expect(page.get_by_role("button", name="Jump to latest")).to_be_visible()
    position = await top_of(page, "message 010")
    for number in range(2):
        say(server, bob.token, room_id, f"news {number}")
    await page.get_by_role("button", name="Jump to latest (2)").wait_for()
    assert abs(await top_of(page, "message 010") - position) < 2
    await page.get_by_role("button", name="Jump to latest (2)").click()
    await expect(row(page, "news 1")).to_be_in_viewport()
    await expect(page.get_by_role("button", name="Jump to latest")).to_have_count(0)


async def test_search_opens_a_message_and_sending_returns_to_the_latest(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room_id, _ = ann.create_room()
    say(server, ann.token, room_id, "the needle in the hay")
    say_many(ann, room_id, 130)
    page = await open_room(open_page, ann, room_id)
    await page.get_by_role("button", name="Search messages").click()
    await page.get_by_role("searchbox", name="Search messages").fill("needle")
    panel = page.get_by_role("complementary", name="Search")
    await expect(panel.locator("mark")).to_have_text("needle")
    await panel.get_by_role("button", name="Show in the room").click()
    await expect(row(page, "the needle in the hay")).to_be_in_viewport()
    await write(page, "found it")
    await expect(row(page, "found it").get_by_role("button", name="Open thread")).to_be_in_viewport()
    await log(page).evaluate("list => { list.scrollTop = 0; }")
    await expect(row(page, "message 070")).to_be_attached()
    assert (await shown_messages(page))[-1] == "found it"


async def test_a_link_opens_its_message_and_the_following_ones(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room_id, name = ann.create_room()
    ids = say_many(ann, room_id, 160)
    page = await open_room(open_page, ann, f"{room_id}/{ids[20]}")
    await expect(row(page, "message 020")).to_be_in_viewport()
    await log(page).hover()
    while not await row(page, "message 159").count():
        await page.mouse.wheel(0, 3000)
        await until_open(page)
    texts = await shown_messages(page)
    assert texts == [f"message {number:03}" for number in range(160 - len(texts), 160)]
    assert len(texts) > 100
    await expect(entry(page, name)).to_have_attribute("aria-current", "page")


async def test_a_link_to_an_unknown_message_opens_its_room(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room_id, _ = ann.create_room()
    say(server, ann.token, room_id, "still here")
    page = await open_room(open_page, ann, f"{room_id}/msg_00000000-0000-4000-8000-000000000000")
    await expect(row(page, "still here")).to_be_visible()


async def test_a_thread_is_read_and_written_in_its_panel(open_page: OpenPage, server: str) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    room_id, _ = ann.create_room()
    bob.join(room_id)
    page = await open_room(open_page, ann, room_id)
    await write(page, "who is coming?")
    await use(row(page, "who is coming?"), "Open thread")
    panel = page.get_by_role("complementary", name="Thread")
    await panel.get_by_role("textbox", name="Reply in thread").fill("I am")
    await panel.get_by_role("textbox", name="Reply in thread").press("Enter")
    await expect(panel.get_by_role("log")).to_contain_text("I am")
    await expect(row(page, "who is coming?").get_by_role("button", name="1 reply")).to_be_visible()
    await expect(row(page, "I am")).to_have_count(0)
    await panel.get_by_role("button", name="Close thread").click()
    await row(page, "who is coming?").get_by_role("button", name="1 reply").click()
    await expect(panel.get_by_role("log").get_by_text("I am")).to_be_visible()


async def test_replies_that_the_panel_shows_are_marked_read(open_page: OpenPage, server: str) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    room_id, _ = ann.create_room()
    bob.join(room_id)
    [root_id] = say_many(ann, room_id, 1)
    page = await open_room(open_page, ann, room_id)

    def reply(body: str) -> None:
        data_of(server, REPLY, {"input": {"roomId": room_id, "body": body, "threadRootId": root_id}}, bob.token)

    async def wait_until_read() -> None:
        async with asyncio.timeout(10):
            while data_of(server, UNREAD_THREADS, {}, ann.token)["threads"]["nodes"]:  # noqa: ASYNC110 (HTTP only)
                await asyncio.sleep(0.1)

    reply("first")
    await row(page, "message 000").get_by_role("button", name="1 reply").click()
    panel = page.get_by_role("complementary", name="Thread")
    await expect(panel.get_by_role("log")).to_contain_text("first")
    await wait_until_read()
    reply("second")
    await expect(panel.get_by_role("log")).to_contain_text("second")
    await wait_until_read()
