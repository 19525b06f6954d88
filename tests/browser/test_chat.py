"""The chat page, used: people come in, find each other and talk, and each sees at once what the others do."""

import pytest
from playwright.async_api import expect

from tests.browser.another_client import say
from tests.browser.chatting import (
    PASSWORD,
    Somebody,
    box,
    enter,
    entry,
    log,
    new_name,
    row,
    said,
    sign_in,
    use,
    write,
)
from tests.browser.playground import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_somebody_signs_up_makes_a_room_and_speaks(open_page: OpenPage) -> None:
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


async def test_two_people_talk_and_a_reload_shows_the_same(
    open_page: OpenPage, open_elsewhere: OpenPage, server: str
) -> None:
    ann, bob = Somebody(server, "ann"), Somebody(server, "bob")
    room_id, name = ann.create_room()
    hers = await enter(open_page, ann, room_id)
    his = await sign_in(open_elsewhere, bob.name)
    await his.get_by_role("button", name="Browse rooms", exact=True).click()
    await his.get_by_role("button", name=f"Join {name}").click()
    await expect(row(hers, f"@{bob.name} joined.")).to_be_visible()
    for page, text in ((his, "Anybody here?"), (hers, "Of course."), (his, "Good.")):
        await write(page, text)
        for other in (hers, his):
            await expect(row(other, text)).to_be_visible()
    await hers.reload()
    await expect(row(hers, "Good.")).to_be_visible()
    assert await said(hers) == await said(his)
    assert ann.heard(room_id) == ["Anybody here?", "Of course.", "Good."]


async def test_signing_out_leaves_nothing_behind(open_page: OpenPage, server: str) -> None:
    ann = Somebody(server, "ann")
    page = await enter(open_page, ann, ann.create_room()[0])
    await box(page).fill("a secret draft")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert await page.evaluate("localStorage.length") == 0


async def test_a_wrong_password_is_told(open_page: OpenPage, server: str) -> None:
    page = await open_page("/")
    await page.get_by_label("Username or e-mail").fill(Somebody(server, "ann").name)
    await page.get_by_label("Password").fill("three blind cats")
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")


async def test_what_happens_elsewhere_is_counted_and_found_above_a_line(open_page: OpenPage, server: str) -> None:
    ann, bob = Somebody(server, "ann"), Somebody(server, "bob")
    (here, _), (there, there_name) = ann.create_room(), ann.create_room()
    bob.join(there)
    page = await enter(open_page, ann, here)
    for text in ("one", "two", f"three @{ann.name}"):
        say(server, bob.token, there, text)
    await expect(entry(page, there_name).get_by_label("3 unread")).to_be_visible()
    await expect(entry(page, there_name).get_by_label("1 mention")).to_be_visible()
    await expect(page).to_have_title("(3) roomcast")
    await entry(page, there_name).click()
    await expect(log(page).get_by_text("New messages")).to_be_visible()
    after_line = log(page).locator("li.divider ~ li .body")
    assert await after_line.all_inner_texts() == ["one", "two", f"three @{ann.name}"]
    await expect(entry(page, there_name).get_by_label("unread")).to_have_count(0)
    await expect(page).to_have_title("roomcast")


async def test_edits_reactions_and_deletions_are_seen_at_once_and_stay(
    open_page: OpenPage, open_elsewhere: OpenPage, server: str
) -> None:
    ann, bob = Somebody(server, "ann"), Somebody(server, "bob")
    room_id, _ = ann.create_room()
    bob.join(room_id)
    say(server, bob.token, room_id, "keep this")
    hers, his = await enter(open_page, ann, room_id), await enter(open_elsewhere, bob, room_id)
    for text in ("first thoguht", "never mind"):
        await write(hers, text)
    await expect(row(his, "never mind")).to_be_visible()
    await use(row(hers, "first thoguht"), "Edit")
    await hers.get_by_label("Edit message").fill("first thought")
    await hers.get_by_label("Edit message").press("Enter")
    await use(row(hers, "keep this"), "Add reaction")
    await hers.get_by_role("button", name="🎉").click()
    await use(row(hers, "never mind"), "Delete")
    await hers.get_by_role("button", name="Delete?").click()
    for page in (hers, his):
        await expect(row(page, "first thought")).to_contain_text("(edited)")
        await expect(row(page, "keep this").get_by_role("button", name="🎉 1")).to_be_visible()
        await expect(row(page, "This message was deleted.")).to_be_visible()
    await expect(row(hers, "keep this").get_by_role("button", name="🎉 1")).to_have_attribute("aria-pressed", "true")
    live = await log(his).inner_text()
    await his.reload()
    await expect(row(his, "keep this")).to_be_visible()
    assert await log(his).inner_text() == live


async def test_an_answer_quotes_what_it_answers_and_leads_to_it(open_page: OpenPage, server: str) -> None:
    ann, bob = Somebody(server, "ann"), Somebody(server, "bob")
    room_id, _ = ann.create_room()
    bob.join(room_id)
    say(server, bob.token, room_id, "tea or coffee?")
    page = await enter(open_page, ann, room_id)
    await use(row(page, "tea or coffee?"), "Reply")
    await write(page, "tea")
    quote = log(page).get_by_role("button", name=f"{bob.name} tea or coffee?")
    await expect(quote).to_be_visible()
    await quote.click()
    await expect(log(page).locator(".lit")).to_contain_text("tea or coffee?")
