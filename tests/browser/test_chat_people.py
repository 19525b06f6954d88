"""Users and rooms on the chat page: direct conversations, invites, roles, removals, and changed or deleted rooms."""

import pytest
from playwright.async_api import expect

from tests.browser.another_client import ask, say
from tests.browser.chat_page import Account, box, entry, log, open_room, row, sign_in, use, write
from tests.browser.playground import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

INVITE = "mutation ($input: CreateInviteInput!) { createInvite(input: $input) { errors { code } invite { code } } }"
PRIVATE = "mutation ($input: CreateRoomInput!) { createRoom(input: $input) { errors { code } room { id } } }"
ARCHIVE = "mutation ($input: ArchiveRoomInput!) { archiveRoom(input: $input) { errors { code } } }"


async def test_a_direct_conversation_is_started_by_username(
    open_page: OpenPage, open_elsewhere: OpenPage, server: str
) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    ann_page, bob_page = await sign_in(open_page, ann.name), await sign_in(open_elsewhere, bob.name)
    await ann_page.get_by_role("button", name="New message").click()
    await ann_page.get_by_role("searchbox", name="Find people").fill(bob.name)
    await ann_page.get_by_role("button", name=f"@{bob.name}").click()
    await ann_page.get_by_role("button", name="Start conversation").click()
    await expect(ann_page.get_by_role("heading", name=bob.name)).to_be_visible()
    await write(ann_page, "between us")
    await entry(bob_page, ann.name).get_by_label("1 unread").wait_for()
    await entry(bob_page, ann.name).click()
    await expect(row(bob_page, "between us")).to_be_visible()


async def test_an_invite_link_lets_a_user_join_a_private_room(
    open_page: OpenPage, open_elsewhere: OpenPage, server: str
) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    room_id = ask(server, PRIVATE, {"input": {"name": "Cellar", "visibility": "PRIVATE"}}, ann.token)["room"]["id"]
    ann_page = await open_room(open_page, ann, room_id)
    await ann_page.get_by_role("button", name="1 member").click()
    await ann_page.get_by_role("button", name="Invite by link").click()
    link = await ann_page.get_by_label("Anyone with this link can join").input_value()
    bob_page = await sign_in(open_elsewhere, bob.name)
    await bob_page.goto(link)
    await bob_page.get_by_role("dialog", name="Invitation").get_by_role("button", name="Join room").click()
    await expect(bob_page.get_by_role("heading", name="Cellar")).to_be_visible()
    assert "invite" not in bob_page.url
    await expect(ann_page.get_by_role("list", name="Members")).to_contain_text(f"@{bob.name}")


