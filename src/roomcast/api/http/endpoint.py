"""GraphQL over HTTP, by the GraphQL-over-HTTP specification: bytes in, a status and JSON out, for every input."""

import asyncio
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson
from graphql import GraphQLError, OperationType
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from roomcast.api import access_tokens
from roomcast.api.context import Caller
from roomcast.api.errors import coded_error, logger
from roomcast.api.execution.decoding import decode_json
from roomcast.api.execution.documents import Operation, RequestErrors
from roomcast.api.execution.engine import Engine, Payload, request_errors_payload
from roomcast.api.execution.requests import InvalidRequest, parse_request
from roomcast.api.execution.requests import Request as Wanted
from roomcast.api.http.streaming import Framing, Serve, Stream, framing
from roomcast.core.actor import Actor
from roomcast.core.errors import Refused
from roomcast.core.ids import uuid7

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"

MAX_BODY_BYTES = 256 * 1024
BODY_SECONDS = 20.0
"""How long a client may take to send its body."""

DRAINED_BYTES = 4 * MAX_BODY_BYTES
"""Of a body that is too large: a client that is still writing when the connection closes may never read why."""

READING = ("GET", "HEAD")
"""Methods that change nothing: HEAD is GET without the body."""

WITHOUT_SESSION = frozenset({"signup", "login", "refreshSession"})
"""What a client with a spent token needs to get a new one."""


class Rejected(Exception):
    """The HTTP request is no GraphQL request. `headers` go with the status."""

    def __init__(self, status: int, error: GraphQLError, **headers: str) -> None:
        super().__init__(error.message)
        self.status, self.error, self.headers = status, error, headers


class Answer(NamedTuple):
    status: int
    payload: Payload
    headers: dict[str, str]


class Streamed(NamedTuple):
    framing: Framing
    found: dict[str, Any]


def _framing(request: Request) -> Framing:
    """How the client wants its stream. HEAD is not answered for ever."""
    liked = framing(dict(_preferences(request.headers.get("accept", ""))))
    if liked is None or request.method == "HEAD":
        message = "Subscriptions need a WebSocket (graphql-transport-ws), or Accept: multipart/mixed."
        raise Rejected(400, coded_error("BAD_USER_INPUT", message))
    return liked


def _refusal(errors: RequestErrors, media_type: str, request_id: str) -> Answer:
    """Under the older media type a request that cannot be run is still answered by 200, which its clients expect."""
    payload = request_errors_payload(errors, request_id)
    wait = payload["errors"][0]["extensions"].get("retryAfterMs")
    if wait is not None:
        return Answer(429, payload, {"Retry-After": str(math.ceil(wait / 1000))})
    return Answer(400 if media_type == GRAPHQL else 200, payload, {})


class HttpEndpoint:
    """`playground` answers browsers that come to look; None where there is none. `serve` is that of the sockets, which
    streams go through too. `allow_get`: queries in the URL."""

    def __init__(
        self, engine: Engine, serve: Serve, playground: Callable[[], Response] | None, *, allow_get: bool
    ) -> None:
        self.body_seconds = BODY_SECONDS
        self._engine, self._serve, self._playground, self._allow_get = engine, serve, playground, allow_get

    async def __call__(self, request: Request) -> ASGIApp:
        if self._playground and _is_browser(request):
            return self._playground()
        request_id = str(uuid7())
        media_type = _media_type(request.headers.get("accept", ""))
        try:
            answer = await self._answer(request, request_id)
        except Rejected as rejected:
            answer = Answer(rejected.status, _errors(rejected.error, request_id), rejected.headers)
        except RequestErrors as errors:
            answer = _refusal(errors, media_type, request_id)
        except Exception as error:
            logger.error("request %s failed", request_id, exc_info=error)
            answer = Answer(500, _errors(coded_error("INTERNAL", "Something went wrong on our side."), request_id), {})
        headers = {"X-Request-Id": request_id, "Cache-Control": "no-store"}
        if isinstance(answer, Streamed):
            return Stream(self._serve, answer.framing, answer.found, headers)
        headers |= answer.headers
        return Response(orjson.dumps(answer.payload), answer.status, headers, f"{media_type}; charset=utf-8")

    async def _answer(self, request: Request, request_id: str) -> Answer | Streamed:
        found = await self._read(request)
        wanted, caller = _wanted(found), _caller(request, request_id)
        operation = await self._engine.parse_operation(wanted, caller)
        if operation.kind is OperationType.SUBSCRIPTION:
            await self._viewer(request, operation)
            return Streamed(_framing(request), found)
        if operation.kind is OperationType.MUTATION and request.method != "POST":
            raise Rejected(405, coded_error("BAD_USER_INPUT", "Mutations are sent by POST."), Allow="POST")
        viewer = await self._viewer(request, operation)
        return Answer(200, await self._engine.run(operation, wanted, viewer, caller), {})

    async def _viewer(self, request: Request, operation: Operation) -> Actor | None:
        if WITHOUT_SESSION.issuperset(operation.root_fields):
            return None
        try:
            token = access_tokens.from_headers(request.scope["headers"])
            return await self._engine.backend.sessions.authenticate(token) if token else None
        except Refused as error:
            challenge = 'Bearer error="invalid_token"'
            raise Rejected(401, coded_error(error.code, error.message), **{"WWW-Authenticate": challenge}) from None

    # ------------------------------------------------------------------ reading

    async def _read(self, request: Request) -> dict[str, Any]:
        if request.method == "POST":
            return _object(await _body(request, self.body_seconds))
        if request.method in READING and self._allow_get:
            return _from_query(request)
        allowed = [*(READING if self._allow_get else ()), "POST"]
        raise Rejected(405, _bad("GraphQL is asked by POST."), Allow=", ".join(allowed))


