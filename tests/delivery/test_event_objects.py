"""Objects in events: with them, a normalised cache follows a room from its subscription alone."""

from typing import Any

import pytest

from roomcast.api.execution.requests import Request
from roomcast.realtime.group import Group
from tests.api_clients import Json, UserClient
from tests.delivery.test_sharing import MARK, PIN, REACT, groups
from tests.rooms.documents import change
from tests.statements import statements

DELETE = "mutation D($input: DeleteMessageInput!) { deleteMessage(input: $input) { errors { code } } }"
MESSAGE = "id seq body deletedAt author { username } reactions { emoji count }"
MEMBER = "id role mutedUntil joinedAt user { username } room { id memberCount }"
EVENTS = (
    "subscription E($id: ID!, $after: Cursor) { roomEvents(roomId: $id, after: $after) { __typename roomId cursor "
    "... on MessageCreated { message { id } messageEdge { cursor node { id } } } "
    f"... on MessageUpdated {{ updateReason message {{ {MESSAGE} }} }} "
    f"... on MessageDeleted {{ messageId message {{ {MESSAGE} }} }} "
    f"... on ReactionChanged {{ messageId added message {{ {MESSAGE} }} }} "
    f"... on MemberChanged {{ change room {{ id memberCount }} user {{ username }} member {{ {MEMBER} }} }} "
    "... on RoomChanged { room { id topic } } ... on StreamEnded { reason } } }"
)
ROOM = (
    "query R($id: ID!) { room(id: $id) { memberCount members { nodes { " + MEMBER + " } } "
    "messages { edges { cursor node { " + MESSAGE + " } } } } }"
)


async def room_now(client: UserClient, room_id: str) -> Json:
    return dict((await client.execute(ROOM, id=room_id))["room"])


