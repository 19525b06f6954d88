"""Several subscriptions of one client: each resumes from its own position."""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.api_clients import UserClient
from tests.clients.node import NodeClient, require
from tests.clients.proxy import Proxy

pytestmark = pytest.mark.node

SHOWN = "{ cursor message { body } }"
RESUMING = f"subscription S($roomId: ID!, $after: Cursor) {{ roomMessages(roomId: $roomId, after: $after) {SHOWN} }}"
PLAIN = f"subscription S($roomId: ID!) {{ roomMessages(roomId: $roomId) {SHOWN} }}"
LITERAL = {
    RESUMING: 'subscription S($after: Cursor) {{ roomMessages(roomId: "{id}", after: $after) {shown} }}',
    PLAIN: 'subscription {{ roomMessages(roomId: "{id}") {shown} }}',
}


@pytest.fixture(autouse=True)
def _node() -> None:
    require()


def streams_of(document: str, room_id: str) -> dict[str, Any]:
    """Four subscriptions of one room and field: two equal ones, one with an alias, one with a literal room id."""
    named = {"query": document, "variables": {"roomId": room_id}}
    return {
        "first": named,
        "second": named,
        "alias": {**named, "query": document.replace("roomMessages(", "said: roomMessages(")},
        "literal": {"query": LITERAL[document].format(id=room_id, shown=SHOWN)},
    }


async def wait_until_all_show(client: NodeClient, body: str, names: Iterable[str]) -> None:
    waiting = set(names) - {line["name"] for line in client.seen if line.get("body") == body}
    while waiting:
        await client.wait_for("body", body)
        waiting -= {line["name"] for line in client.seen if line.get("body") == body}


def shown_by(client: NodeClient, name: str) -> list[str]:
    return [line["body"] for line in client.seen if line.get("name") == name]


async def miss_messages(proxy: Proxy, client: NodeClient, person: UserClient, room_id: str, *missed: str) -> None:
    """Cut the connection, send messages, and let the client reconnect."""
    proxy.rejects = True
    proxy.cut()
    await client.wait_for("closed")
    await person.send_messages(room_id, *missed)
    proxy.rejects = False


@pytest.mark.parametrize("strict", [False, True], ids=["", "strict-mode"])
@pytest.mark.parametrize(("recipe", "document"), [("roomcast", RESUMING), ("map", PLAIN)], ids=["after", "map"])
async def test_two_streams_of_one_room_and_field_resume_from_their_own_positions(
    ann: UserClient, recipe: str, document: str, strict: bool
) -> None:
    room_id = await ann.create_room("den")
    streams = streams_of(document, room_id)
    async with Proxy(ann.app.url) as proxy:
        settings = {"recipe": recipe, "wsUrl": proxy.ws_url, "token": ann.token, "streams": streams, "strict": strict}
        async with NodeClient("streams.mjs", **settings) as client:
            for _ in streams:
                await client.wait_for("position")  # before any message
            await miss_messages(proxy, client, ann, room_id, "missed before the first", "another")
            await wait_until_all_show(client, "another", streams)
            await ann.send_messages(room_id, "end second")
            await wait_until_all_show(client, "end second", streams)
            await miss_messages(proxy, client, ann, room_id, "missed", "missed too")
            await wait_until_all_show(client, "missed too", streams.keys() - {"second"})
            await ann.send_messages(room_id, "last")
            await wait_until_all_show(client, "last", streams.keys() - {"second"})
            before_end, after_end = (
                ["missed before the first", "another", "end second"],
                ["missed", "missed too", "last"],
            )
            assert {name: shown_by(client, name) for name in streams} == {
                name: before_end + (after_end if name != "second" else []) for name in streams
            }


async def test_an_iterated_subscription_resumes(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    streams = {"iterate": streams_of(RESUMING, room_id)["first"]}
    async with Proxy(ann.app.url) as proxy:
        settings = {"recipe": "roomcast", "wsUrl": proxy.ws_url, "token": ann.token, "streams": streams}
        async with NodeClient("streams.mjs", **settings) as client:
            await client.wait_for("position")
            await miss_messages(proxy, client, ann, room_id, "missed")
            await client.wait_for("body", "missed")
            await miss_messages(proxy, client, ann, room_id, "missed again")
            await client.wait_for("body", "missed again")
            assert shown_by(client, "iterate") == ["missed", "missed again"]


async def test_the_recipe_rejects_a_document_that_cannot_resume(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    settings = {
        "recipe": "roomcast",
        "wsUrl": ann.app.ws_url,
        "token": ann.token,
        "streams": streams_of(PLAIN, room_id),
    }
    async with NodeClient("streams.mjs", **settings) as client:
        with pytest.raises(EOFError):
            await client.wait_for("position")
