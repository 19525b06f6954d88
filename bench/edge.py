"""The cost of the API layer: a mutation that is rejected before the database, compared with a hello-world mutation.

Both run over HTTP on the same uvicorn. Roomcast verifies a token and its session, checks limits and cost, coerces an
input object and answers with a payload. The Strawberry baseline returns a string.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx

from bench.servers import ServerProcess, baseline, roomcast
from bench.table import Comparison, Row

TARGET = 1.3
REQUESTS, AT_ONCE, ROUNDS = 1500, 8, 3

SIGNUP = 'mutation { signup(input: {username: "ann", password: "a good long pass phrase"}) { tokens { accessToken } } }'
SEND = (
    "mutation Send($input: SendMessageInput!) { sendMessage(input: $input) "
    "{ errors { code message path } cursor message { id seq body } } }"
)
HELLO = "mutation Hello($name: String!) { hello(name: $name) }"


@dataclass(frozen=True, slots=True)
class Load:
    body: dict[str, Any]
    headers: dict[str, str]


async def cpu_microseconds(server: ServerProcess, load: Load, rounds: int) -> float:
    """The server's CPU per request after a warm-up."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60, headers=load.headers) as http:
        await _ask(http, load, 200)
        best = float("inf")
        for _ in range(rounds):
            before = server.cpu_seconds()
            await asyncio.gather(*(_ask(http, load, REQUESTS // AT_ONCE) for _ in range(AT_ONCE)))
            best = min(best, (server.cpu_seconds() - before) / (REQUESTS // AT_ONCE * AT_ONCE))
    return best * 1e6


async def _ask(http: httpx.AsyncClient, load: Load, count: int) -> None:
    for _ in range(count):
        answer = await http.post("/graphql", json=load.body)
        assert "data" in answer.json(), answer.text


async def measure_roomcast(rounds: int) -> float:
    body = {"query": SEND, "variables": {"input": {"roomId": "room_x", "body": ""}}}
    with roomcast() as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            answer = (await http.post("/graphql", json={"query": SIGNUP})).json()
            token = answer["data"]["signup"]["tokens"]["accessToken"]
            load = Load(body, {"authorization": f"Bearer {token}"})
        return await cpu_microseconds(server, load, rounds)


async def measure_hello(rounds: int) -> float:
    with baseline("hello") as server:
        return await cpu_microseconds(server, Load({"query": HELLO, "variables": {"name": "ann"}}, {}), rounds)


async def rows(*, quick: bool) -> list[Row]:
    rounds = 1 if quick else ROUNDS
    ours, theirs = await measure_roomcast(rounds), await measure_hello(rounds)
    what = "the edge alone: a mutation refused before the database, CPU per request, against a hello-world mutation"
    return [Comparison(what, f"{ours:.0f} µs", f"{theirs:.0f} µs", ours / theirs, TARGET)]
