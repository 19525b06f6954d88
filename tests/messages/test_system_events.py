"""What system messages report as data, and the sentence that says it in English."""

from html import escape
from typing import Any

import sqlalchemy as sa
from hypothesis import assume, given
from hypothesis import strategies as st
from sqlmodel import select

from roomcast.accounts.policy import check_display_name
from roomcast.core.columns import table
from roomcast.core.errors import ValidationFailed
from roomcast.core.ids import uuid7
from roomcast.messages.markdown import escape_markdown, render_html
from roomcast.messages.models import Message
from roomcast.messages.system_events import SystemEvent, SystemEventKind
from tests.accounts.documents import BAN
from tests.api_clients import Json, UserClient, sign_up
from tests.messages.documents import DELETE
from tests.rooms.documents import add, change, mutation
from tests.running_app import RunningApp
from tests.statements import statements

EVENT = "systemEvent { kind actor { username displayName } users { username } previousName name }"
HISTORY = "query H($id: ID!) { room(id: $id) { messages { nodes { id body kind " + EVENT + " } } } }"
MESSAGE = "query M($id: ID!) { message(id: $id) { body systemEvent { kind } } }"
WATCH = "subscription W($id: ID!) { roomMessages(roomId: $id) { message { body " + EVENT + " } } }"
PROFILE = mutation("updateProfile", "{ errors { code } }")


async def history(client: UserClient, room_id: str) -> list[Json]:
    return list((await client.execute(HISTORY, id=room_id))["room"]["messages"]["nodes"])


async def system_events(client: UserClient, room_id: str) -> list[tuple[Any, ...]]:
    """The kind, actor, users and names of each system message."""
    found = [node["systemEvent"] for node in await history(client, room_id) if node["kind"] == "SYSTEM"]
    return [
        (
            event["kind"],
            event["actor"]["username"],
            [user["username"] for user in event["users"]],
            event["previousName"],
            event["name"],
        )
        for event in found
    ]


async def change_stored_events(app: RunningApp, value: str | None) -> None:
    async with app.roomcast.backend.db.work() as work:
        await work.session.exec(sa.update(table(Message)).values(system_event=value))


