"""The replay law: what a client knew, and the events since, is what a client learns anew. Every action is held to it.

    async with law(witness, room_id) as told:
        await somebody.do(...)
    assert kinds(told) == [...]

A new part of a room joins the law with its selection in ROOM, MEMBER or MESSAGE; a new event with a line in EVENTS.
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
    """What a client holds of a room: its own fields, members by user and messages outside threads by id."""

    room: Json
    members: dict[str, Json]
    messages: dict[str, Json]


# ------------------------------------------------------------------ what a client does with an event


def _shown(known: Known, event: Json) -> None:
    message = event["message"]
    if message["threadRootId"] is None:
        known.messages[message["id"]] = {name: value for name, value in message.items() if name != "threadRoot"}


def _created(known: Known, event: Json) -> None:
    """A reply in a thread is no message of the room's own history: only its root shows that it is there."""
    _shown(known, event)
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


def _deleted(known: Known, event: Json) -> None:
    if event["messageId"] in known.messages:
        known.messages[event["messageId"]] |= {"deletedAt": event["at"], **ERASED}


def _reacted(known: Known, event: Json) -> None:
    message = known.messages.get(event["messageId"])
    if message is not None:
        others = [group for group in message["reactions"] if group["emoji"] != event["emoji"]]
        now = [{"emoji": event["emoji"], "count": event["count"]}] if event["count"] else []
        message["reactions"] = others + now


def _member_changed(known: Known, event: Json) -> None:
    user_id = event["user"]["id"]
    if event["role"] is None:
        del known.members[user_id]
        return
    joined = event["at"] if event["change"] == "JOINED" else known.members[user_id]["joinedAt"]
    shown = {name: event[name] for name in ("user", "role", "mutedUntil")}
    known.members[user_id] = {**shown, "joinedAt": joined}


def _room_changed(known: Known, event: Json) -> None:
    known.room = event["room"]


EVENTS: dict[str, tuple[str, Callable[[Known, Json], None]]] = {
    "MessageCreated": ("message { threadRoot { thread { " + THREAD + " } } " + MESSAGE + " }", _created),
    "MessageUpdated": ("reason message { " + MESSAGE + " }", _shown),
    "MessageDeleted": ("messageId messageSeq deletedBy { username }", _deleted),
    "ReactionChanged": ("messageId emoji added count user { id }", _reacted),
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


# ------------------------------------------------------------------ the law


async def snapshot(witness: UserClient, room_id: str) -> tuple[Known, str]:
    """All that this person can know of the room now, and the position of the log at that moment."""
    room = (await witness.execute(SNAPSHOT, id=room_id))["room"]
    cursor, members, messages = room.pop("streamCursor"), room.pop("members"), room.pop("messages")
    assert room.pop("memberCount") == members["totalCount"] == len(members["nodes"])
    by_user = {member["user"]["id"]: member for member in members["nodes"]}
    return Known(room, by_user, {message["id"]: message for message in messages["nodes"]}), str(cursor)


@asynccontextmanager
async def replay_invariant(witness: UserClient, room_id: str) -> AsyncIterator[list[Json]]:
    """Whatever the block does to the room, a witness who replays it ends where a newcomer begins, and so does one who
    listened all the while. After the block, the list that was given holds the events that it caused."""
    known, start = await snapshot(witness, room_id)
    told, cursor = list[Json](), start
    async with witness.connect() as wire:
        live = await wire.subscribe(REPLAY, roomId=room_id, after=start)
        await live.wait_until_ready()
        await live.wait_until_ready()
        yield told
        fresh, end = await snapshot(witness, room_id)
        while cursor != end:
            told.append(await live.next_event())
            cursor = told[-1]["cursor"]
        late = await wire.subscribe(REPLAY, roomId=room_id, after=start)
        await late.wait_until_ready()
        *replayed, ready = await late.wait_until_ready()
    assert ready["recovered"] is True
    assert ready["replayedCount"] == len(replayed) == len(told)
    assert _applied(known, replayed) == fresh, (known, fresh)
    assert _applied(known, told) == fresh, (known, fresh)


def _applied(known: Known, events: list[Json]) -> Known:
    """What a client knows after it was told all this."""
    after = deepcopy(known)
    for event in deepcopy(events):
        EVENTS[event["__typename"]][1](after, event)
    return after


def event_kinds(told: list[Json]) -> list[Any]:
    """The short of what was told: each event's type, what became of a member, or what the room itself said."""
    return [event.get("change") or _said_by_room(event) or event["__typename"] for event in told]


def _said_by_room(event: Json) -> str | None:
    message = event.get("message", {})
    said: str | None = message.get("body") if message.get("kind") == "SYSTEM" else None
    return said
