"""`extensions.delivery` in events of subscriptions that ask for it: when an event was recorded, and how late it is."""

import time
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, Self

import orjson

from roomcast.api.execution.requests import Request
from roomcast.api.execution.viewer_fields import EventRenderPass
from roomcast.api.timestamps import format_timestamp
from roomcast.realtime.ports import FeedEntry


def tells_delivery(request: Request) -> bool:
    """Whether the client asks for it, by `extensions: {delivery: true}`."""
    return request.extensions.get("delivery") is True


class DeliveryTimes:
    """A render pass that adds the extension to the payloads of another one. They stay the same for a whole group."""

    def __init__(self, render_pass: EventRenderPass, entries: Sequence[FeedEntry], *, replayed: bool) -> None:
        self._pass, self._entries, self._replayed = render_pass, entries, replayed

    async def __aenter__(self) -> Self:
        await self._pass.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._pass.__aexit__(*error)

    async def payloads_for(self, viewers: Collection[Hashable]) -> Mapping[Hashable, Sequence[bytes | None]]:
        found = await self._pass.payloads_for(viewers)
        tails = [self._tail(entry) for entry in self._entries]
        return {
            viewer: [payload and payload[:-1] + tail for payload, tail in zip(payloads, tails, strict=True)]
            for viewer, payloads in found.items()
        }

    def _tail(self, entry: FeedEntry) -> bytes:
        """The end of a payload: the extension and the closing brace. Control events and signals have no time."""
        if not entry.at:
            return b"}"
        lag = None if self._replayed else max(0, round((time.time() - entry.at) * 1000))
        delivery: dict[str, Any] = {"recordedAt": format_timestamp(entry.event.at), "lagMs": lag}
        return b',"extensions":' + orjson.dumps({"delivery": delivery}) + b"}"
