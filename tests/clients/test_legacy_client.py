"""A client that speaks the legacy protocol of subscriptions-transport-ws is told which one to use."""

import pytest

from tests.clients.node import NodeClient, require
from tests.running_app import RunningApp

pytestmark = pytest.mark.node


async def test_a_legacy_client_is_refused_with_a_reason(app: RunningApp) -> None:
    require()
    async with NodeClient("legacy.mjs", wsUrl=app.ws_url) as client:
        message = "This server speaks graphql-transport-ws. Use the library graphql-ws."
        assert await client.wait_for("refused") == message
        assert await client.wait_for("closed") == 4406
        assert client.seen[-1]["reason"] == "Subprotocol not acceptable: use graphql-transport-ws"
