"""OpenTelemetry: one send is one trace, from the request to the delivery in another process."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from roomcast import tracing
from roomcast.core import migrations
from roomcast.core.clock import now
from roomcast.core.events import pack, trace_of_packed, unpack
from roomcast.core.ids import uuid7
from roomcast.rooms.events import MemberChange, MemberChanged
from roomcast.settings import WrongSetting
from roomcast.startup import start_traces
from tests import servers
from tests.api_clients import ROOM_MESSAGES, SEND, AnonymousClient, UserClient, sign_up
from tests.process import Process

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
UNSAMPLED = "c0ffee3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


class Span(NamedTuple):
    name: str
    trace: str
    id: str
    parent: str
    process: str
    links: tuple[str, ...]
    attributes: dict[str, Any]
    nanoseconds: int


class Collector:
    """What an OTLP collector has received over HTTP."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.spans: list[Span] = []

    def receive(self, body: bytes) -> None:
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = {each.key: each.value.string_value for each in group.resource.attributes}
            assert resource["service.name"] == "roomcast"
            for scope in group.scope_spans:
                self.spans += [read_span(span, resource["service.instance.id"]) for span in scope.spans]

    async def spans_of(self, trace: str, *names: str) -> dict[str, Span]:
        """The spans of this trace by name, when all of these have come."""
        async with asyncio.timeout(20):
            while True:
                found = {span.name: span for span in self.spans if span.trace == trace}
                if set(names) <= found.keys():
                    return found
                await asyncio.sleep(0.05)


def read_span(span: Any, process: str) -> Span:
    attributes = {each.key: each.value.string_value or each.value.int_value for each in span.attributes}
    links = tuple(link.trace_id.hex() for link in span.links)
    ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
    return Span(span.name, *ids, process, links, attributes, span.end_time_unix_nano - span.start_time_unix_nano)


@contextmanager
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.receive(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Collector(server.server_port)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@asynccontextmanager
async def traced(folder: Path, database: servers.Server, redis: servers.Server, to: Collector) -> AsyncIterator[Any]:
    """Two processes that send their traces to the collector."""
    url = await servers.create_database(database.url, "traced")
    await migrations.upgrade(url)
    both = [Process(url, folder / name, bus_url=redis.url) for name in ("a", "b")]
    for process in both:
        process.environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": to.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    try:
        await asyncio.gather(*(process.start() for process in both))
        yield both
    finally:
        await asyncio.gather(*(process.stop() for process in both))


async def test_one_send_is_one_trace_from_the_request_to_the_delivery(
    tmp_path: Path, postgres_server: servers.Server
) -> None:
    with collector() as received, servers.redis() as redis:
        async with traced(tmp_path, postgres_server, redis, received) as (a, b), await sign_up(a.app, "ann") as ann:
            room = await ann.create_room("den")
            async with AnonymousClient(b.app, ann.token) as reader, reader.connect() as socket:
                stream = await socket.subscribe(ROOM_MESSAGES, roomId=room)
                await stream_is_open(ann, room, stream)
                await send_over_http(ann, room)
                await check_trace_over_http(received)
                await ann.post({"query": "{ __typename }"}, traceparent=f"00-{UNSAMPLED}-{CALLER}-00")
                await send_over_socket(ann, room, received)
                await send_together(ann, room, received)
    assert UNSAMPLED not in {span.trace for span in received.spans}, "the caller decides what is recorded"


async def stream_is_open(sender: UserClient, room: str, stream: Any) -> None:
    """The first messages may be older than the stream: send until one arrives."""
    while stream.is_empty:
        await sender.send(room, "hello")
        await asyncio.sleep(0.05)


async def send_over_http(client: UserClient, room: str) -> None:
    body = {"query": SEND, "variables": {"input": {"roomId": room, "body": "traced"}}}
    answer = await client.post(body, traceparent=f"00-{TRACE}-{CALLER}-01")
    assert answer.json()["data"]["sendMessage"]["errors"] == []


async def check_trace_over_http(received: Collector) -> None:
    names = ("POST /graphql", "mutation Send", "group commit", "transaction", "publish", "deliver")
    spans = await received.spans_of(TRACE, *names)
    assert spans["POST /graphql"].parent == CALLER
    for above, below in zip(names, names[1:], strict=False):
        assert spans[below].parent == spans[above].id, f"{below} is not below {above}"
    assert len({spans[name].process for name in names[:-1]}) == 1
    assert spans["deliver"].process != spans["publish"].process
    assert spans["deliver"].attributes["roomcast.sockets"] == 1
    assert all(span.nanoseconds >= 0 for span in spans.values())


async def send_over_socket(client: UserClient, room: str, received: Collector) -> None:
    trace = TRACE[::-1]
    async with client.connect() as socket:
        variables = {"input": {"roomId": room, "body": "over a socket"}}
        payload = {"query": SEND, "variables": variables, "extensions": {"traceparent": f"00-{trace}-{CALLER}-01"}}
        await socket.send(type="subscribe", id="send", payload=payload)
        assert (await socket.next_message("send"))["type"] == "next"
    spans = await received.spans_of(trace, "graphql-transport-ws subscribe", "transaction", "deliver")
    assert spans["graphql-transport-ws subscribe"].parent == CALLER


async def send_together(client: UserClient, room: str, received: Collector) -> None:
    """Sends that share a transaction: it is below the first one, and linked to the others."""
    traces = [f"{number:032x}" for number in range(1, 41)]
    bodies = [{"query": SEND, "variables": {"input": {"roomId": room, "body": f"{trace}"}}} for trace in traces]
    sent = [client.post(body, traceparent=f"00-{t}-{CALLER}-01") for body, t in zip(bodies, traces, strict=True)]
    await asyncio.gather(*sent)
    for trace in traces:
        await received.spans_of(trace, "group commit")
    transactions = [span for span in received.spans if span.name == "transaction" and span.trace in traces]
    assert sum(1 + len(span.links) for span in transactions) == len(traces)
    assert max(len(span.links) for span in transactions) >= 1


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
    ],
)
def test_the_standard_variables_turn_traces_on_and_off(variables: dict[str, str], wanted: bool) -> None:
    assert tracing.is_wanted(variables) is wanted


def test_nothing_is_imported_while_traces_are_off(tmp_path: Path) -> None:
    program = "import sys, roomcast.asgi, roomcast.tracing as t; print(t.start(), 'opentelemetry' in sys.modules)"
    environment = Process(f"sqlite:///{tmp_path}/roomcast.db", tmp_path).environment
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"], done.stderr


def test_an_exporter_that_is_not_supported_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(WrongSetting, match="OTEL_TRACES_EXPORTER: 'zipkin' is not supported"):
        start_traces()


def test_a_frame_without_a_trace_is_not_longer() -> None:
    event = MemberChanged(room_id=uuid7(), at=now(), seq=7, user_id=uuid7(), change=MemberChange.JOINED)
    plain, traced = pack(event), pack(event, f"00-{TRACE}-{CALLER}-01")
    assert len(orjson.loads(plain)) == 6
    assert (trace_of_packed(plain), trace_of_packed(traced)) == (None, f"00-{TRACE}-{CALLER}-01")
    assert unpack(plain) == unpack(traced) == event