async def test_new_messages_come_with_the_cursor_of_their_page(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    deliveries = (
        "subscription M($id: ID!) { roomMessages(roomId: $id) { message { id } messageEdge { cursor node { id } } } }"
    )
    async with ann.connect() as connection:
        events = await connection.subscribe(EVENTS, id=room_id)
        await events.wait_until_ready()
        messages = await connection.subscribe(deliveries, id=room_id)
        await ann.app.wait_for_streams(2)
        [root] = await ann.send_messages(room_id, "hello")
        await ann.send(room_id, "in a thread", threadRootId=root["id"])
        created, delivered = await events.next_events(2), await messages.next_events(2)
    [edge] = [edge for edge in (await room_now(ann, room_id))["messages"]["edges"] if edge["node"]["id"] == root["id"]]
    assert (
        created[0]["messageEdge"]
        == delivered[0]["messageEdge"]
        == {"cursor": edge["cursor"], "node": created[0]["message"]}
    )
    assert created[0]["roomId"] == room_id
    thread = await ann.execute(
        "query T($id: ID!, $root: ID!) { messages(roomId: $id, threadRootId: $root) { edges { cursor node { id } } } }",
        id=room_id,
        root=root["id"],
    )
    assert [created[1]["messageEdge"]] == [delivered[1]["messageEdge"]] == thread["messages"]["edges"]
    older = "query O($id: ID!, $before: String) { messages(roomId: $id, before: $before, last: 5) { nodes { id } } }"
    page = await ann.execute(older, id=room_id, before=created[1]["messageEdge"]["cursor"])
    assert page["messages"]["nodes"][-1]["id"] == root["id"]


async def test_deletions_and_reactions_carry_the_message_as_it_is_now(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [message] = await ann.send_messages(room_id, "hello")
    async with bob.connect() as connection:
        stream = await connection.subscribe(EVENTS, id=room_id)
        await stream.wait_until_ready()
        await bob.mutate(REACT, messageId=message["id"], emoji="👍")
        reacted = await stream.next_event()
        await ann.mutate(PIN, messageId=message["id"])
        pinned = await stream.next_event()
        await ann.mutate(DELETE, messageId=message["id"])
        deleted = await stream.next_event()
        shown: Json = {"id": message["id"], "seq": message["seq"], "author": {"username": "ann"}}
        groups_ = [{"emoji": "👍", "count": 1}]
        assert reacted["message"] == {**shown, "body": "hello", "deletedAt": None, "reactions": groups_}
        assert pinned["updateReason"] == "PINNED"
        at = deleted["message"]["deletedAt"]
        assert at is not None
        assert deleted["message"] == {**shown, "body": None, "deletedAt": at, "reactions": []}
        late = await connection.subscribe(EVENTS, id=room_id, after=reacted["cursor"])
        await late.wait_until_ready()
        replayed = await late.wait_until_ready()
        assert [event["message"] for event in replayed[:-1]] == [deleted["message"]] * 2


async def test_changes_of_members_carry_the_member_and_the_room(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with bob.connect() as connection:
        stream = await connection.subscribe(EVENTS, id=room_id)
        [first] = await stream.wait_until_ready()
        await cleo.join(room_id)
        joined, system_message = await stream.next_events(2)
        assert joined["room"] == {"id": room_id, "memberCount": 3}
        await change(ann, "setMemberRole", roomId=room_id, userId=cleo.id, role="MODERATOR")
        promoted = await stream.next_event()
        now = {each["user"]["username"]: each for each in (await room_now(ann, room_id))["members"]["nodes"]}
        assert (promoted["member"], promoted["member"]["role"]) == (now["cleo"], "MODERATOR")
        assert joined["member"] == {**now["cleo"], "role": "MEMBER"}
        await cleo.leave(room_id)
        left = await stream.next_event()
        assert (left["member"], left["room"]["memberCount"]) == (None, 2)
        assert {event["roomId"] for event in (first, joined, system_message, promoted, left)} == {room_id}
        late = await connection.subscribe(EVENTS, id=room_id, after=first["cursor"])
        await late.wait_until_ready()
        replayed = [event for event in await late.wait_until_ready() if event["__typename"] == "MemberChanged"]
        assert [(event["change"], event["member"]) for event in replayed] == [
            ("JOINED", None), ("ROLE_CHANGED", None), ("LEFT", None)
        ]  # fmt: skip


async def test_a_replay_shows_members_as_they_are_after_the_last_change(
    ann: UserClient, bob: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that were replayed are kept for two seconds, so a change has to clear them."""
    monkeypatch.setattr(Group, "_block_size", lambda _: 1)
    room_id = await ann.create_room("den")
    async with ann.connect() as connection:
        stream = await connection.subscribe(EVENTS, id=room_id)
        [first] = await stream.wait_until_ready()
        await bob.join(room_id)
        await stream.next_events(2)  # the member and the system message
        for role in ("MODERATOR", "MEMBER"):
            await change(ann, "setMemberRole", roomId=room_id, userId=bob.id, role=role)
            await stream.next_event()  # until it is in the topic, a replay would end before it
            late = await connection.subscribe(EVENTS, id=room_id, after=first["cursor"])
            await late.wait_until_ready()
            replayed = [event for event in await late.wait_until_ready() if event["__typename"] == "MemberChanged"]
            assert {event["member"]["role"] for event in replayed} == {role}


async def test_documents_with_these_objects_are_executed_once_for_all(
    ann: UserClient, bob: UserClient, cleo: UserClient
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [message] = await ann.send_messages(room_id, "hello")
    counts = []
    for people in ([ann], [ann, bob, cleo]):
        connections: list[Any] = [person.connect() for person in people]
        sockets = [await connection.__aenter__() for connection in connections]
        streams = [await socket.subscribe(EVENTS, id=room_id) for socket in sockets]
        for stream in streams:
            await stream.wait_until_ready()
        [group] = groups(ann.app)
        before = group.executions
        with statements() as seen:
            await ann.mutate(
                PIN
                if len(people) == 1
                else PIN.replace("pinMessage", "unpinMessage").replace("PinMessage", "UnpinMessage"),
                messageId=message["id"],
            )
            await change(ann, "muteMember", roomId=room_id, userId=bob.id, seconds=60 * len(people))
            received = [await stream.next_events(2) for stream in streams]
        assert received == [received[0]] * len(people)
        assert group.executions - before == 2
        counts.append(len([each for each in seen if "FROM memberships" in each]))
        for connection in connections:
            await connection.__aexit__(None, None, None)
        await ann.app.wait_for_streams(0)
    assert counts[0] == counts[1]
    operation = ann.app.roomcast.sockets._engine.operation(Request(EVENTS))
    assert operation.is_shared


async def test_a_signal_names_its_room(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [message] = await ann.send_messages(room_id, "hello")
    async with ann.connect() as connection:
        stream = await connection.subscribe(EVENTS, id=room_id)
        await stream.wait_until_ready()
        await bob.mutate(MARK, roomId=room_id, upToMessageId=message["id"])
        moved = await stream.next_event()
    assert (moved["__typename"], moved["roomId"]) == ("ReadMarkerMoved", room_id)
