"""`/metrics` in the formats of Prometheus. Values are read when the endpoint is asked, not before."""

import hmac
from collections.abc import Callable, Iterable
from importlib.metadata import version

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from roomcast.app import Roomcast
from roomcast.realtime.outbox import PROCESS

Value = tuple[str, float, str]
"""The name of a metric without its prefix, its value, and its help text."""


class ProcessMetrics(Collector):
    """What this server process holds and has done since it started."""

    def __init__(self, roomcast: Roomcast) -> None:
        self._roomcast = roomcast

    def describe(self) -> Iterable[Metric]:
        """Names no metrics in advance, so that registering reads no values."""
        return ()

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily("roomcast", "The release that runs.", {"version": version("roomcast")})
        for name, value, text in _gauges(self._roomcast):
            yield GaugeMetricFamily(f"roomcast_{name}", text, value)
        for name, value, text in (*_sending(self._roomcast), *_delivery(self._roomcast)):
            yield CounterMetricFamily(f"roomcast_{name}", text, value)
        pushes = CounterMetricFamily("roomcast_pushes", "Web pushes by outcome.", labels=("outcome",))
        notifier = self._roomcast.backend.notifier
        for outcome, count in (notifier.stats if notifier is not None else {}).items():
            pushes.add_metric((outcome,), count)
        yield pushes


def _gauges(roomcast: Roomcast) -> Iterable[Value]:
    hub, backend = roomcast.hub, roomcast.backend
    people = len(backend.presence.registry.visible_user_ids)
    return (
        ("sockets", len(roomcast.sockets.connections), "Open WebSocket connections and streams over HTTP."),
        ("subscriptions", hub.reader_count, "Running subscriptions to rooms."),
        ("groups", len(hub.groups), "Groups of subscriptions that share one execution per event."),
        ("topics", len(hub.topics), "Rooms with subscriptions in this process."),
        ("replay_bytes", hub.held_bytes, "Bytes of events that are held for subscriptions that are behind."),
        ("unsent_bytes", PROCESS.total, "Bytes that wait for clients that read slowly."),
        ("people_present", people, "Users who are shown as present, counted over all processes."),
        ("sends_waiting", backend.message_sender.waiting, "Messages that wait for the next transaction."),
        ("bus_connected", int(roomcast.bus.connected), "1 while the broker is connected."),
    )


def _sending(roomcast: Roomcast) -> Iterable[Value]:
    sender, refused = roomcast.backend.message_sender, roomcast.db.refused_connections
    return (
        ("sends", sender.calls, "Messages that clients sent, including refused ones."),
        ("send_groups", sender.groups, "Transactions for sent messages; one can hold many messages."),
        ("send_deferred", sender.deferred, "Messages that waited in a second group because their room was locked."),
        ("send_fallbacks", sender.fallbacks, "Transactions that failed, so that each message was tried alone."),
        ("send_retries", sender.retries, "Transactions that were repeated because the database did not answer."),
        (
            "db_refused_connections",
            refused,
            "Connections closed with an open transaction; more than 0 is a defect.",
        ),
    )


def _delivery(roomcast: Roomcast) -> Iterable[Value]:
    hub, bus = roomcast.hub, roomcast.bus.stats
    malformed = bus.malformed + hub.malformed
    return (
        ("event_executions", hub.totals["executions"], "GraphQL executions for events."),
        ("event_deliveries", hub.totals["deliveries"], "Events that were sent to live subscriptions."),
        ("streams_failed", hub.failed, "Streams that ended with an unexpected exception."),
        ("bus_published", bus.published, "Frames sent to the broker."),
        ("bus_dropped", bus.dropped, "Frames not sent to the broker; receivers read these events from the event log."),
        ("bus_received", bus.received, "Frames received from the broker."),
        ("bus_malformed", malformed, "Messages from the broker that could not be decoded."),
        ("bus_overflows", bus.overflows, "Times that the queue of received frames was full."),
        ("bus_resyncs", bus.resyncs, "Times that the event log was read because frames may be missing."),
        ("bus_connects", bus.connects, "Connections opened to the broker."),
    )


def register(roomcast: Roomcast) -> None:
    """Add the metrics of the process, of Python and of roomcast to the registry."""
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=roomcast.registry)
    roomcast.registry.register(ProcessMetrics(roomcast))


def route(roomcast: Callable[[], Roomcast], token: SecretStr | None) -> Route:
    """`roomcast` is called for each request. With a token, requests need it as a bearer token."""

    async def metrics(request: Request) -> Response:
        if token is not None:
            sent, expected = request.headers.get("authorization", ""), f"Bearer {token.get_secret_value()}"
            if not hmac.compare_digest(sent.encode(), expected.encode()):
                return PlainTextResponse("ROOMCAST_METRICS_TOKEN is required.\n", 401, {"WWW-Authenticate": "Bearer"})
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(roomcast().registry), media_type=media_type, headers={"Cache-Control": "no-store"})

    return Route("/metrics", metrics)
