"""The chat page among people: direct conversations, invitations, roles, removals, and rooms that change or close."""

import pytest
from playwright.async_api import expect

from tests.browser.another_client import ask, say
from tests.browser.chatting import Somebody, box, enter, entry, log, row, sign_in, use, write
from tests.browser.playground import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

INVITE = "mutation ($input: CreateInviteInput!) { createInvite(input: $input) { errors { code } code } }"
PRIVATE = "mutation ($input: CreateRoomInput!) { createRoom(input: $input) { errors { code } room { id } } }"
ARCHIVE = "mutation ($input: RoomIdInput!) { archiveRoom(input: $input) { errors { code } } }"


async def test_a_direct_conversation_begins_by_name(open_page: OpenPage, open_elsewhere: OpenPage, server: str) -> None:
    ann, bob = Somebody(server, "ann"), Somebody(server, "bob")
    hers, his = await sign_in(open_page, ann.name), await sign_in(open_elsewhere, bob.name)
    await hers.get_by_role("button", name="New message").click()
    await hers.get_by_role("searchbox", name="Find people").fill(bob.name)
    await hers.get_by_role("button", name=f"@{bob.name}").click()
    await hers.get_by_role("button", name="Start conversation").click()
    await expect(hers.get_by_role("heading", name=bob.name)).to_be_visible()
    await write(hers, "between us")
    await entry(his, ann.name).get_by_label("1 unread").wait_for()
    await entry(his, ann.name).click()
    await expect(row(his, "between us")).to_be_visible()


async def test_an_invitation_lets_somebody_into_a_private_room(
    open_page: OpenPage, open_elsewhere: OpenPage, server: str
) -> None:
    ann, bob = Somebody(server, "ann"), Somebody(server, "bob")
    room_id = ask(server, PRIVATE, {"input": {"name": "Cellar", "visibility": "PRIVATE"}}, ann.token)["room"]["id"]
    hers = await enter(open_page, ann, room_id)
    await hers.get_by_role("button", name="1 member").click()
    await hers.get_by_role("button", name="Invite by link").click()
    link = await hers.get_by_label("Anyone with this link can join").input_value()
    his = await sign_in(open_elsewhere, bob.name)
    await his.goto(link)
    await his.get_by_role("dialog", name="Invitation").get_by_role("button", name="Join room").click()
    await expect(his.get_by_role("heading", name="Cellar")).to_be_visible()
    assert "invite" not in his.url
    await expect(hers.get_by_role("list", name="Members")).to_contain_text(f"@{bob.name}")


async def test_somebody_new_comes_in_by_an_invitation(open_page: OpenPage, server: str) -> None:
    ann = Somebody(server, "ann")
    room_id, name = ann.create_room()
    code = ask(server, INVITE, {"input": {"roomId": room_id}}, ann.token)["code"]
    page = await open_page(f"/?invite={code}")
    await expect(page.get_by_text(f"{ann.name} invites you to {name}.")).to_be_visible()
    await page.get_by_label("Username").fill(f"new-{ann.name}")
    await page.get_by_label("Password").fill("three blind mice ran")
    await page.get_by_role("button", name="Create account").click()
    await expect(page.get_by_role("heading", name=name)).to_be_visible()
    await write(page, "here I am")
    await expect(row(page, "here I am")).to_be_visible()


async def test_an_owner_changes_a_role_and_removes_somebody_who_then_sees_nothing_more(
    open_page: OpenPage, open_elsewhere: OpenPage, server: str
) -> None:
    ann, bob = Somebody(server, "ann"), Somebody(server, "bob")
    room_id = ask(server, PRIVATE, {"input": {"name": "Attic", "visibility": "PRIVATE"}}, ann.token)["room"]["id"]
    bob.join_by(ask(server, INVITE, {"input": {"roomId": room_id}}, ann.token)["code"])
    hers, his = await enter(open_page, ann, room_id), await enter(open_elsewhere, bob, room_id)
    await hers.get_by_role("button", name="2 members").click()
    await hers.get_by_label(f"Role of {bob.name}").select_option("Read-only")
    await expect(his.get_by_text("You may only read here.")).to_be_visible()
    await hers.get_by_role("button", name=f"Remove {bob.name}").click()
    await expect(his.get_by_role("alert")).to_have_text("You have been removed from this room.")
    await expect(entry(his, "Attic")).to_have_count(0)
    await expect(hers.get_by_role("button", name="1 member")).to_be_visible()