def not_served(_request: Request, error: Exception) -> Response:
    """The answer to what no route serves: JSON too, whoever asks for whatever."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(getattr(error, "headers", None) or {})
    code = "NOT_FOUND" if status == 404 else "BAD_USER_INPUT"
    payload = _errors(coded_error(code, str(getattr(error, "detail", ""))), str(uuid7()))
    return Response(orjson.dumps(payload), status, headers, JSON)


def _caller(request: Request, request_id: str) -> Caller:
    client = request.client.host if request.client else None
    return Caller(request_id, client, origin=str(request.base_url).rstrip("/"))


async def _body(request: Request, seconds: float) -> bytes:
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != JSON:
        raise Rejected(415, _bad(f"The body is sent as {JSON}."))
    charset = parameters.lower().replace(" ", "").removeprefix("charset=").strip('"')
    if charset not in ("", "utf-8", "utf8"):
        raise Rejected(415, _bad("The body is UTF-8."))
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Rejected(415, _bad("The body is sent as it is, not compressed."), **{"Accept-Encoding": "identity"})
    try:
        async with asyncio.timeout(seconds):
            return await _received(request)
    except ClientDisconnect:
        raise Rejected(400, _bad("The body was not complete.")) from None
    except TimeoutError:
        raise Rejected(408, coded_error("TIMEOUT", "The body took too long to arrive."), Connection="close") from None


async def _received(request: Request) -> bytes:
    body, size = bytearray(), 0
    if int(request.headers.get("content-length", 0)) > DRAINED_BYTES:
        raise _too_large()
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            body += chunk
        elif size > DRAINED_BYTES:
            raise _too_large()
    if size > MAX_BODY_BYTES:
        raise _too_large()
    return bytes(body)


def _too_large() -> Rejected:
    return Rejected(413, _bad(f"A body has at most {MAX_BODY_BYTES} bytes."), Connection="close")


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = decode_json(body)
    except ValueError:
        raise Rejected(400, _bad("The body is no JSON.")) from None
    if not isinstance(found, dict):
        raise Rejected(400, _bad("The body is one JSON object."))
    return found


def _from_query(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if name in found:
            try:
                found[name] = decode_json(found[name])
            except ValueError:
                raise Rejected(400, _bad(f"{name} is no JSON.")) from None
    return found


def _wanted(found: dict[str, Any]) -> Wanted:
    try:
        return parse_request(found)
    except InvalidRequest as error:
        raise Rejected(400, _bad(str(error))) from None


def _bad(message: str) -> GraphQLError:
    return coded_error("BAD_USER_INPUT", message)


def _errors(error: GraphQLError, request_id: str) -> Payload:
    return request_errors_payload(RequestErrors(error), request_id)


# ------------------------------------------------------------------ negotiating


def _is_browser(request: Request) -> bool:
    """Somebody typed the address or followed a link: text/html is asked for by name."""
    accept = request.headers.get("accept", "")
    return request.method in READING and "text/html" in accept


def _media_type(accept: str) -> str:
    """The one of our two that the client likes better; plain JSON where it does not care."""
    liked = dict(_preferences(accept))
    wild = max(liked.get("*/*", 0.0), liked.get("application/*", 0.0))
    return GRAPHQL if liked.get(GRAPHQL, 0.0) > 0 and liked[GRAPHQL] >= liked.get(JSON, wild * 0.99) else JSON


def _preferences(accept: str) -> list[tuple[str, float]]:
    found = []
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weights = [piece[2:] for piece in parameters if piece.startswith("q=")]
        try:
            found.append((name, float(weights[0]) if weights else 1.0))
        except ValueError:
            found.append((name, 0.0))
    return found
