"""API clients for tests: GraphQL over HTTP, and over graphql-transport-ws."""

import asyncio
import itertools
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from types import TracebackType
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError
from websockets.typing import Subprotocol

from tests.running_app import RunningApp

PASSWORD = "a good long pass phrase"
WAIT_SECONDS = 10.0

Json = dict[str, Any]

MESSAGE = "id seq body kind createdAt author { id username }"
SEND = (
    "mutation Send($input: SendMessageInput!) { sendMessage(input: $input) "
    "{ errors { code message path retryable } replayed cursor message { " + MESSAGE + " } } }"
)
CREATE_ROOM = (
    "mutation Create($input: CreateRoomInput!) { createRoom(input: $input) "
    "{ errors { code path } cursor room { id name visibility memberCount } } }"
)
JOIN = "mutation Join($input: JoinRoomInput!) { joinRoom(input: $input) { errors { code } cursor room { id } } }"
LEAVE = "mutation Leave($input: LeaveRoomInput!) { leaveRoom(input: $input) { errors { code } cursor room { id } } }"
SIGNUP = (
    "mutation Signup($input: SignupInput!) { signup(input: $input) { errors { code path retryable } "
    "user { id username role } session { id current } "
    "tokens { accessToken refreshToken accessTokenExpiresAt tokenType } } }"
)
LOGIN = SIGNUP.replace("Signup", "Login").replace("signup", "login")
REFRESH = LOGIN.replace("LoginInput", "RefreshSessionInput").replace("login(", "refreshSession(")
ROOM_MESSAGES = (
    "subscription Watch($roomId: ID!, $after: Cursor) { roomMessages(roomId: $roomId, after: $after) "
    "{ cursor replayed message { id seq body author { username } } } }"
)
ROOM_EVENTS = (
    "subscription Events($roomId: ID!, $after: Cursor) { roomEvents(roomId: $roomId, after: $after) "
    "{ __typename cursor at replayed "
    "... on MessageCreated { message { id seq body } } "
    "... on MemberChanged { user { username } change role } "
    "... on StreamReady { recovered replayedCount } "
    "... on StreamEnded { reason } } }"
)


class GraphQLErrors(AssertionError):
    """The response has unexpected top-level errors."""

    def __init__(self, errors: list[Json]) -> None:
        super().__init__(json.dumps(errors, indent=1))
        self.errors = errors
        self.codes = [error["extensions"]["code"] for error in errors]


@cache
def default_tls_context() -> ssl.SSLContext:
    """Created once: loading certificates takes longer than a request, and tests do not use TLS."""
    return ssl.create_default_context()


class AnonymousClient:
    """A client. `token`: the access token of its requests; None for an anonymous client."""

    def __init__(self, app: RunningApp, token: str | None = None) -> None:
        self.app, self.token = app, token
        self.http = httpx.AsyncClient(base_url=app.url, timeout=WAIT_SECONDS, verify=default_tls_context())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def post(self, body: Any, **headers: str) -> httpx.Response:
        if self.token:
            headers = {"authorization": f"Bearer {self.token}", **headers}
        return await self.http.post("/graphql", json=body, headers=headers)

    async def execute(self, document: str, **variables: Any) -> Json:
        """Execute an operation and return its data. Raises GraphQLErrors."""
        answer = (await self.post({"query": document, "variables": variables})).json()
        if "errors" in answer:
            raise GraphQLErrors(answer["errors"])
        data: Json = answer["data"]
        return data

    async def mutate(self, document: str, **arguments: Any) -> Json:
        """Execute a mutation with the argument `input` and return its payload."""
        [payload] = (await self.execute(document, input=arguments)).values()
        return dict(payload)

    async def error_codes(self, document: str, **variables: Any) -> list[str]:
        """Execute an operation that has to fail, and return its error codes."""
        try:
            data = await self.execute(document, **variables)
        except GraphQLErrors as errors:
            return errors.codes
        raise AssertionError(f"the operation did not fail: {data}")

    @asynccontextmanager
    async def connect(self, **payload: Any) -> AsyncIterator["SocketClient"]:
        """An acknowledged WebSocket connection of this client."""
        if self.token:
            payload = {"authorization": f"Bearer {self.token}", **payload}
        async with SocketClient(self.app.ws_url) as socket:
            await socket.init(payload)
            yield socket


class UserClient(AnonymousClient):
    """The client of a signed-in user."""

    def __init__(self, app: RunningApp, name: str, signed_in: Json) -> None:
        super().__init__(app, signed_in["tokens"]["accessToken"])
        self.name, self.id = name, signed_in["user"]["id"]
        self.refresh_token = signed_in["tokens"]["refreshToken"]

    async def create_room(self, name: str, **more: Any) -> str:
        """Create a room and return its id."""
        payload = await self.mutate(CREATE_ROOM, name=name, **more)
        assert payload["errors"] == []
        return str(payload["room"]["id"])

    async def join(self, room_id: str) -> Json:
        return await self.mutate(JOIN, roomId=room_id)

    async def leave(self, room_id: str) -> Json:
        return await self.mutate(LEAVE, roomId=room_id)

    async def send(self, room_id: str, body: str, **more: Any) -> Json:
        return await self.mutate(SEND, roomId=room_id, body=body, **more)

    async def send_messages(self, room_id: str, *bodies: str) -> list[Json]:
        """Send messages one after another and return them."""
        payloads = [await self.send(room_id, body) for body in bodies]
        assert all(payload["errors"] == [] for payload in payloads)
        return [payload["message"] for payload in payloads]


