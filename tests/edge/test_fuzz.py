"""Whatever arrives, over HTTP or a socket: an answer with a code, and nothing in the log. Many more by `make fuzz`."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import mutations, nodes, queries
from websockets.exceptions import ConnectionClosed

from tests.conftest import MakeHouse
from tests.house import House
from tests.people import Json, Person, Wire, arrive

CASES = int(os.environ.get("ROOMCAST_TEST_FUZZ_CASES", "200"))
SCHEMA = Path("schema.graphql").read_text()
JSON_TYPE = {"content-type": "application/json"}

texts = st.text(max_size=50)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from(["query", "variables", "operationName", "extensions", "documentId", "persistedQuery"])
requests = st.dictionaries(names | texts, values, max_size=5)
grammar = st.lists(
    st.sampled_from([*'{}()[]:!$@="#|&', "...", '"""', " ", "query", "mutation", "subscription", "fragment", "on", "me",
                     "rooms", "first", "1", "-0", "1e9", "id", "\\u{d83d}", "\x00", "\ufeff", "é", "😀"]),
    max_size=40,
).map("".join)  # fmt: skip
"""Texts that look like GraphQL for a while."""


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert loud == []


@pytest_asyncio.fixture
async def open_house(make_house: MakeHouse) -> House:
    return await make_house(rate_limits="off")


@pytest_asyncio.fixture
async def fuzzer(open_house: House) -> AsyncIterator[Person]:
    async with await arrive(open_house, "ann") as person:
        yield person


async def answered(person: Person, content: bytes) -> None:
    headers = {**JSON_TYPE, "authorization": f"Bearer {person.token}"}
    answer = await person.http.post("/graphql", content=content, headers=headers)
    assert answer.status_code < 500
    for error in answer.json().get("errors", ()):
        assert error["extensions"]["code"] != "INTERNAL", content
        assert "Traceback" not in error["message"]


async def survived(wire: Wire, frame: str | bytes) -> bool:
    """Whether the socket lives on: it answers a ping that only it can answer."""
    with suppress(ConnectionClosed):
        await wire.ws.send(frame)
        await wire.ws.send('{"type":"ping","payload":{"after":"that"}}')
        return await answers(wire, {"type": "pong", "payload": {"after": "that"}})
    return False


async def answers(wire: Wire, wanted: Json) -> bool:
    while True:
        heard = asyncio.create_task(wire.next_control())
        await asyncio.wait({heard, wire.reading}, return_when=asyncio.FIRST_COMPLETED)
        if not heard.done():
            heard.cancel()
            return False
        if heard.result() == wanted:
            return True


async def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Examples, drawn first and used in the loop of the test."""
    found: list[Any] = []

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


async def test_any_bytes_over_http(fuzzer: Person) -> None:
    for content in await drawn(st.binary(max_size=200), CASES):
        await answered(fuzzer, content)


async def test_any_json_over_http(fuzzer: Person) -> None:
    for content in await drawn(requests, CASES):
        await answered(fuzzer, json.dumps(content).encode())


async def test_any_document_over_http(fuzzer: Person) -> None:
    for document in await drawn(grammar | texts, CASES):
        await answered(fuzzer, json.dumps({"query": document}).encode())


async def test_any_variables_over_http(fuzzer: Person) -> None:
    document = (
        "query ($id: ID!, $n: Int, $c: String) { user(id: $id) { id } rooms(first: $n, after: $c) { totalCount } }"
    )
    for id_, size, cursor in await drawn(st.tuples(values, values, values), CASES):
        body = {"query": document, "variables": {"id": id_, "n": size, "c": cursor}}
        await answered(fuzzer, json.dumps(body).encode())


def custom() -> dict[str, Any]:
    text = texts.map(nodes.String)
    return dict.fromkeys(("UUID", "Cursor", "DateTime", "URL"), text) | {"Seq": st.integers().map(nodes.Int)}


@pytest.mark.parametrize("kind", ["queries", "mutations"])
async def test_any_operation_of_the_schema(fuzzer: Person, kind: str) -> None:
    strategy = {"queries": queries, "mutations": mutations}[kind](SCHEMA, custom_scalars=custom())
    for document in await drawn(strategy, CASES):
        await answered(fuzzer, json.dumps({"query": document}).encode())


async def test_any_frame_over_a_socket(open_house: House, fuzzer: Person) -> None:
    kinds = st.sampled_from(["connection_init", "ping", "pong", "subscribe", "complete", "next", "x"])
    messages = st.fixed_dictionaries({"type": kinds}, optional={"id": values, "payload": requests | values})
    frames = st.binary(max_size=100) | texts | messages.map(json.dumps) | values.map(json.dumps)
    wire: Wire | None = None
    for frame in await drawn(frames, CASES):
        if wire is None:
            wire = await Wire(open_house.ws_url).__aenter__()
            await wire.init({"authorization": fuzzer.token})
        if not await survived(wire, frame):
            code, _ = await wire.closed()
            assert code in (4400, 4409, 4429), frame
            wire = None
    if wire is not None:
        await wire.__aexit__(None, None, None)
