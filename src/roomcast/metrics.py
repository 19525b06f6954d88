"""`/metrics` in the formats of Prometheus. Values are read when the endpoint is asked, not before."""

import hmac
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
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
from roomcast.core.loop_watch import LOOP_PAUSE_SECONDS
from roomcast.core.metrics import COMMIT_SECONDS, DATABASE
from roomcast.core.rates import RedisBuckets
from roomcast.realtime.group import DELIVERY_SECONDS
from roomcast.realtime.outbox import PROCESS
from roomcast.worker_metrics import WorkerMetrics

PROBE_SECONDS = 0.25
"""How long a scrape waits for the check of the database. If that takes longer, the next scrape tells its result."""

Value = tuple[str, float, str]
"""The name of a metric without its prefix, its value, and its help text."""


class ProcessMetrics(Collector):
    """What this server process holds and has done since it started."""

    def __init__(self, roomcast: Roomcast, http_statuses: Mapping[int, int]) -> None:
        self._roomcast, self._http_statuses = roomcast, http_statuses
        self._version = version("roomcast")  # now: it reads a file, for which there may be no descriptor later

    def describe(self) -> Iterable[Metric]:
        """Names no metrics in advance, so that registering reads no values."""
        return ()

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily("roomcast", "The release that runs.", {"version": self._version})
        for name, value, text in _gauges(self._roomcast):
            yield GaugeMetricFamily(f"roomcast_{name}", text, value)
        counters = (*_sending(self._roomcast), *_delivery(self._roomcast), *_database(self._roomcast))
        for name, value, text in counters:
            yield CounterMetricFamily(f"roomcast_{name}", text, value)
        yield from _pools(self._roomcast)
        backend = self._roomcast.backend
        pushes = backend.notifier.stats if backend.notifier is not None else {}
        yield _by("outcome", "roomcast_pushes", "Web pushes by outcome.", pushes)
        yield _by("outcome", "roomcast_sign_ins", "Sign-ins with a password by outcome.", backend.credentials.sign_ins)
        statuses = {str(status): count for status, count in self._http_statuses.items()}
        yield _by("status", "roomcast_http_responses", "HTTP responses by status.", statuses)
        yield from _replicas(self._roomcast)


def _by(label: str, name: str, text: str, counts: Mapping[str, float]) -> CounterMetricFamily:
    """A counter with one label."""
    family = CounterMetricFamily(name, text, labels=(label,))
    for value, count in counts.items():
        family.add_metric((value,), count)
    return family


def _replicas(roomcast: Roomcast) -> Iterable[Metric]:
    """One sample for each replica, by its host and port."""
    replicas = roomcast.backend.replicas
    usable = GaugeMetricFamily("roomcast_replica_up", "1 while the replica is used for reads.", labels=("replica",))
    lag = GaugeMetricFamily("roomcast_replica_lag_seconds", "How far its replay is behind.", labels=("replica",))
    reads = CounterMetricFamily(
        "roomcast_replica_reads",
        "Reads by outcome: answered there; waited for it; went elsewhere because it was behind or failed.",
        labels=("replica", "outcome"),
    )
    for replica in replicas.all if replicas is not None else ():
        usable.add_metric((replica.name,), int(replica.is_usable))
        lag.add_metric((replica.name,), replica.lag_seconds)
        for outcome, count in asdict(replica.stats).items():
            reads.add_metric((replica.name, outcome), count)
    yield from (usable, lag, reads)
    primary = replicas.primary_reads if replicas is not None else 0
    yield CounterMetricFamily("roomcast_replica_fallbacks", "Reads that the primary had to answer.", primary)


def _gauges(roomcast: Roomcast) -> Iterable[Value]:
    hub, backend = roomcast.hub, roomcast.backend
    people = len(backend.presence.registry.visible_user_ids)
    buckets = roomcast.limiting.buckets
    counts_alone = isinstance(buckets, RedisBuckets) and not buckets.is_shared
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
        ("db_up", int(roomcast.database_probe.is_ok and not roomcast.db.outages.is_out), "1 while the database works."),
        *_disk(roomcast),
        ("rate_limits_degraded", int(counts_alone), "1 while Redis does not answer and rates count per process."),
    )


def _disk(roomcast: Roomcast) -> Iterable[Value]:
    try:
        usage = shutil.disk_usage(roomcast.settings.data_dir)
    except OSError:  # the folder is gone: readiness tells it
        return ()
    return (
        ("data_free_bytes", usage.free, "Free bytes of the disk with the data folder."),
        ("data_size_bytes", usage.total, "Bytes of the disk with the data folder."),
    )


