"""The replay invariant: a snapshot plus all later events gives the same state as a new snapshot. Used by all actions.

    async with replay_invariant(witness, room_id) as events:
        await ann.execute(...)
    assert event_kinds(events) == [...]

Add new fields to the selections ROOM, MEMBER or MESSAGE, and new events to EVENTS.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from tests.api_clients import Json, UserClient

THREAD = "replyCount lastReply { id }"
FILE = "id filename contentType byteSize width height sha256"

ROOM = "id kind visibility name topic description archivedAt slowModeSeconds"
MEMBER = "user { id } role joinedAt mutedUntil"
MESSAGE = (
    "id seq kind body bodyHtml createdAt editedAt revision deletedAt author { id } replyTo { id } threadRootId "
    "pinnedAt mentionsRoom mentions { id } reactions { emoji count } thread { " + THREAD + " } "
    "attachments { " + FILE + " }"
)

SNAPSHOT = (
    "query Snapshot($id: ID!) { room(id: $id) { streamCursor memberCount " + ROOM + " "
    "members(first: 100) { totalCount nodes { " + MEMBER + " } } messages(last: 100) { nodes { " + MESSAGE + " } } } }"
)


@dataclass
class Known:
    """What a client knows of a room: its fields, members by user id, and messages outside threads by message id."""

    room: Json
    members: dict[str, Json]
    messages: dict[str, Json]


# ------------------------------------------------------------------ applying an event


def _apply_message(known: Known, event: Json) -> None:
    message = event["message"]
    if message["threadRootId"] is None:
        known.messages[message["id"]] = {name: value for name, value in message.items() if name != "threadRoot"}


def _apply_created(known: Known, event: Json) -> None:
    """A reply in a thread is not part of the room's history; it only changes the thread of its root."""
    _apply_message(known, event)
    message = event["message"]
    if message["threadRootId"] in known.messages:
        known.messages[message["threadRootId"]] |= message["threadRoot"]


ERASED: Json = {
    "body": None,
    "bodyHtml": None,
    "pinnedAt": None,
    "mentionsRoom": False,
    "mentions": [],
    "reactions": [],
    "attachments": [],
}


def _apply_deleted(known: Known, event: Json) -> None:
    if event["messageId"] in known.messages:
        known.messages[event["messageId"]] |= {"deletedAt": event["at"], **ERASED}


def _apply_reaction(known: Known, event: Json) -> None:
    message = known.messages.get(event["messageId"])
    if message is not None:
        others = [group for group in message["reactions"] if group["emoji"] != event["emoji"]]
        now = [{"emoji": event["emoji"], "count": event["count"]}] if event["count"] else []
        message["reactions"] = others + now


def _apply_member(known: Known, event: Json) -> None:
    user_id = event["user"]["id"]
    if event["role"] is None:
        del known.members[user_id]
        return
    joined = event["at"] if event["change"] == "JOINED" else known.members[user_id]["joinedAt"]
    shown = {name: event[name] for name in ("user", "role", "mutedUntil")}
    known.members[user_id] = {**shown, "joinedAt": joined}


def _apply_room(known: Known, event: Json) -> None:
    known.room = event["room"]


def _apply_objects(known: Known, event: Json) -> None:
    """As a normalised cache does it: only from the objects that the event carries."""
    if event["__typename"] == "MessageCreated":
        _apply_created(known, event)
    elif "message" in event:
        _apply_message(known, event)
    elif "room" in event:
        _apply_room(known, event)
    elif event["member"] is None:
        known.members.pop(event["user"]["id"], None)
    else:
        known.members[event["user"]["id"]] = event["member"]


EVENTS: dict[str, tuple[str, Callable[[Known, Json], None]]] = {
    "MessageCreated": ("message { threadRoot { thread { " + THREAD + " } } " + MESSAGE + " }", _apply_created),
    "MessageUpdated": ("updateReason message { " + MESSAGE + " }", _apply_message),
    "MessageDeleted": ("messageId messageSeq deletedBy { username } message { " + MESSAGE + " }", _apply_deleted),
    "ReactionChanged": ("messageId emoji added count user { id } message { " + MESSAGE + " }", _apply_reaction),
    "MemberChanged": ("user { id } change role mutedUntil member { " + MEMBER + " }", _apply_member),
    "RoomChanged": ("room { " + ROOM + " }", _apply_room),
}
"""The selection of each event, and how a client applies it."""

REPLAY = (
    "subscription Replay($roomId: ID!, $after: Cursor) { roomEvents(roomId: $roomId, after: $after) "
    "{ __typename cursor at replayed ... on StreamReady { recovered replayedCount } "
    + " ".join(f"... on {name} {{ {selection} }}" for name, (selection, _) in EVENTS.items())
    + " } }"
)


# ------------------------------------------------------------------ the invariant


async def snapshot(witness: UserClient, room_id: str) -> tuple[Known, str]:
    """All that this user can read of the room, and the cursor of that moment."""
    room = (await witness.execute(SNAPSHOT, id=room_id))["room"]
    cursor, members, messages = room.pop("streamCursor"), room.pop("members"), room.pop("messages")
    assert room.pop("memberCount") == members["totalCount"] == len(members["nodes"])
    by_user = {member["user"]["id"]: member for member in members["nodes"]}
    return Known(room, by_user, {message["id"]: message for message in messages["nodes"]}), str(cursor)


@asynccontextmanager
async def replay_invariant(witness: UserClient, room_id: str) -> AsyncIterator[list[Json]]:
    """Check the invariant for what the block does to the room, both for a live subscription and for a replay.

    After the block, the yielded list holds the events that it caused.
    """
    known, start = await snapshot(witness, room_id)
    events, cursor = list[Json](), start
    async with witness.connect() as connection:
        live = await connection.subscribe(REPLAY, roomId=room_id, after=start)
        await live.wait_until_ready()
        await live.wait_until_ready()
        yield events
        fresh, end = await snapshot(witness, room_id)
        while cursor != end:
            events.append(await live.next_event())
            cursor = events[-1]["cursor"]
        late = await connection.subscribe(REPLAY, roomId=room_id, after=start)
        await late.wait_until_ready()
        *replayed, ready = await late.wait_until_ready()
    assert ready["recovered"] is True
    assert ready["replayedCount"] == len(replayed) == len(events)
    for seen in (replayed, events):
        assert _applied(known, seen, lambda after, event: EVENTS[event["__typename"]][1](after, event)) == fresh
        assert _applied(known, seen, _apply_objects) == fresh


def _applied(known: Known, events: list[Json], apply: Callable[[Known, Json], None]) -> Known:
    """The state after these events."""
    after = deepcopy(known)
    for event in deepcopy(events):
        apply(after, event)
    return after


def event_kinds(events: list[Json]) -> list[Any]:
    """A summary of events: the change of a member, the text of a system message, or else the type."""
    return [event.get("change") or _system_text(event) or event["__typename"] for event in events]


def _system_text(event: Json) -> str | None:
    message = event.get("message", {})
    text: str | None = message.get("body") if message.get("kind") == "SYSTEM" else None
    return text
