"""System messages about joining, leaving and renaming, posted once into the room's log."""

from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomcast.messages.markdown import escape_markdown, render_html
from roomcast.rooms.policy import check_name
from tests.api_clients import ROOM_MESSAGES, UserClient, sign_up
from tests.messages.documents import DELETE, EDIT, MESSAGE_BY_ID, PIN, REACT, codes
from tests.rooms.documents import add, change, refusal
from tests.statements import statements

ROOM_HISTORY = (
    "query RoomHistory($id: ID!) { room(id: $id) { lastMessage { body } "
    "messages { nodes { id seq kind body bodyHtml author { id } mentions { id } viewerCanEdit viewerCanDelete } } "
    "viewerMembership { unreadCount mentionCount lastReadSeq } } }"
)


async def system_messages(client: UserClient, room_id: str) -> list[str]:
    """The bodies of the room's system messages, as this user sees them."""
    nodes = (await client.execute(ROOM_HISTORY, id=room_id))["room"]["messages"]["nodes"]
    return [node["body"] for node in nodes if node["kind"] == "SYSTEM"]


async def test_system_messages_name_who_joined_and_left(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den", memberIds=[ann.id])
    await cleo.join(room_id)
    await cleo.leave(room_id)
    await add(bob, room_id, cleo)
    await change(bob, "removeMember", roomId=room_id, userId=cleo.id)
    await change(ann, "updateRoom", roomId=room_id, name="hall", topic="tea")
    assert await system_messages(bob, room_id) == [
        "cleo joined.",
        "cleo left.",
        "bob added cleo.",
        "bob removed cleo.",
        "ann renamed the room to “hall”.",
    ]


async def test_a_change_without_effect_posts_no_system_message(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den", memberIds=[cleo.id])
    await cleo.join(room_id)
    await add(bob, room_id, cleo)
    await change(bob, "updateRoom", roomId=room_id, name="den", topic="tea")
    await change(bob, "setMemberRole", roomId=room_id, userId=cleo.id, role="MODERATOR")
    assert await refusal(cleo, "updateRoom", roomId=room_id, name="hall") == "FORBIDDEN"
    assert await system_messages(bob, room_id) == []


async def test_system_messages_are_unread_for_nobody(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    await ann.send_messages(room_id, "hello")
    await add(ann, room_id, cleo)
    await cleo.leave(room_id)
    seen = (await bob.execute(ROOM_HISTORY, id=room_id))["room"]
    assert seen["lastMessage"]["body"] == "hello", "a system message does not move a room up in the lists"
    assert (seen["viewerMembership"]["unreadCount"], seen["viewerMembership"]["mentionCount"]) == (1, 0)
    assert all(node["author"] is None and node["mentions"] == [] for node in seen["messages"]["nodes"][1:])
    await cleo.join(room_id)
    seen = (await cleo.execute(ROOM_HISTORY, id=room_id))["room"]
    assert seen["viewerMembership"]["lastReadSeq"] == seen["messages"]["nodes"][-1]["seq"]


async def test_system_messages_are_streamed(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den")
    async with bob.connect() as socket:
        live = await socket.subscribe(ROOM_MESSAGES, roomId=room_id)
        await bob.app.wait_for_streams(1)
        await cleo.join(room_id)
        received = (await live.next_event())["message"]
    assert (received["body"], received["author"]) == ("cleo joined.", None)
    [again] = (await bob.execute(ROOM_HISTORY, id=room_id))["room"]["messages"]["nodes"]
    assert again["seq"] == received["seq"]


async def test_nobody_edits_system_messages_and_only_moderators_delete_them(bob: UserClient, cleo: UserClient) -> None:
    room_id = await bob.create_room("den")
    await cleo.join(room_id)
    [note] = (await cleo.execute(ROOM_HISTORY, id=room_id))["room"]["messages"]["nodes"]
    assert not note["viewerCanEdit"]
    assert not note["viewerCanDelete"]
    attempts = [(EDIT, {"body": "no"}), (REACT, {"emoji": "👋"}), (PIN, {})]
    for client in (bob, cleo):
        assert [codes(await client.mutate(document, messageId=note["id"], **more)) for document, more in attempts] == [
            ["FORBIDDEN"]
        ] * 3
    assert codes(await cleo.mutate(DELETE, messageId=note["id"])) == ["FORBIDDEN"]
    assert codes(await bob.mutate(DELETE, messageId=note["id"])) == []
    assert (await cleo.execute(MESSAGE_BY_ID, id=note["id"]))["message"]["body"] is None


async def test_many_users_are_added_with_one_message_and_as_many_statements_as_one_user(bob: UserClient) -> None:
    room_id = await bob.create_room("den")
    clients = [await sign_up(bob.app, f"guest_{number:02}") for number in range(13)]
    with statements() as for_one:
        await add(bob, room_id, clients[0])
    with statements() as for_many:
        await add(bob, room_id, *clients[1:])
    assert len(for_many) <= len(for_one)
    one, many = await system_messages(bob, room_id)
    assert one == r"bob added guest\_00."
    assert many.endswith(r"guest\_10 and 2 others.")
    for client in clients:
        await client.http.aclose()


async def test_a_direct_conversation_has_no_system_messages(bob: UserClient, cleo: UserClient) -> None:
    opened = "mutation O($input: OpenDirectMessageInput!) { openDirectMessage(input: $input) { room { id } } }"
    room = (await bob.mutate(opened, userIds=[cleo.id]))["room"]["id"]
    assert await system_messages(bob, room) == []


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "[x](javascript:alert(1))", "&lt;b> *a* _b_ `c` ~~d~~"])
async def test_a_room_name_is_escaped_in_system_messages(name: str, bob: UserClient) -> None:
    room_id = await bob.create_room("den")
    await change(bob, "updateRoom", roomId=room_id, name=name)
    [note] = (await bob.execute(ROOM_HISTORY, id=room_id))["room"]["messages"]["nodes"]
    assert note["bodyHtml"] == f"<p>bob renamed the room to “{escape(name, quote=False)}”.</p>\n"


@given(st.text(st.one_of(st.characters(categories=["L", "N", "P", "S"]), st.just(" ")), min_size=1, max_size=40))
def test_every_valid_name_renders_as_itself(name: str) -> None:
    valid_name = check_name("x" + name)
    assert render_html(f"“{escape_markdown(valid_name)}”") == f"<p>“{escape(valid_name, quote=False)}”</p>\n"