def _database(roomcast: Roomcast) -> Iterable[Value]:
    refused = roomcast.db.refused_connections
    return (
        ("db_statements", DATABASE.statements, "Statements sent to the database."),
        ("db_reads", DATABASE.reads, "Transactions that only read."),
        ("db_changes", DATABASE.changes, "Transactions that change something."),
        ("db_failures", roomcast.db.outages.failures, "Transactions that failed because the database was away."),
        ("db_refused_connections", refused, "Connections closed with an open transaction; more than 0 is a defect."),
    )


def _pools(roomcast: Roomcast) -> Iterable[Metric]:
    """The pools of database connections. SQLite has one for each of reading and writing."""
    families: list[GaugeMetricFamily | CounterMetricFamily] = [
        GaugeMetricFamily("roomcast_db_connections", "Database connections in use.", labels=("pool",)),
        GaugeMetricFamily("roomcast_db_connections_max", "The most that may be in use.", labels=("pool",)),
        GaugeMetricFamily("roomcast_db_waiting", "Transactions that wait for a connection.", labels=("pool",)),
        CounterMetricFamily("roomcast_db_waits", "Transactions that had to wait for one.", labels=("pool",)),
    ]
    for name, pool in roomcast.db.pools.items():
        for family, value in zip(families, (pool.checkedout(), pool.size(), pool.waiting, pool.waits), strict=True):
            family.add_metric((name,), value)
    return families


def _sending(roomcast: Roomcast) -> Iterable[Value]:
    sender = roomcast.backend.message_sender
    return (
        ("sends", sender.calls, "Messages that clients sent, including refused ones."),
        ("send_groups", sender.groups, "Transactions for sent messages; one can hold many messages."),
        ("send_deferred", sender.deferred, "Messages that waited in a second group because their room was locked."),
        ("send_fallbacks", sender.fallbacks, "Transactions that failed, so that each message was tried alone."),
        ("send_retries", sender.retries, "Transactions that were repeated because the database did not answer."),
    )


def _delivery(roomcast: Roomcast) -> Iterable[Value]:
    hub, bus = roomcast.hub, roomcast.bus.stats
    malformed = bus.malformed + hub.malformed
    return (
        ("event_executions", hub.totals["executions"], "GraphQL executions for events."),
        ("event_deliveries", hub.totals["deliveries"], "Events that were sent to live subscriptions."),
        ("refills", hub.totals["refills"], "Times that a room's log was read because frames were missing."),
        ("streams_failed", hub.failed, "Streams that ended with an unexpected exception."),
        ("bus_published", bus.published, "Frames sent to the broker."),
        ("bus_dropped", bus.dropped, "Frames not sent to the broker; receivers read these events from the event log."),
        ("bus_received", bus.received, "Frames received from the broker."),
        ("bus_malformed", malformed, "Messages from the broker that could not be decoded."),
        ("bus_overflows", bus.overflows, "Times that the queue of received frames was full."),
        ("bus_resyncs", bus.resyncs, "Times that the event log was read because frames may be missing."),
        ("bus_connects", bus.connects, "Connections opened to the broker."),
        (
            "accept_failures",
            roomcast.loop_watch.accept_failures,
            "Times that no file descriptor was free.",
        ),
    )


def register(roomcast: Roomcast, http_statuses: Mapping[int, int]) -> None:
    """Add the metrics of the process, of Python and of roomcast to the registry. `http_statuses` counts responses."""
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=roomcast.registry)
    for histogram in (DELIVERY_SECONDS, COMMIT_SECONDS, LOOP_PAUSE_SECONDS):
        roomcast.registry.register(histogram)
    roomcast.registry.register(ProcessMetrics(roomcast, http_statuses))


def route(roomcast: Callable[[], Roomcast], token: SecretStr | None, workers: WorkerMetrics | None) -> Route:
    """`roomcast` is called for each request. With a token, requests need it as a bearer token. `workers`: the
    metrics of all workers, if there are several."""

    async def metrics(request: Request) -> Response:
        if token is not None:
            sent, expected = request.headers.get("authorization", ""), f"Bearer {token.get_secret_value()}"
            if not hmac.compare_digest(sent.encode(), expected.encode()):
                return PlainTextResponse("ROOMCAST_METRICS_TOKEN is required.\n", 401, {"WWW-Authenticate": "Bearer"})
        await roomcast().database_probe(PROBE_SECONDS)
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        registry = roomcast().registry
        shown = registry if workers is None else await workers.collect(registry)
        return Response(encode(shown), media_type=media_type, headers={"Cache-Control": "no-store"})

    return Route("/metrics", metrics)
