"""Python clients lose and repeat nothing when their connection is cut. They run the recipes of docs/delivery.md."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from gql.transport.exceptions import TransportConnectionFailed
from websockets.exceptions import ConnectionClosed

from tests.api_clients import UserClient
from tests.clients.proxy import Proxy
from tests.clients.recipes import with_gql, with_websockets

Messages = Callable[..., AsyncIterator[dict[str, Any]]]

every_recipe = pytest.mark.parametrize(
    "messages", [with_gql.messages, with_websockets.messages], ids=["gql", "websockets"]
)


@every_recipe
async def test_a_python_client_that_reconnects_loses_and_repeats_nothing(ann: UserClient, messages: Messages) -> None:
    room_id = await ann.create_room("den")

    async def access_token() -> str:
        assert ann.token is not None
        return ann.token

    async with Proxy(ann.app.url) as proxy:
        stream = messages(proxy.ws_url, access_token, room_id)
        first = asyncio.ensure_future(anext(stream))
        await ann.app.wait_for_streams(1)
        await ann.send_messages(room_id, "one")
        received = [(await first)["message"]["body"]]
        for missed in ("two", "three"):
            proxy.cut()
            await ann.app.wait_for_streams(0)
            await ann.send_messages(room_id, missed, f"{missed} again")
            async with asyncio.timeout(20):
                received += [(await anext(stream))["message"]["body"] for _ in range(2)]
        await stream.aclose()  # type: ignore[attr-defined]
    assert received == ["one", "two", "two again", "three", "three again"]


@every_recipe
async def test_a_python_client_with_a_bad_token_fails_at_once(ann: UserClient, messages: Messages) -> None:
    room_id = await ann.create_room("den")

    async def access_token() -> str:
        return "nonsense"

    with pytest.raises((TransportConnectionFailed, ConnectionClosed)):
        await asyncio.wait_for(anext(messages(ann.app.ws_url, access_token, room_id)), 5)
