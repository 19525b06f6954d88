"""Stock Apollo Client and graphcache, with only the policies of docs/clients.md, show every change in every list."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api_clients import Json, UserClient
from tests.clients.node import NodeClient, require
from tests.clients.snippets import write_snippets
from tests.messages.documents import DELETE, EDIT, REACT
from tests.rooms.documents import change

pytestmark = [pytest.mark.node, pytest.mark.parametrize("kind", ["apollo", "graphcache"])]


@pytest.fixture(autouse=True)
def _node() -> None:
    require()


@asynccontextmanager
async def open_page(
    kind: str, folder: Path, reader: UserClient, room_id: str, **more: Any
) -> AsyncIterator[NodeClient]:
    """A client that shows the room, the list of rooms and the results of a search."""
    addresses = {"url": f"{reader.app.url}/graphql", "wsUrl": reader.app.ws_url, "token": reader.token}
    settings = {**addresses, "client": kind, "folder": str(write_snippets(folder)), "roomId": room_id, **more}
    async with NodeClient("caches.mjs", **settings) as page:
        await page.wait_for("ready")
        yield page


async def wait_until(page: NodeClient, condition: Callable[[Json], bool]) -> Json:
    """The first state from now on, the present one included, for which this holds."""
    state = last_state(page)
    while not condition(state):
        state = await page.wait_for("state")
    return state


def last_state(page: NodeClient) -> Json:
    return dict(next(line["state"] for line in reversed(page.seen) if "state" in line))


def requests(page: NodeClient) -> int:
    return int(next(line["requests"] for line in reversed(page.seen) if "requests" in line))


# ------------------------------------------------------------------ changes by others


async def edit(_ann: UserClient, bob: UserClient, _cleo: UserClient, _room_id: str, message_id: str) -> None:
    await bob.mutate(EDIT, messageId=message_id, body="edited")


async def delete(_ann: UserClient, bob: UserClient, _cleo: UserClient, _room_id: str, message_id: str) -> None:
    await bob.mutate(DELETE, messageId=message_id)


async def react(_ann: UserClient, bob: UserClient, _cleo: UserClient, _room_id: str, message_id: str) -> None:
    await bob.mutate(REACT, messageId=message_id, emoji="👍")


async def join(_ann: UserClient, _bob: UserClient, cleo: UserClient, room_id: str, _message_id: str) -> None:
    await cleo.join(room_id)


async def leave(_ann: UserClient, bob: UserClient, _cleo: UserClient, room_id: str, _message_id: str) -> None:
    await bob.leave(room_id)


async def set_topic(ann: UserClient, _bob: UserClient, _cleo: UserClient, room_id: str, _message_id: str) -> None:
    await change(ann, "updateRoom", roomId=room_id, topic="tea")


async def send(_ann: UserClient, bob: UserClient, _cleo: UserClient, room_id: str, _message_id: str) -> None:
    await bob.send_messages(room_id, "new")


Change = Callable[[UserClient, UserClient, UserClient, str, str], Awaitable[None]]


def message_is(**expected: Any) -> Callable[[Json], bool]:
    """Whether the newest message is this one in the room, in the list of rooms and in the search."""
    row = {"body": "hello two", "reactions": [], **expected}

    def holds(state: Json) -> bool:
        [room] = state["rooms"]
        shown = (state["room"]["messages"][-1], room["last"])
        return all(each == row for each in shown) and row in state["found"]

    return holds


def is_new_message_shown(state: Json) -> bool:
    row = {"body": "new", "reactions": []}
    return bool(state["room"]["messages"].count(row) == 1 and state["rooms"][0]["last"] == row)


def members_are(*names: str) -> Callable[[Json], bool]:
    return lambda state: state["room"]["members"] == list(names) and state["room"]["memberCount"] == len(names)


def is_topic_shown(state: Json) -> bool:
    return bool(state["room"]["topic"] == state["rooms"][0]["topic"] == "tea")


CHANGES: dict[str, tuple[Change, Callable[[Json], bool]]] = {
    "an edit": (edit, message_is(body="edited")),
    "a deletion": (delete, message_is(body=None)),
    "a reaction": (react, message_is(reactions=["👍 1"])),
    "a new member": (join, members_are("ann", "bob", "cleo")),
    "a member who leaves": (leave, members_are("ann")),
    "a new topic": (set_topic, is_topic_shown),
    "a message": (send, is_new_message_shown),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_appears_in_every_list_from_the_subscription_alone(
    ann: UserClient, bob: UserClient, cleo: UserClient, tmp_path: Path, kind: str, name: str
) -> None:
    make_change, is_shown = CHANGES[name]
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [_, message] = await bob.send_messages(room_id, "hello one", "hello two")
    async with open_page(kind, tmp_path, ann, room_id) as page:
        before, requests_before = last_state(page), requests(page)
        assert not is_shown(before)
        await make_change(ann, bob, cleo, room_id, message["id"])
        after = await wait_until(page, is_shown)
        assert requests(page) == requests_before
        assert after["room"]["messages"][0] == before["room"]["messages"][0]


async def test_mark_read_empties_the_badge(ann: UserClient, bob: UserClient, tmp_path: Path, kind: str) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    [_, message] = await bob.send_messages(room_id, "hello one", "hello two")
    async with open_page(kind, tmp_path, ann, room_id, markRead=message["id"]) as page:
        counts = [line["state"]["rooms"][0]["unread"] for line in page.seen if line.get("state", {}).get("rooms")]
        assert (counts[0], counts[-1]) == (2, 0)


async def test_the_inbox_fills_the_badge(ann: UserClient, bob: UserClient, tmp_path: Path, kind: str) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    async with open_page(kind, tmp_path, ann, room_id) as page:
        requests_before = requests(page)
        await bob.send_messages(room_id, "hello")
        await wait_until(page, lambda state: state["rooms"][0]["unread"] == 1)
        assert requests(page) == requests_before


async def test_older_pages_are_joined_in_front_of_the_first_one(
    ann: UserClient, bob: UserClient, tmp_path: Path, kind: str
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    await bob.send_messages(room_id, "one", "two", "three", "four")
    async with open_page(kind, tmp_path, ann, room_id, last=2) as page:
        first = next(line["state"] for line in page.seen if "state" in line)["room"]
        assert [row["body"] for row in first["messages"]] == ["three", "four"]
        await bob.send_messages(room_id, "five")
        bodies = ["one", "two", "three", "four", "five"]
        state = await wait_until(page, lambda state: [row["body"] for row in state["room"]["messages"]] == bodies)
        assert state["room"]["streamCursor"] == first["streamCursor"]