async def test_each_kind_of_system_message_says_who_did_what_to_whom(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    await change(ann, "setMemberRole", roomId=room_id, userId=bob.id, role="MODERATOR")
    await cleo.join(room_id)
    await change(bob, "removeMember", roomId=room_id, userId=cleo.id)
    await add(ann, room_id, cleo)
    await cleo.leave(room_id)
    await change(ann, "updateRoom", roomId=room_id, name="hall", topic="tea")
    assert await system_events(bob, room_id) == [
        ("MEMBERS_JOINED", "cleo", ["cleo"], None, None),
        ("MEMBER_REMOVED", "bob", ["cleo"], None, None),
        ("MEMBERS_ADDED", "ann", ["cleo"], None, None),
        ("MEMBER_LEFT", "cleo", ["cleo"], None, None),
        ("ROOM_RENAMED", "ann", [], "den", "hall"),
    ]


async def test_messages_of_users_have_no_system_event(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    await ann.send_messages(room_id, "hello")
    [message] = await history(ann, room_id)
    assert message["systemEvent"] is None


async def test_users_who_are_added_together_share_one_event_and_are_loaded_together(bob: UserClient) -> None:
    room_id = await bob.create_room("den")
    guests = [await sign_up(bob.app, f"guest_{number:02}") for number in range(13)]
    await add(bob, room_id, guests[0])
    with statements() as for_one:
        await history(bob, room_id)
    await add(bob, room_id, *guests[1:])
    with statements() as for_all:
        _, (kind, actor, users, *_) = await system_events(bob, room_id)
    assert (kind, actor, users) == ("MEMBERS_ADDED", "bob", [guest.name for guest in guests[1:]])
    assert len(for_all) == len(for_one)
    for guest in guests:
        await guest.http.aclose()


async def test_the_body_keeps_the_display_name_of_its_time_and_the_event_has_the_present_one(
    bob: UserClient, cleo: UserClient
) -> None:
    await cleo.mutate(PROFILE, displayName="# Cleo *of* Nile")
    room_id = await bob.create_room("den")
    await cleo.join(room_id)
    await cleo.mutate(PROFILE, displayName="Cleopatra")
    [message] = await history(bob, room_id)
    assert message["body"] == r"\# Cleo \*of\* Nile joined."
    assert message["systemEvent"]["actor"]["displayName"] == "Cleopatra"


async def test_a_banned_user_is_still_named(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den")
    await cleo.join(room_id)
    await ann.mutate(BAN, userId=cleo.id)
    assert await system_events(bob, room_id) == [("MEMBERS_JOINED", "cleo", ["cleo"], None, None)]


async def test_users_whose_accounts_were_deleted_are_left_out(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    event = SystemEvent(SystemEventKind.MEMBERS_ADDED, uuid7(), [uuid7(), uuid7()])
    await change_stored_events(ann.app, event.encode())
    [message] = await history(ann, room_id)
    assert message["systemEvent"] == {
        "kind": "MEMBERS_ADDED", "actor": None, "users": [], "previousName": None, "name": None
    }  # fmt: skip


async def test_a_system_message_of_an_older_server_has_only_its_sentence(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    await change_stored_events(ann.app, None)
    [message] = await history(ann, room_id)
    assert (message["body"], message["systemEvent"]) == ("bob joined.", None)


async def test_deleting_a_system_message_erases_its_event(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    [message] = await history(ann, room_id)
    await ann.mutate(DELETE, messageId=message["id"])
    assert (await ann.execute(MESSAGE, id=message["id"]))["message"] == {"body": None, "systemEvent": None}
    async with ann.app.roomcast.backend.db.read() as session:
        assert list(await session.exec(select(Message.system_event))) == [None]


async def test_strangers_see_no_system_messages_of_private_rooms(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE")
    await add(ann, room_id, bob)
    [message] = await history(bob, room_id)
    assert (await bob.execute(MESSAGE, id=message["id"]))["message"]["systemEvent"] == {"kind": "MEMBERS_ADDED"}
    assert (await cleo.execute(MESSAGE, id=message["id"]))["message"] is None
    await bob.leave(room_id)
    assert (await bob.execute(MESSAGE, id=message["id"]))["message"] is None


async def test_a_live_system_event_is_executed_once_for_all_readers(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with ann.connect() as first, bob.connect() as second:
        streams = [await socket.subscribe(WATCH, id=room_id) for socket in (first, second)]
        await ann.app.wait_for_streams(2)
        await cleo.join(room_id)
        received = [(await stream.next_event())["message"] for stream in streams]
        [group] = [group for topic in ann.app.roomcast.hub.topics for group in topic.groups.values()]
        assert group.executions == 2, "the event of the membership, which this stream skips, and the message"
    [stored] = await history(bob, room_id)
    assert received == [{"body": "cleo joined.", "systemEvent": stored["systemEvent"]}] * 2
    assert stored["systemEvent"]["users"] == [{"username": "cleo"}]


def is_display_name(name: str) -> bool:
    try:
        check_display_name(name)
    except ValidationFailed:
        return False
    return True


BLOCK_STARTS = st.sampled_from(["", "# ", "#", "1. ", "2) ", "- ", "+ ", "* ", "> ", "```", "~~~", "==", "[x]: "])


@given(BLOCK_STARTS, st.text(st.one_of(st.characters(categories=["L", "N", "P", "S"]), st.just(" ")), max_size=40))
def test_every_display_name_renders_as_itself_at_the_start_of_a_sentence(start: str, rest: str) -> None:
    name = (start + rest).strip()
    assume(is_display_name(name))
    assert render_html(f"{escape_markdown(name)} joined.") == f"<p>{escape(name, quote=False)} joined.</p>\n"