async def sign_up(app: RunningApp, name: str) -> UserClient:
    """Create an account."""
    async with AnonymousClient(app) as anonymous:
        signed_in = await anonymous.mutate(SIGNUP, username=name, password=PASSWORD)
    assert signed_in["errors"] == []
    return UserClient(app, name, signed_in)


# ------------------------------------------------------------------ sockets


class SocketClient:
    """A graphql-transport-ws connection without a client library, so that tests can also violate the protocol."""

    def __init__(
        self,
        url: str,
        *,
        subprotocol: str | None = "graphql-transport-ws",
        origin: str | None = None,
        forwarded: str | None = None,
    ) -> None:
        """`forwarded`: the address in X-Forwarded-For."""
        protocols = [Subprotocol(subprotocol)] if subprotocol else None
        headers = {"X-Forwarded-For": forwarded} if forwarded else None
        self._connecting = connect(
            url,
            subprotocols=protocols,
            origin=origin,  # type: ignore[arg-type]
            additional_headers=headers,
            ping_interval=None,
        )
        self.ws: ClientConnection
        self._ids = itertools.count(1)
        self._inboxes: dict[str, asyncio.Queue[Json]] = {}
        self.control: asyncio.Queue[Json] = asyncio.Queue()
        self.pings: asyncio.Queue[Json] = asyncio.Queue()
        self.reading: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self.ws = await self._connecting
        self.reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.ws.close()
        await self.reading

    async def _read(self) -> None:
        with suppress(ConnectionClosedError):  # `closed` returns the close code
            async for frame in self.ws:
                message = json.loads(frame)
                if message["type"] == "ping":
                    self.pings.put_nowait(message)
                    await self.send(type="pong")
                elif "id" in message:
                    self._inboxes.setdefault(message["id"], asyncio.Queue()).put_nowait(message)
                else:
                    self.control.put_nowait(message)

    async def send(self, **message: Any) -> None:
        await self.ws.send(json.dumps(message))

    async def init(self, payload: Json | None = None) -> Json:
        """The payload of the acknowledgement."""
        await self.send(type="connection_init", payload=payload or {})
        ack = await self.next_control()
        assert ack["type"] == "connection_ack"
        return dict(ack.get("payload") or {})

    async def next_control(self) -> Json:
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.control.get()

    async def next_ping(self) -> Json:
        """The payload of the server's next ping."""
        async with asyncio.timeout(WAIT_SECONDS):
            return dict((await self.pings.get()).get("payload") or {})

    async def next_message(self, id_: str) -> Json:
        """The next protocol message of an operation that was started with `send`."""
        async with asyncio.timeout(WAIT_SECONDS):
            return await self._inboxes.setdefault(id_, asyncio.Queue()).get()

    async def closed(self) -> tuple[int | None, str | None]:
        """Wait for the server to close; its code and reason."""
        async with asyncio.timeout(WAIT_SECONDS):
            await self.reading
        return self.ws.close_code, self.ws.close_reason

    async def execute(self, document: str, **variables: Any) -> Json:
        """Execute a query or mutation over this connection and return the whole response."""
        subscription = await self.subscribe(document, **variables)
        message = await subscription.next_message()
        assert message["type"] == "next", message
        assert (await subscription.next_message())["type"] == "complete"
        return dict(message["payload"])

    async def subscribe(self, document: str, **variables: Any) -> "ClientSubscription":
        id_ = str(next(self._ids))
        self._inboxes[id_] = asyncio.Queue()
        payload = {"query": document, "variables": variables}
        await self.send(type="subscribe", id=id_, payload=payload)
        return ClientSubscription(self, id_, self._inboxes[id_])


class ClientSubscription:
    """A running operation on the client's side."""

    def __init__(self, socket: SocketClient, id_: str, inbox: asyncio.Queue[Json]) -> None:
        self._socket, self.id, self._inbox = socket, id_, inbox

    async def next_message(self) -> Json:
        """The next protocol message of this operation."""
        async with asyncio.timeout(WAIT_SECONDS):
            return await self._inbox.get()

    async def next_event(self) -> Json:
        """The next value of the field of the subscription."""
        message = await self.next_message()
        assert message["type"] == "next", message
        payload = message["payload"]
        assert "errors" not in payload, payload
        [value] = payload["data"].values()
        return dict(value)

    async def next_events(self, count: int) -> list[Json]:
        return [await self.next_event() for _ in range(count)]

    async def wait_until_ready(self) -> list[Json]:
        """All events of roomEvents up to and including the next StreamReady."""
        seen = [await self.next_event()]
        while seen[-1]["__typename"] != "StreamReady":
            seen.append(await self.next_event())
        return seen

    async def stop(self) -> None:
        await self._socket.send(type="complete", id=self.id)

    @property
    def is_empty(self) -> bool:
        return self._inbox.empty()
