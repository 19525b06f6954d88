"""Pages that others make of our packages: another origin, two users, connections that are cut."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

PASSWORD = "a good long pass phrase"
SIGNUP = "mutation ($input: SignupInput!) { signup(input: $input) { errors { code } tokens { accessToken } } }"
CREATE_ROOM = "mutation ($input: CreateRoomInput!) { createRoom(input: $input) { errors { code } room { id } } }"
JOIN_ROOM = "mutation ($input: JoinRoomInput!) { joinRoom(input: $input) { errors { code } } }"


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """The address of a server of these files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def execute(url: str, token: str | None, document: str, **given: Any) -> dict[str, Any]:
    """The payload of a mutation."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    body = {"query": document, "variables": {"input": given}}
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{url}/graphql", json=body, headers=headers)
    [payload] = answer.json()["data"].values()
    assert payload["errors"] == []
    return dict(payload)


async def room_of_two(url: str, name: str) -> tuple[str, list[str]]:
    """A room whose members are called `<name>ann` and `<name>bob`. Returns its id, and their access tokens."""
    tokens = []
    for user in ("ann", "bob"):
        payload = await execute(url, None, SIGNUP, username=f"{name}{user}", password=PASSWORD)
        tokens.append(payload["tokens"]["accessToken"])
    created = await execute(url, tokens[0], CREATE_ROOM, name=f"{name} lobby")
    await execute(url, tokens[1], JOIN_ROOM, roomId=created["room"]["id"])
    return created["room"]["id"], tokens
