"""The main flows of the chat page: signing up, rooms, messages, edits, reactions and replies, shown live."""

import pytest
from playwright.async_api import expect

from tests.browser.another_client import say
from tests.browser.chat_page import (
    PASSWORD,
    Account,
    box,
    entry,
    log,
    new_name,
    open_room,
    row,
    shown_messages,
    sign_in,
    use,
    write,
)
from tests.browser.playground import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_user_signs_up_creates_a_room_and_sends_a_message(open_page: OpenPage) -> None:
    page = await open_page("/")
    await page.get_by_role("button", name="Create an account").click()
    await page.get_by_label("Username").fill(new_name("dora"))
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Create account").click()
    name = new_name("den")
    await page.get_by_role("button", name="New room").click()
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Create room").click()
    await expect(page.get_by_role("heading", name=name)).to_be_visible()
    await expect(box(page)).to_be_focused()
    await write(page, "Hello **there**")
    await expect(row(page, "Hello there").locator("strong", has_text="there")).to_be_visible()
    await expect(box(page)).to_have_value("")


async def test_two_users_exchange_messages_and_a_reload_shows_the_same(
    open_page: OpenPage, open_elsewhere: OpenPage, server: str
) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    room_id, name = ann.create_room()
    ann_page = await open_room(open_page, ann, room_id)
    bob_page = await sign_in(open_elsewhere, bob.name)
    await bob_page.get_by_role("button", name="Browse rooms", exact=True).click()
    await bob_page.get_by_role("button", name=f"Join {name}").click()
    await expect(row(ann_page, f"{bob.name} joined.")).to_be_visible()
    for page, text in ((bob_page, "Anybody here?"), (ann_page, "Of course."), (bob_page, "Good.")):
        await write(page, text)
        for other in (ann_page, bob_page):
            await expect(row(other, text)).to_be_visible()
    await ann_page.reload()
    await expect(row(ann_page, "Good.")).to_be_visible()
    assert await shown_messages(ann_page) == await shown_messages(bob_page)
    assert ann.stored_messages(room_id) == ["Anybody here?", "Of course.", "Good."]


async def test_signing_out_clears_the_local_storage(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    page = await open_room(open_page, ann, ann.create_room()[0])
    await box(page).fill("a secret draft")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert await page.evaluate("localStorage.length") == 0


async def test_a_wrong_password_shows_an_error(open_page: OpenPage, server: str) -> None:
    page = await open_page("/")
    await page.get_by_label("Username or e-mail").fill(Account(server, "ann").name)
    await page.get_by_label("Password").fill("three blind cats")
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")


async def test_messages_in_another_room_are_counted_and_marked_as_new(open_page: OpenPage, server: str) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    (shown_room, _), (other_room, other_name) = ann.create_room(), ann.create_room()
    bob.join(other_room)
    page = await open_room(open_page, ann, shown_room)
    for text in ("one", "two", f"three @{ann.name}"):
        say(server, bob.token, other_room, text)
    await expect(entry(page, other_name).get_by_label("3 unread")).to_be_visible()
    await expect(entry(page, other_name).get_by_label("1 mention")).to_be_visible()
    await expect(page).to_have_title("(3) roomcast")
    await entry(page, other_name).click()
    await expect(log(page).get_by_text("New messages")).to_be_visible()
    after_line = log(page).locator("li.divider ~ li .body")
    assert await after_line.all_inner_texts() == ["one", "two", f"three @{ann.name}"]
    await expect(entry(page, other_name).get_by_label("unread")).to_have_count(0)
    await expect(page).to_have_title("roomcast")


async def test_edits_reactions_and_deletions_are_shown_live_and_after_a_reload(
    open_page: OpenPage, open_elsewhere: OpenPage, server: str
) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    room_id, _ = ann.create_room()
    bob.join(room_id)
    say(server, bob.token, room_id, "keep this")
    ann_page, bob_page = await open_room(open_page, ann, room_id), await open_room(open_elsewhere, bob, room_id)
    for text in ("first thoguht", "never mind"):
        await write(ann_page, text)
    await expect(row(bob_page, "never mind")).to_be_visible()
    await use(row(ann_page, "first thoguht"), "Edit")
    await ann_page.get_by_label("Edit message").fill("first thought")
    await ann_page.get_by_label("Edit message").press("Enter")
    await use(row(ann_page, "keep this"), "Add reaction")
    await ann_page.get_by_role("button", name="🎉").click()
    await use(row(ann_page, "never mind"), "Delete")
    await ann_page.get_by_role("button", name="Delete?").click()
    for page in (ann_page, bob_page):
        await expect(row(page, "first thought")).to_contain_text("(edited)")
        await expect(row(page, "keep this").get_by_role("button", name="🎉 1")).to_be_visible()
        await expect(row(page, "This message was deleted.")).to_be_visible()
    await expect(row(ann_page, "keep this").get_by_role("button", name="🎉 1")).to_have_attribute(
        "aria-pressed", "true"
    )
    live = await log(bob_page).inner_text()
    await bob_page.reload()
    await expect(row(bob_page, "keep this")).to_be_visible()
    assert await log(bob_page).inner_text() == live


async def test_a_reply_quotes_its_target_and_links_to_it(open_page: OpenPage, server: str) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    room_id, _ = ann.create_room()
    bob.join(room_id)
    say(server, bob.token, room_id, "tea or coffee?")
    page = await open_room(open_page, ann, room_id)
    await use(row(page, "tea or coffee?"), "Reply")
    await write(page, "tea")
    quote = log(page).get_by_role("button", name=f"{bob.name} tea or coffee?")
    await expect(quote).to_be_visible()
    await quote.click()
    await expect(log(page).locator(".lit")).to_contain_text("tea or coffee?")
