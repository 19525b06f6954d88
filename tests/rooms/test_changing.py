"""Changing, archiving and deleting rooms: who may, who is told, and what open streams feel of it."""

import pytest

from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, UserClient
from tests.replay_invariant import event_kinds, replay_invariant
from tests.rooms.documents import DELETE, add, change, refusal


async def test_an_owner_changes_what_is_mentioned_and_nothing_else(bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den", topic="tea", description="leaves")
    async with replay_invariant(cleo, den) as told:
        await change(bob, "updateRoom", roomId=den, name="  The   Den ", slowModeSeconds=30)
        await change(bob, "updateRoom", roomId=den, topic=None)
    assert event_kinds(told) == ["RoomChanged", "@bob renamed the room to “The Den”.", "RoomChanged"]
    shown = told[-1]["room"]
    assert (shown["name"], shown["topic"], shown["description"]) == ("The Den", None, "leaves")
    assert shown["slowModeSeconds"] == 30


async def test_a_change_to_the_same_is_no_change(bob: UserClient) -> None:
    den = await bob.create_room("den", topic="tea")
    async with replay_invariant(bob, den) as told:
        payload = await change(bob, "updateRoom", roomId=den, name="den", topic="tea", visibility="PUBLIC")
        assert payload["cursor"] is None
        assert (await change(bob, "unarchiveRoom", roomId=den))["cursor"] is None
    assert told == []


@pytest.mark.parametrize("deed", ["updateRoom", "archiveRoom", "unarchiveRoom"])
async def test_who_may_change_a_room(deed: str, ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    public = await bob.create_room("open")
    private = await bob.create_room("shut", visibility="PRIVATE")
    assert await refusal(cleo, deed, roomId=public) == "NOT_A_MEMBER"
    assert await refusal(cleo, deed, roomId=private) == "NOT_FOUND"
    assert await refusal(ann, deed, roomId=private) == "NOT_FOUND"
    assert await refusal(cleo, deed, roomId="room_nonsense") == "NOT_FOUND"
    await change(ann, deed, roomId=public)
    for role in ("READ_ONLY", "MODERATOR"):
        room = await bob.create_room(f"with {role}")
        await add(bob, room, cleo, role=role)
        assert await refusal(cleo, deed, roomId=room) == "FORBIDDEN"


@pytest.mark.parametrize(
    "wrong", [{"name": " "}, {"name": "x" * 81}, {"slowModeSeconds": -1}, {"topic": "x" * 251}, {"name": "ﷺ" * 80}]
)
async def test_a_room_refuses_what_it_cannot_say(wrong: dict[str, object], bob: UserClient) -> None:
    den = await bob.create_room("den")
    assert await refusal(bob, "updateRoom", roomId=den, **wrong) == "VALIDATION_FAILED"


async def test_an_archived_room_is_read_and_not_written(bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den")
    async with replay_invariant(cleo, den) as told:
        await change(bob, "archiveRoom", roomId=den)
        assert (await bob.send(den, "too late"))["errors"][0]["code"] == "ROOM_ARCHIVED"
        assert await refusal(cleo, "joinRoom", roomId=den) == "ROOM_ARCHIVED"
        assert await refusal(bob, "addMembers", roomId=den, userIds=[cleo.id]) == "ROOM_ARCHIVED"
        assert await refusal(bob, "updateRoom", roomId=den, name="x") == "ROOM_ARCHIVED"
        await change(bob, "unarchiveRoom", roomId=den)
        await change(cleo, "joinRoom", roomId=den)
    assert event_kinds(told) == ["RoomChanged", "RoomChanged", "JOINED", "@cleo joined."]


async def test_a_room_made_private_ends_the_streams_of_outsiders(bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den")
    async with cleo.connect() as outside, bob.connect() as inside:
        events, messages = (
            await outside.subscribe(ROOM_EVENTS, roomId=den),
            await outside.subscribe(ROOM_MESSAGES, roomId=den),
        )
        own = await inside.subscribe(ROOM_EVENTS, roomId=den)
        await events.next_event()
        await own.next_event()
        await bob.app.wait_for_streams(3)
        await change(bob, "updateRoom", roomId=den, visibility="PRIVATE")
        ended = await events.next_event()
        assert (ended["__typename"], ended["reason"]) == ("StreamEnded", "REMOVED_FROM_ROOM")
        assert (await events.next_message())["type"] == "complete"
        assert (await messages.next_message())["type"] == "complete"
        assert (await own.next_event())["__typename"] == "RoomChanged"
    assert (await cleo.execute("query R($id: ID!) { room(id: $id) { id } }", id=den))["room"] is None


async def test_a_deleted_room_is_gone_and_its_streams_end(bob: UserClient, cleo: UserClient) -> None:
    den = await bob.create_room("den")
    [said] = await bob.send_messages(den, "hello")
    async with cleo.connect() as wire:
        events, messages = (
            await wire.subscribe(ROOM_EVENTS, roomId=den),
            await wire.subscribe(ROOM_MESSAGES, roomId=den),
        )
        await events.next_event()
        await bob.app.wait_for_streams(2)
        assert (await bob.mutate(DELETE, roomId=den)) == {"errors": [], "deletedRoomId": den}
        ended = await events.next_event()
        assert (ended["__typename"], ended["reason"]) == ("StreamEnded", "ROOM_DELETED")
        assert (await events.next_message())["type"] == (await messages.next_message())["type"] == "complete"
    gone = await bob.execute("query G($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[den, said["id"]])
    assert gone == {"nodes": [None, None]}
    assert (await bob.mutate(DELETE, roomId=den))["errors"][0]["code"] == "NOT_FOUND"
    assert (await bob.send(den, "anyone?"))["errors"][0]["code"] == "NOT_FOUND"


async def test_only_owners_delete_a_room(ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    public, private = await bob.create_room("open"), await bob.create_room("shut", visibility="PRIVATE")
    assert (await cleo.mutate(DELETE, roomId=public))["errors"][0]["code"] == "NOT_A_MEMBER"
    await add(bob, public, cleo, role="MODERATOR")
    assert (await cleo.mutate(DELETE, roomId=public))["errors"][0]["code"] == "FORBIDDEN"
    assert (await ann.mutate(DELETE, roomId=private))["errors"][0]["code"] == "NOT_FOUND"
    assert (await ann.mutate(DELETE, roomId=public))["errors"] == []
