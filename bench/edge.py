"""The edge's own cost: a mutation that is refused just before the database, beside Strawberry's hello-world mutation.

Both over HTTP on the same uvicorn. Ours reads a token, looks for the session, measures and prices the document, coerces
an input object and answers with a payload; theirs greets.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx

from bench.servers import Running, baseline, keep_off_the_servers_core, roomcast

MARK = 1.3
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


async def cpu_microseconds(server: Running, load: Load) -> float:
    """Of the server, for each request, when it is warm."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60, headers=load.headers) as http:
        await _ask(http, load, 200)
        best = float("inf")
        for _ in range(ROUNDS):
            before = server.cpu_seconds()
            await asyncio.gather(*(_ask(http, load, REQUESTS // AT_ONCE) for _ in range(AT_ONCE)))
            best = min(best, (server.cpu_seconds() - before) / (REQUESTS // AT_ONCE * AT_ONCE))
    return best * 1e6


async def _ask(http: httpx.AsyncClient, load: Load, count: int) -> None:
    for _ in range(count):
        answer = await http.post("/graphql", json=load.body)
        assert "data" in answer.json(), answer.text


async def of_roomcast() -> float:
    body = {"query": SEND, "variables": {"input": {"roomId": "room_x", "body": ""}}}
    with roomcast() as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            answer = (await http.post("/graphql", json={"query": SIGNUP})).json()
            token = answer["data"]["signup"]["tokens"]["accessToken"]
            load = Load(body, {"authorization": f"Bearer {token}"})
            cold = time.perf_counter()
            await http.post("/graphql", json=load.body, headers=load.headers)
            print(f"cold {(time.perf_counter() - cold) * 1000:.1f} ms: the document is read, validated, priced")
        return await cpu_microseconds(server, load)


async def of_hello() -> float:
    with baseline("hello") as server:
        return await cpu_microseconds(server, Load({"query": HELLO, "variables": {"name": "ann"}}, {}))


async def main() -> None:
    keep_off_the_servers_core()
    ours, theirs = await of_roomcast(), await of_hello()
    print(f"roomcast {ours:.0f} µs CPU/request, hello {theirs:.0f} µs, ratio {ours / theirs:.2f} (mark ≤ {MARK})")


if __name__ == "__main__":
    asyncio.run(main())
