"""Losing access to a room ends the streams in every process within a second, with or without broker messages."""

import time

import pytest

from tests.api_clients import ROOM_EVENTS, ROOM_MESSAGES, UserClient, sign_up
from tests.conftest import MakeApp
from tests.rooms.documents import DELETE, change

END_REASONS = {
    "deleteRoom": "ROOM_DELETED",
    "removeMember": "REMOVED_FROM_ROOM",
    "updateRoom": "REMOVED_FROM_ROOM",
}


@pytest.mark.parametrize("mutation", END_REASONS)
async def test_losing_a_room_ends_streams_in_a_process_without_broker_messages(
    mutation: str, make_app: MakeApp
) -> None:
    first, second = await make_app(), await make_app()
    async with (
        await sign_up(first, "ann") as _,
        await sign_up(first, "bob") as bob,
        await sign_up(second, "cleo") as cleo,
    ):
        members = [cleo.id] if mutation == "removeMember" else []
        room_id = await bob.create_room("den", visibility="PRIVATE" if members else "PUBLIC", memberIds=members)
        async with cleo.connect() as socket:
            events, messages = (
                await socket.subscribe(ROOM_EVENTS, roomId=room_id),
                await socket.subscribe(ROOM_MESSAGES, roomId=room_id),
            )
            await events.next_event()
            await second.wait_for_streams(2)
            started_at = time.monotonic()
            await _end_access(mutation, bob, cleo, room_id)
            ended = await events.next_event()
            assert (ended["__typename"], ended["reason"]) == ("StreamEnded", END_REASONS[mutation])
            assert (await events.next_message())["type"] == (await messages.next_message())["type"] == "complete"
            assert time.monotonic() - started_at < 2.5  # One second, plus slack for a busy machine.


async def _end_access(mutation: str, bob: UserClient, cleo: UserClient, room_id: str) -> None:
    if mutation == "deleteRoom":
        assert (await bob.mutate(DELETE, roomId=room_id))["errors"] == []
    elif mutation == "removeMember":
        await change(bob, "removeMember", roomId=room_id, userId=cleo.id)
    else:
        await change(bob, "updateRoom", roomId=room_id, visibility="PRIVATE")