async def test_a_room_that_is_archived_can_only_be_read(open_page: OpenPage, server: str) -> None:
    ann, bob = Somebody(server, "ann"), Somebody(server, "bob")
    room_id, _ = ann.create_room()
    bob.join(room_id)
    page = await enter(open_page, bob, room_id)
    say(server, ann.token, room_id, "last words")
    ask(server, ARCHIVE, {"input": {"roomId": room_id}}, ann.token)
    await expect(page.get_by_text("This room is archived.")).to_be_visible()
    await expect(row(page, "last words")).to_be_visible()
    await expect(box(page)).to_have_count(0)


async def test_a_new_name_and_topic_are_everywhere_at_once(
    open_page: OpenPage, open_elsewhere: OpenPage, server: str
) -> None:
    ann, bob = Somebody(server, "ann"), Somebody(server, "bob")
    room_id, name = ann.create_room()
    bob.join(room_id)
    hers, his = await enter(open_page, ann, room_id), await enter(open_elsewhere, bob, room_id)
    await hers.get_by_role("button", name="2 members").click()
    await hers.get_by_label("Name", exact=True).fill(f"The {name}")
    await hers.get_by_label("Topic", exact=True).fill("cats")
    await hers.get_by_role("button", name="Save").click()
    await expect(his.get_by_role("heading", name=f"The {name}")).to_be_visible()
    await expect(his.get_by_text("cats", exact=True)).to_be_visible()
    await expect(entry(his, f"The {name}")).to_be_visible()


async def test_a_stranger_reads_a_public_room_and_joins_to_speak(open_page: OpenPage, server: str) -> None:
    ann, bob = Somebody(server, "ann"), Somebody(server, "bob")
    room_id, _ = ann.create_room()
    say(server, ann.token, room_id, "come in")
    page = await enter(open_page, bob, room_id)
    await expect(row(page, "come in")).to_be_visible()
    await page.get_by_role("button", name="Join room").click()
    await write(page, "thanks")
    await expect(row(page, "thanks")).to_be_visible()


async def test_pins_are_listed_and_lead_back(open_page: OpenPage, server: str) -> None:
    ann = Somebody(server, "ann")
    room_id, _ = ann.create_room()
    page = await enter(open_page, ann, room_id)
    await write(page, "remember me")
    await page.get_by_role("button", name="Pinned messages").click()
    panel = page.get_by_role("complementary", name="Pinned messages")
    await expect(panel).to_contain_text("Nothing is pinned here yet.")
    await use(row(page, "remember me"), "Pin")
    await expect(panel.get_by_role("article")).to_contain_text("remember me")
    await expect(log(page).get_by_text("Pinned")).to_be_visible()


async def test_a_deleted_room_says_so(open_page: OpenPage, server: str) -> None:
    ann, bob = Somebody(server, "ann"), Somebody(server, "bob")
    room_id, name = ann.create_room()
    bob.join(room_id)
    page = await enter(open_page, bob, room_id)
    document = "mutation ($input: RoomIdInput!) { deleteRoom(input: $input) { errors { code } } }"
    ask(server, document, {"input": {"roomId": room_id}}, ann.token)
    await expect(page.get_by_role("alert")).to_have_text("This room has been deleted.")
    await expect(entry(page, name)).to_have_count(0)


async def test_people_see_who_is_there_and_who_types(
    open_page: OpenPage, open_elsewhere: OpenPage, server: str
) -> None:
    ann, bob, cleo = (Somebody(server, name) for name in ("ann", "bob", "cleo"))
    room_id, _ = ann.create_room()
    for other in (bob, cleo):
        other.join(room_id)
    hers, his = await enter(open_page, ann, room_id), await enter(open_elsewhere, bob, room_id)
    await his.get_by_role("button", name="3 members").click()
    member = his.get_by_role("list", name="Members").get_by_role("listitem")
    await expect(member.filter(has_text=ann.name).get_by_role("img", name="Active")).to_be_visible()
    await expect(member.filter(has_text=cleo.name).get_by_role("img", name="Away")).to_be_visible()
    await box(hers).press_sequentially("well")
    await expect(his.get_by_text(f"{ann.name} is typing…")).to_be_visible()
    await box(hers).press("Enter")
    await expect(row(his, "well")).to_be_visible()
    await expect(his.get_by_text("is typing…")).to_have_count(0)