async def test_a_new_user_signs_up_with_an_invite_link(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room_id, name = ann.create_room()
    code = ask(server, INVITE, {"input": {"roomId": room_id}}, ann.token)["invite"]["code"]
    page = await open_page(f"/?invite={code}")
    await expect(page.get_by_text(f"{ann.name} invites you to {name}.")).to_be_visible()
    await page.get_by_label("Username").fill(f"new-{ann.name}")
    await page.get_by_label("Password").fill("three blind mice ran")
    await page.get_by_role("button", name="Create account").click()
    await expect(page.get_by_role("heading", name=name)).to_be_visible()
    await write(page, "here I am")
    await expect(row(page, "here I am")).to_be_visible()


async def test_an_owner_changes_a_role_and_removes_a_member(
    open_page: OpenPage, open_elsewhere: OpenPage, server: str
) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    room_id = ask(server, PRIVATE, {"input": {"name": "Attic", "visibility": "PRIVATE"}}, ann.token)["room"]["id"]
    bob.join_by(ask(server, INVITE, {"input": {"roomId": room_id}}, ann.token)["invite"]["code"])
    ann_page, bob_page = await open_room(open_page, ann, room_id), await open_room(open_elsewhere, bob, room_id)
    await ann_page.get_by_role("button", name="2 members").click()
    await ann_page.get_by_label(f"Role of {bob.name}").select_option("Read-only")
    await expect(bob_page.get_by_text("You may only read here.")).to_be_visible()
    await ann_page.get_by_role("button", name=f"Remove {bob.name}").click()
    await expect(bob_page.get_by_role("alert")).to_have_text("You have been removed from this room.")
    await expect(entry(bob_page, "Attic")).to_have_count(0)
    await expect(ann_page.get_by_role("button", name="1 member")).to_be_visible()


async def test_an_archived_room_is_read_only(open_page: OpenPage, server: str) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    room_id, _ = ann.create_room()
    bob.join(room_id)
    page = await open_room(open_page, bob, room_id)
    say(server, ann.token, room_id, "last words")
    ask(server, ARCHIVE, {"input": {"roomId": room_id}}, ann.token)
    await expect(page.get_by_text("This room is archived.")).to_be_visible()
    await expect(row(page, "last words")).to_be_visible()
    await expect(box(page)).to_have_count(0)


async def test_a_new_name_and_topic_are_shown_to_all_members(
    open_page: OpenPage, open_elsewhere: OpenPage, server: str
) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    room_id, name = ann.create_room()
    bob.join(room_id)
    ann_page, bob_page = await open_room(open_page, ann, room_id), await open_room(open_elsewhere, bob, room_id)
    await ann_page.get_by_role("button", name="2 members").click()
    await ann_page.get_by_label("Name", exact=True).fill(f"The {name}")
    await ann_page.get_by_label("Topic", exact=True).fill("cats")
    await ann_page.get_by_role("button", name="Save").click()
    await expect(bob_page.get_by_role("heading", name=f"The {name}")).to_be_visible()
    await expect(bob_page.get_by_text("cats", exact=True)).to_be_visible()
    await expect(entry(bob_page, f"The {name}")).to_be_visible()


async def test_a_non_member_reads_a_public_room_and_joins_to_write(open_page: OpenPage, server: str) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    room_id, _ = ann.create_room()
    say(server, ann.token, room_id, "come in")
    page = await open_room(open_page, bob, room_id)
    await expect(row(page, "come in")).to_be_visible()
    await page.get_by_role("button", name="Join room").click()
    await write(page, "thanks")
    await expect(row(page, "thanks")).to_be_visible()


async def test_pinned_messages_are_listed(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room_id, _ = ann.create_room()
    page = await open_room(open_page, ann, room_id)
    await write(page, "remember me")
    await page.get_by_role("button", name="Pinned messages").click()
    panel = page.get_by_role("complementary", name="Pinned messages")
    await expect(panel).to_contain_text("Nothing is pinned here yet.")
    await use(row(page, "remember me"), "Pin")
    await expect(panel.get_by_role("article")).to_contain_text("remember me")
    await expect(log(page).get_by_text("Pinned")).to_be_visible()


async def test_a_deleted_room_shows_a_notice(open_page: OpenPage, server: str) -> None:
    ann, bob = Account(server, "ann"), Account(server, "bob")
    room_id, name = ann.create_room()
    bob.join(room_id)
    page = await open_room(open_page, bob, room_id)
    document = "mutation ($input: DeleteRoomInput!) { deleteRoom(input: $input) { errors { code } } }"
    ask(server, document, {"input": {"roomId": room_id}}, ann.token)
    await expect(page.get_by_role("alert")).to_have_text("This room has been deleted.")
    await expect(entry(page, name)).to_have_count(0)


async def test_members_see_presence_and_typing(open_page: OpenPage, open_elsewhere: OpenPage, server: str) -> None:
    ann, bob, cleo = (Account(server, name) for name in ("ann", "bob", "cleo"))
    room_id, _ = ann.create_room()
    for other in (bob, cleo):
        other.join(room_id)
    ann_page, bob_page = await open_room(open_page, ann, room_id), await open_room(open_elsewhere, bob, room_id)
    await bob_page.get_by_role("button", name="3 members").click()
    member = bob_page.get_by_role("list", name="Members").get_by_role("listitem")
    await expect(member.filter(has_text=ann.name).get_by_role("img", name="Active")).to_be_visible()
    await expect(member.filter(has_text=cleo.name).get_by_role("img", name="Away")).to_be_visible()
    await box(ann_page).press_sequentially("well")
    await expect(bob_page.get_by_text(f"{ann.name} is typing…")).to_be_visible()
    await box(ann_page).press("Enter")
    await expect(row(bob_page, "well")).to_be_visible()
    await expect(bob_page.get_by_text("is typing…")).to_have_count(0)
