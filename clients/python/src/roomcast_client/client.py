"""`Roomcast`: sign in, find rooms, execute documents."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, Self
from uuid import UUID, uuid4

from roomcast_client.errors import RoomcastError, SignInRequired
from roomcast_client.http import HttpApi, Json, repeat_until_answered
from roomcast_client.models import USER, User
from roomcast_client.room import ROOM, Room
from roomcast_client.session import TOKENS, Session, Tokens
from roomcast_client.socket import SocketPool

ERRORS: Final = "errors { code message path retryable retryAfterMs }"
SIGNED_IN: Final = f"user {{ {USER} }} {TOKENS}"
SIGNUP: Final = f"mutation Signup($input: SignupInput!) {{ signup(input: $input) {{ {ERRORS} {SIGNED_IN} }} }}"
LOGIN: Final = f"mutation Login($input: LoginInput!) {{ login(input: $input) {{ {ERRORS} {SIGNED_IN} }} }}"
LOGOUT: Final = f"mutation Logout {{ logout {{ {ERRORS} }} }}"
VIEWER: Final = f"query Viewer {{ viewer {{ user {{ {USER} }} }} }}"
ROOMS: Final = f"""query Rooms($after: String) {{
  rooms(first: 100, after: $after) {{ nodes {{ {ROOM} }} pageInfo {{ hasNextPage endCursor }} }}
}}"""
ROOM_BY_ID: Final = f"query Room($id: ID!) {{ room(id: $id) {{ {ROOM} }} }}"
ROOM_BY_NAME: Final = f"query RoomByName($name: String!) {{ roomByName(name: $name) {{ {ROOM} }} }}"
CREATE_ROOM: Final = f"""mutation CreateRoom($input: CreateRoomInput!) {{
  createRoom(input: $input) {{ {ERRORS} room {{ {ROOM} }} }}
}}"""
JOIN_ROOM: Final = f"""mutation JoinRoom($input: JoinRoomInput!) {{
  joinRoom(input: $input) {{ {ERRORS} room {{ {ROOM} }} }}
}}"""


class Roomcast:
    """A connection to a server, as one user. Use it as an asynchronous context manager.

    `url`: the address of the server, for example `https://chat.example.org`. `tokens`: of an earlier session, to
    continue it without a password. `on_tokens`: called with each new pair of tokens; store them there. `timeout`: the
    seconds that one request may take. `retry_seconds`: how long a request is repeated while the server is away.

    All methods raise RoomcastError when the server refuses, and SignInRequired when there is no session any more.
    """

    def __init__(
        self,
        url: str,
        *,
        tokens: Tokens | None = None,
        on_tokens: Callable[[Tokens], None] | None = None,
        timeout: float = 20,
        retry_seconds: float = 60,
    ) -> None:
        self._url, self._retry_seconds = url.rstrip("/"), retry_seconds
        self._api = HttpApi(self._url, timeout)
        self._session = Session(self._api, tokens, on_tokens)
        self.sockets = SocketPool(self._url.replace("http", "ws", 1) + "/graphql", self._session)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._api)
        self._stack.push_async_callback(self.sockets.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    # -------------------------------------------------------------- the account

    async def signup(self, username: str, password: str, **more: str) -> User:
        """Create an account and sign in. `more`: the other fields of `SignupInput`, for example `inviteCode`."""
        return await self._sign_in(SIGNUP, {"username": username, "password": password, **more}, 0)

    async def login(self, username_or_email: str, password: str, device_name: str | None = None) -> User:
        credentials = {"usernameOrEmail": username_or_email, "password": password, "deviceName": device_name}
        return await self._sign_in(LOGIN, credentials, self._retry_seconds)

    async def logout(self) -> None:
        """End the session. Its streams end."""
        await self.execute(LOGOUT)
        self._session.forget()

    async def viewer(self) -> User:
        """The user who is signed in."""
        data = await self.execute(VIEWER, repeatable=True)
        if data["viewer"] is None:
            raise SignInRequired("UNAUTHENTICATED", "call login first")
        return User.read(data["viewer"]["user"])

    # -------------------------------------------------------------- rooms

    async def rooms(self) -> AsyncGenerator[Room, None]:
        """The rooms of the user, the most recently active first. Pages are loaded when they are needed."""
        after = None
        while True:
            page = (await self.execute(ROOMS, {"after": after}, repeatable=True))["rooms"]
            for node in page["nodes"]:
                yield Room(self, node)
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]

    async def room(self, room_id: str) -> Room:
        """Raises RoomcastError NOT_FOUND."""
        return Room(self, (await self.execute(ROOM_BY_ID, {"id": room_id}, repeatable=True))["room"])

    async def room_by_name(self, name: str) -> Room:
        """Raises RoomcastError NOT_FOUND."""
        data = await self.execute(ROOM_BY_NAME, {"name": name}, repeatable=True)
        if data["roomByName"] is None:
            raise RoomcastError("NOT_FOUND", f"there is no room {name!r} that this user may read")
        return Room(self, data["roomByName"])

    async def create_room(self, name: str, *, idempotency_key: UUID | None = None, **more: Any) -> Room:
        """`more`: the other fields of `CreateRoomInput`. With the same key the room is created once."""
        wanted = {"name": name, "idempotencyKey": str(idempotency_key or uuid4()), **more}
        data = await self.execute(CREATE_ROOM, {"input": wanted}, repeatable=True)
        return Room(self, data["createRoom"]["room"])

    async def join(self, room_id: str | None = None, *, invite_code: str | None = None) -> Room:
        """Join a public room by its id, or any room by an invite."""
        wanted = {"roomId": room_id} if invite_code is None else {"inviteCode": invite_code}
        return Room(self, (await self.execute(JOIN_ROOM, {"input": wanted}, repeatable=True))["joinRoom"]["room"])

    # -------------------------------------------------------------- documents

    async def execute(
        self, document: str, variables: Mapping[str, Any] | None = None, *, repeatable: bool = False
    ) -> Json:
        """Execute a query or mutation of your own, and return its data.

        `repeatable`: the document may be sent again when no answer came. True for queries, and for mutations that
        change nothing when they are repeated: they set a state, or have an idempotency key. Select
        `errors { code message path retryable retryAfterMs }` in payloads: they are raised.
        """
        limit_seconds = self._retry_seconds if repeatable else 0
        return await repeat_until_answered(lambda: self._attempt(document, variables or {}), limit_seconds)

    async def _attempt(self, document: str, variables: Mapping[str, Any]) -> Json:
        token = await self._session.access_token()
        try:
            return await self._api.execute(document, variables, token)
        except RoomcastError as error:
            if error.code != "TOKEN_EXPIRED":  # nothing was executed
                raise
        return await self._api.execute(document, variables, await self._session.access_token(refused=token))

    async def _sign_in(self, document: str, credentials: Mapping[str, Any], retry_seconds: float) -> User:
        variables = {"input": credentials}
        data = await repeat_until_answered(lambda: self._api.execute(document, variables, None), retry_seconds)
        [payload] = data.values()
        self._session.store(Tokens.read(payload["tokens"]))
        return User.read(payload["user"])
