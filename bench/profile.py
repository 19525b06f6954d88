"""How the time of `sendMessage` and `messages` is distributed over the layers, cold and warm.

The app is called through ASGI in one process on SQLite. The event loop only waits for the database, which works in
threads of its own. cProfile slows every call down: only its shares count, and the times are measured without it.
"""

import asyncio
import cProfile
import json
import pstats
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.logins import PASSWORD, SIGNUP
from roomcast.serving import App
from roomcast.settings import OnOff, Settings

WARM = 300

ROOM = "mutation($input: CreateRoomInput!) { createRoom(input: $input) { room { id } } }"
SEND = (
    "mutation Send($input: SendMessageInput!) { sendMessage(input: $input) "
    "{ errors { code message path } cursor message { id seq body createdAt author { id username } } } }"
)
HISTORY = (
    "query History($id: ID!) { messages(roomId: $id, last: 50) "
    "{ streamCursor nodes { id seq body createdAt author { id username } } pageInfo { hasPreviousPage startCursor } } }"
)

PARTS: Mapping[str, tuple[str, ...]] = {
    "GraphQL": ("/graphql/", "/strawberry/"),
    "edge": ("/roomcast/api/", "/roomcast/serving.py", "/roomcast/web/", "/starlette/", "/jwt/", "orjson"),
    "product": ("/roomcast/",),
    "database": ("/sqlalchemy/", "/sqlmodel/", "/aiosqlite/", "/greenlet", "sqlite3"),
    "waiting for it": ("epoll", "select"),
}


class AsgiClient:
    """Calls the app through ASGI."""

    def __init__(self, app: App) -> None:
        self._app, self.token = app, ""

    async def execute(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
        if self.token:
            headers.append((b"authorization", f"Bearer {self.token}".encode()))
        scope = {
            "type": "http", "method": "POST", "path": "/graphql", "raw_path": b"/graphql", "query_string": b"",
            "root_path": "", "scheme": "http", "http_version": "1.1", "headers": headers, "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }  # fmt: skip
        messages: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        await self._app(scope, receive, send)
        answer = json.loads(messages[1]["body"])
        assert "errors" not in answer, answer
        return answer["data"]


def time_shares(profile: cProfile.Profile) -> dict[str, float]:
    """The share of each part in the profiled time. Built-in functions count for their callers."""
    found: Counter[str] = Counter()
    for place, (_, _, own, _, callers) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if place[0] == "~" and _part(place) == "rest" and callers:
            for caller, (_, _, spent, _) in callers.items():
                found[_part(caller)] += spent
        else:
            found[_part(place)] += own
    total = sum(found.values())
    return {name: spent / total for name, spent in found.most_common()}


def _part(place: tuple[str, int, str]) -> str:
    name = f"{place[0]}:{place[2]}"
    return next((part for part, marks in PARTS.items() if any(mark in name for mark in marks)), "rest")


async def profile_requests(client: AsgiClient, times: int, query: str, **variables: Any) -> cProfile.Profile:
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(times):
        await client.execute(query, **variables)
    profile.disable()
    return profile


async def milliseconds(client: AsgiClient, times: int, query: str, **variables: Any) -> tuple[float, float]:
    """Wall-clock time and CPU time of all threads, per request."""
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        await client.execute(query, **variables)
    return (time.perf_counter() - started) / times * 1000, (time.process_time() - cpu) / times * 1000


async def print_profile(client: AsgiClient, name: str, query: str, **variables: Any) -> None:
    for temperature, times in (("cold", 1), ("warm", WARM)):
        profile = await profile_requests(client, times, query, **variables)
        parts = ", ".join(f"{part} {share:.0%}" for part, share in time_shares(profile).items())
        print(f"{name:12} {temperature}  {parts}")
    clock, cpu = await milliseconds(client, WARM, query, **variables)
    print(f"{name:12} {clock:.2f} ms each, {cpu:.2f} ms of CPU, one after another")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        app = App(Settings(_env_file=None, data_dir=Path(folder), rate_limits=OnOff.OFF))
        async with app.lifespan():
            client = AsgiClient(app)
            signed_up = await client.execute(SIGNUP, input={"username": "ann", "password": PASSWORD})
            client.token = signed_up["signup"]["tokens"]["accessToken"]
            room = (await client.execute(ROOM, input={"name": "den"}))["createRoom"]["room"]["id"]
            await print_profile(client, "sendMessage", SEND, input={"roomId": room, "body": "hello there"})
            await print_profile(client, "messages", HISTORY, id=room)


if __name__ == "__main__":
    asyncio.run(main())
