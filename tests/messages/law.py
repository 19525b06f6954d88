"""The replay law for messages: what a client knew, and the events since, is what a client learns anew."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.people import Json, Person

Known = dict[str, Json]

THREAD = "replyCount lastReply { id }"

MESSAGE = (
    "id seq kind body bodyHtml createdAt editedAt revision deletedAt author { id } replyTo { id } threadRootId "
    "pinnedAt mentionsRoom mentions { id } reactions { emoji count } thread { " + THREAD + " }"
)

HISTORY = (
    "query History($roomId: ID!) { messages(roomId: $roomId, last: 100) { streamCursor nodes { " + MESSAGE + " } } }"
)


def _shown(known: Known, event: Json) -> None:
    message = event["message"]
    if message["threadRootId"] is None:
        known[message["id"]] = {name: value for name, value in message.items() if name != "threadRoot"}


def _created(known: Known, event: Json) -> None:
    """A reply in a thread is no message of the room's own history: only its root shows that it is there."""
    _shown(known, event)
    message = event["message"]
    if message["threadRootId"] in known:
        known[message["threadRootId"]] = {**known[message["threadRootId"]], **message["threadRoot"]}


ERASED: Json = {
    "body": None,
    "bodyHtml": None,
    "pinnedAt": None,
    "mentionsRoom": False,
    "mentions": [],
    "reactions": [],
}


def _deleted(known: Known, event: Json) -> None:
    if event["messageId"] in known:
        known[event["messageId"]] = {**known[event["messageId"]], "deletedAt": event["at"], **ERASED}


def _reacted(known: Known, event: Json) -> None:
    message = known.get(event["messageId"])
    if message is not None:
        others = [group for group in message["reactions"] if group["emoji"] != event["emoji"]]
        now = [{"emoji": event["emoji"], "count": event["count"]}] if event["count"] else []
        known[message["id"]] = {**message, "reactions": others + now}


EVENTS: dict[str, tuple[str, Callable[[Known, Json], None]]] = {
    "MessageCreated": ("message { threadRoot { thread { " + THREAD + " } } " + MESSAGE + " }", _created),
    "MessageUpdated": ("reason message { " + MESSAGE + " }", _shown),
    "MessageDeleted": ("messageId messageSeq deletedBy { username }", _deleted),
    "ReactionChanged": ("messageId emoji added count user { id }", _reacted),
}
"""What is read of each event, and what a client does with it."""

REPLAY = (
    "subscription Replay($roomId: ID!, $after: Cursor) { roomEvents(roomId: $roomId, after: $after) "
    "{ __typename cursor at replayed ... on StreamReady { recovered replayedCount } "
    + " ".join(f"... on {name} {{ {selection} }}" for name, (selection, _) in EVENTS.items())
    + " } }"
)


async def snapshot(witness: Person, room_id: str) -> tuple[Known, str]:
    """The messages of a room by id, and the position of the log at that moment."""
    page = (await witness.ask(HISTORY, roomId=room_id))["messages"]
    return {message["id"]: message for message in page["nodes"]}, page["streamCursor"]


@asynccontextmanager
async def law(witness: Person, room_id: str) -> AsyncIterator[list[Json]]:
    """Whatever the block does to the room, a witness who replays it ends where a newcomer begins, and so does one who
    listened all the while. After the block, the list that was given holds the events that it caused."""
    known, start = await snapshot(witness, room_id)
    listened, told, cursor = dict(known), list[Json](), start
    async with witness.socket() as wire:
        live = await wire.watch(REPLAY, roomId=room_id, after=cursor)
        await live.until_ready()
        await live.until_ready()
        yield told
        fresh, end = await snapshot(witness, room_id)
        while cursor != end:
            told.append(await live.next())
            cursor = told[-1]["cursor"]
        late = await wire.watch(REPLAY, roomId=room_id, after=start)
        await late.until_ready()
        *replayed, ready = await late.until_ready()
    assert ready["replayedCount"] == len(replayed) == len(told)
    assert _applied(known, replayed) == fresh, (known, fresh)
    assert _applied(listened, told) == fresh, (listened, fresh)


def _applied(known: Known, events: list[Json]) -> Known:
    for event in events:
        EVENTS[event["__typename"]][1](known, event)
    return known


def kinds(told: list[Json]) -> list[Any]:
    return [event["__typename"] for event in told]
