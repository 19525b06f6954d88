"""The replay law: what a client knew, and the events since, is what a client learns anew. Every action is held to it.

    async with law(witness, room_id) as told:
        await somebody.do(...)
    assert told == [...]

A new part of a room joins the law with its selection in ROOM or MESSAGE, and a new event with a line in EVENTS.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.people import Json, Person

ROOM = "id kind visibility name topic description archivedAt slowModeSeconds"
MEMBER = "user { id } role joinedAt mutedUntil"
MESSAGE = "id seq kind body createdAt editedAt revision deletedAt author { id }"

SNAPSHOT = (
    "query Snapshot($id: ID!) { room(id: $id) { streamCursor memberCount " + ROOM + " "
    "members(first: 100) { totalCount nodes { " + MEMBER + " } } messages(last: 100) { nodes { " + MESSAGE + " } } } }"
)


@dataclass
class Known:
    """What a client holds of a room: its own fields, members by user and messages by id."""

    room: Json
    members: dict[str, Json]
    messages: dict[str, Json]


def _created(known: Known, event: Json) -> None:
    known.messages[event["message"]["id"]] = event["message"]


def _member_changed(known: Known, event: Json) -> None:
    user_id = event["user"]["id"]
    if event["role"] is None:
        del known.members[user_id]
        return
    joined = event["at"] if event["change"] == "JOINED" else known.members[user_id]["joinedAt"]
    known.members[user_id] = {
        "user": event["user"],
        "role": event["role"],
        "joinedAt": joined,
        "mutedUntil": event["mutedUntil"],
    }


def _room_changed(known: Known, event: Json) -> None:
    known.room = event["room"]


EVENTS: dict[str, tuple[str, Callable[[Known, Json], None]]] = {
    "MessageCreated": ("message { " + MESSAGE + " }", _created),
    "MemberChanged": ("user { id } change role mutedUntil", _member_changed),
    "RoomChanged": ("room { " + ROOM + " }", _room_changed),
}
"""What is read of each event, and what a client does with it."""

REPLAY = (
    "subscription Replay($roomId: ID!, $after: Cursor) { roomEvents(roomId: $roomId, after: $after) "
    "{ __typename cursor at replayed ... on StreamReady { recovered replayedCount } "
    + " ".join(f"... on {name} {{ {selection} }}" for name, (selection, _) in EVENTS.items())
    + " } }"
)


async def snapshot(witness: Person, room_id: str) -> tuple[Known, str]:
    """All that this person can know of the room now, and the position of the log at that moment."""
    room = (await witness.ask(SNAPSHOT, id=room_id))["room"]
    cursor, members, messages = room.pop("streamCursor"), room.pop("members"), room.pop("messages")
    assert room.pop("memberCount") == members["totalCount"] == len(members["nodes"])
    return (
        Known(
            room,
            {member["user"]["id"]: member for member in members["nodes"]},
            {message["id"]: message for message in messages["nodes"]},
        ),
        str(cursor),
    )


async def events_since(witness: Person, room_id: str, cursor: str) -> list[Json]:
    """The durable events of the room after that position."""
    async with witness.socket() as wire:
        watching = await wire.watch(REPLAY, roomId=room_id, after=cursor)
        assert (await watching.next())["__typename"] == "StreamReady"
        *events, ready = await watching.until_ready()
    assert ready["recovered"] is True
    assert ready["replayedCount"] == len(events)
    assert all(event["replayed"] for event in events)
    return events


@asynccontextmanager
async def law(witness: Person, room_id: str) -> AsyncIterator[list[Json]]:
    """Whatever the block does to the room, a witness who replays it ends where a newcomer begins.

    After the block, the list that was given holds the events that it caused.
    """
    known, cursor = await snapshot(witness, room_id)
    told: list[Json] = []
    yield told
    told += await events_since(witness, room_id, cursor)
    for event in told:
        EVENTS[event["__typename"]][1](known, event)
    fresh, _ = await snapshot(witness, room_id)
    assert known == fresh


def changes(told: list[Json]) -> list[Any]:
    """The short of what was told: each event's kind, or for a member what changed."""
    return [event.get("change") or event["__typename"] for event in told]
