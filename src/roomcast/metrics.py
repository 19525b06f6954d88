"""`/metrics`, as Prometheus reads it: what this process holds and has done, read when somebody asks and not before."""

import hmac
from collections.abc import Iterable
from importlib.metadata import version

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from roomcast.app import Roomcast
from roomcast.realtime.outbox import PROCESS


class Readings(Collector):
    def __init__(self, roomcast: Roomcast) -> None:
        self._roomcast = roomcast

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of time: a house that has not started holds nothing yet."""
        return ()

    def collect(self) -> Iterable[Metric]:
        house, done, bus = self._roomcast, self._roomcast.hub.totals, self._roomcast.bus.stats
        yield InfoMetricFamily("roomcast", "What runs here.", {"version": version("roomcast")})
        for name, value, text in (
            ("sockets", len(house.sockets.connections), "Open WebSocket connections and streams over HTTP."),
            ("subscriptions", house.hub.reader_count, "Subscriptions of rooms."),
            ("groups", len(house.hub.groups), "Audiences that share an execution."),
            ("topics", len(house.hub.topics), "Rooms that somebody here listens to."),
            ("replay_bytes", house.hub.held_bytes, "Events that are kept for subscriptions which are behind."),
            ("unsent_bytes", PROCESS.total, "What waits for sockets that take no more at the moment."),
            ("people_present", len(house.signals.people.shown), "People who are shown as present, by all processes."),
            ("sends_waiting", house.send.waiting, "Messages that wait for the next transaction."),
            ("bus_connected", int(house.bus.connected), "1 while frames travel between processes."),
        ):
            yield GaugeMetricFamily(f"roomcast_{name}", text, value)
        for name, value, text in (
            ("event_executions", done["executions"], "GraphQL executions of events."),
            ("event_deliveries", done["deliveries"], "Frames of events that were handed to live subscriptions."),
            ("streams_failed", house.hub.failed, "Streams and inboxes that an unexpected exception ended."),
            ("sends", house.send.calls, "Messages that were sent, refused ones included."),
            ("send_groups", house.send.groups, "Transactions that they were grouped into."),
            ("send_deferred", house.send.deferred, "Messages that waited for a lock of their room, beside the others."),
            ("send_fallbacks", house.send.fallbacks, "Groups that failed and were taken apart."),
            ("send_retries", house.send.retries, "Groups that ran twice because the database did not answer."),
            ("db_refused_connections", house.db.refused_connections, "Connections found in a transaction. A defect."),
            ("bus_published", bus.published, "Frames that the broker took."),
            ("bus_dropped", bus.dropped, "Frames that it did not take; others find the events in the log."),
            ("bus_received", bus.received, "Frames that came in."),
            ("bus_malformed", bus.malformed + house.hub.malformed, "Messages on our channels that are no frames."),
            ("bus_overflows", bus.overflows, "Times that more came in than could wait."),
            ("bus_resyncs", bus.resyncs, "Times that the log was looked at because frames may be missing."),
            ("bus_connects", bus.connects, "Sessions opened with the broker."),
        ):
            yield CounterMetricFamily(f"roomcast_{name}", text, value)
        pushes = CounterMetricFamily("roomcast_pushes", "Web pushes by what became of them.", labels=("outcome",))
        for fate, count in (house.notifier.stats if house.notifier is not None else {}).items():
            pushes.add_metric((fate,), count)
        yield pushes


def route(roomcast: Roomcast) -> Route:
    """Without ROOMCAST_METRICS_TOKEN it is open in the development profile and is not there in production."""
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=roomcast.registry)
    roomcast.registry.register(Readings(roomcast))

    async def metrics(request: Request) -> Response:
        token = roomcast.settings.metrics_token
        if token is not None and not _has(request, token.get_secret_value()):
            return PlainTextResponse("ROOMCAST_METRICS_TOKEN is asked for.\n", 401, {"WWW-Authenticate": "Bearer"})
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(roomcast.registry), media_type=media_type, headers={"Cache-Control": "no-store"})

    return Route("/metrics", metrics)


def _has(request: Request, token: str) -> bool:
    said = request.headers.get("authorization", "")
    return hmac.compare_digest(said.encode(), f"Bearer {token}".encode())
