"""`/graphql` over HTTP, by the GraphQL-over-HTTP specification. Every input gets a status and a JSON body."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import orjson
from graphql import GraphQLError, OperationType
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from roomcast import tracing
from roomcast.api import access_tokens, request_ids
from roomcast.api.context import Caller
from roomcast.api.errors import RETRY_AFTER_MS, coded_error, is_unavailable, unexpected_error
from roomcast.api.execution.decoding import decode_json
from roomcast.api.execution.documents import Operation, RequestErrors
from roomcast.api.execution.engine import Engine, Payload, request_errors_payload
from roomcast.api.execution.requests import InvalidRequest, parse_request
from roomcast.api.http.streaming import Framing, Serve, StreamingResponse, preferred_framing
from roomcast.core.actor import Actor
from roomcast.core.errors import Refused
from roomcast.core.telemetry import TRACE_ID

Playground = Callable[[Request], Awaitable[Response]]

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"

MAX_BODY_BYTES = 256 * 1024
BODY_TIMEOUT_SECONDS = 20.0
"""How long a client may take to send its request body."""

MAX_DRAINED_BYTES = 4 * MAX_BODY_BYTES
"""So much of a body that is too large is read before the 413 is sent: a client that is still sending when the
connection closes may never read the response."""

RETRY_LATER = {"Retry-After": str(math.ceil(RETRY_AFTER_MS / 1000))}

SAFE_METHODS = ("GET", "HEAD")
"""Methods that change nothing. HEAD is GET without the response body."""

WITHOUT_SESSION = frozenset({"signup", "login", "refreshSession"})
"""Mutations that run without a look at the access token: a client with an expired one needs them to get a new one."""


class Rejected(Exception):
    """The HTTP request is not a GraphQL request. `headers` are added to the response."""

    def __init__(self, status: int, error: GraphQLError, **headers: str) -> None:
        super().__init__(error.message)
        self.status, self.error, self.headers = status, error, headers


class Result(NamedTuple):
    status: int
    payload: Payload
    headers: dict[str, str]


class StreamResult(NamedTuple):
    framing: Framing
    parameters: dict[str, Any]
    """The request as the client sent it: the stream's connection reads it again."""


def _framing(request: Request) -> Framing:
    """The framing that the client accepts. Raises Rejected where it accepts none, and for HEAD, which has no body."""
    accepted = preferred_framing(dict(_preferences(request.headers.get("accept", ""))))
    if accepted is None or request.method == "HEAD":
        message = "Subscriptions need a WebSocket (graphql-transport-ws), or Accept: multipart/mixed."
        raise Rejected(400, coded_error("BAD_USER_INPUT", message))
    return accepted


def _request_errors(errors: RequestErrors, media_type: str, request_id: str) -> Result:
    """The result of a request that was not executed: 429 where waiting helps, else 400.

    Clients of the older media type, application/json, expect 200 instead of 400.
    """
    payload = request_errors_payload(errors, request_id)
    retry_after_ms = payload["errors"][0]["extensions"].get("retryAfterMs")
    if retry_after_ms is not None:
        return Result(429, payload, {"Retry-After": str(math.ceil(retry_after_ms / 1000))})
    return Result(400 if media_type == GRAPHQL else 200, payload, {})


def _failure(error: Exception, request_id: str) -> Result:
    """The result of a request that failed unexpectedly: 503 during an outage of the database, else 500."""
    payload = _errors(unexpected_error(error, request_id), request_id)
    return Result(503, payload, RETRY_LATER) if is_unavailable(payload) else Result(500, payload, {})


class HttpEndpoint:
    """`serve` is `ConnectionRegistry.serve`, which runs streams over HTTP too. `playground` responds to browsers; None
    where it is switched off. `allow_get` accepts queries in the URL."""

    def __init__(self, engine: Engine, serve: Serve, playground: Playground | None, *, allow_get: bool) -> None:
        self.body_timeout = BODY_TIMEOUT_SECONDS
        self._engine, self._serve, self._playground, self._allow_get = engine, serve, playground, allow_get

    async def __call__(self, request: Request) -> ASGIApp:
        accept = request.headers.get("accept", "")
        # A person who opens the address in a browser gets the page.
        if self._playground and request.method in SAFE_METHODS and "text/html" in accept:
            return await self._playground(request)
        traceparent = request_ids.traceparent(request.scope["headers"])
        with tracing.request_span(f"{request.method} /graphql", traceparent):
            TRACE_ID.set(request_ids.trace_id(tracing.current() or traceparent))
            return await self._respond(request, _media_type(accept))

    async def _respond(self, request: Request, media_type: str) -> ASGIApp:
        request_id = request_ids.request_id(request.scope["headers"])
        try:
            result = await self._execute(request, request_id)
        except Rejected as rejected:
            result = Result(rejected.status, _errors(rejected.error, request_id), rejected.headers)
        except RequestErrors as errors:
            result = _request_errors(errors, media_type, request_id)
        except Exception as error:
            result = _failure(error, request_id)
        headers = {"X-Request-Id": request_id, "Cache-Control": "no-store"}
        if isinstance(result, StreamResult):
            return StreamingResponse(self._serve, result.framing, result.parameters, headers)
        headers |= result.headers
        return Response(orjson.dumps(result.payload), result.status, headers, f"{media_type}; charset=utf-8")

    async def _execute(self, request: Request, request_id: str) -> Result | StreamResult:
        parameters = await self._read(request)
        client = request.client.host if request.client else None
        try:
            graphql_request = parse_request(parameters)
        except InvalidRequest as error:
            raise Rejected(400, _bad(str(error))) from None
        caller = Caller(request_id, client, origin=str(request.base_url).rstrip("/"))
        operation = await self._engine.parse_operation(graphql_request, caller)
        if operation.kind is OperationType.SUBSCRIPTION:
            await self._viewer(request, operation)  # a bad token gets a 401 here; the stream could only report it
            return StreamResult(_framing(request), parameters)
        if operation.kind is OperationType.MUTATION and request.method != "POST":
            raise Rejected(405, coded_error("BAD_USER_INPUT", "Mutations are sent by POST."), Allow="POST")
        viewer = await self._viewer(request, operation)
        payload = await self._engine.run(operation, graphql_request, viewer, caller)
        return Result(503, payload, RETRY_LATER) if is_unavailable(payload) else Result(200, payload, {})

    async def _viewer(self, request: Request, operation: Operation) -> Actor | None:
        """The actor of the access token; None is anonymous. Raises Rejected for a token that is not valid."""
        if WITHOUT_SESSION.issuperset(operation.root_fields):
            return None
        try:
            token = access_tokens.from_headers(request.scope["headers"])
            with self._engine.operations.failures(operation.kind.value):
                return await self._engine.backend.sessions.authenticate(token) if token else None
        except Refused as error:
            challenge = 'Bearer error="invalid_token"'
            raise Rejected(401, coded_error(error.code, error.message), **{"WWW-Authenticate": challenge}) from None

    # ------------------------------------------------------------------ reading

    async def _read(self, request: Request) -> dict[str, Any]:
        if request.method == "POST":
            try:
                found = decode_json(await _body(request, self.body_timeout))
            except ValueError:
                raise Rejected(400, _bad("The body is not valid JSON.")) from None
            if not isinstance(found, dict):
                raise Rejected(400, _bad("The body must be one JSON object."))
            return found
        if request.method in SAFE_METHODS and self._allow_get:
            return _from_query(request)
        allowed = [*(SAFE_METHODS if self._allow_get else ()), "POST"]
        raise Rejected(405, _bad("GraphQL requests are sent by POST."), Allow=", ".join(allowed))


def on_http_exception(request: Request, error: Exception) -> Response:
    """The response for a path or method that no route serves, in JSON like every other error."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(getattr(error, "headers", None) or {})
    code = "NOT_FOUND" if status == 404 else "BAD_USER_INPUT"
    request_id = request_ids.request_id(request.scope["headers"])
    payload = _errors(coded_error(code, str(getattr(error, "detail", ""))), request_id)
    return Response(orjson.dumps(payload), status, {**headers, "X-Request-Id": request_id}, JSON)


async def _body(request: Request, seconds: float) -> bytes:
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != JSON:
        raise Rejected(415, _bad(f"The body is sent as {JSON}."))
    charset = parameters.lower().replace(" ", "").removeprefix("charset=").strip('"')
    if charset not in ("", "utf-8", "utf8"):
        raise Rejected(415, _bad("The body is UTF-8."))
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Rejected(415, _bad("The body must not be compressed."), **{"Accept-Encoding": "identity"})
    try:
        async with asyncio.timeout(seconds):
            return await _read_body(request)
    except ClientDisconnect:
        raise Rejected(400, _bad("The body is incomplete.")) from None
    except TimeoutError:
        raise Rejected(408, coded_error("TIMEOUT", "The body took too long to arrive."), Connection="close") from None


async def _read_body(request: Request) -> bytes:
    body, size = bytearray(), 0
    if int(request.headers.get("content-length", 0)) > MAX_DRAINED_BYTES:
        raise _too_large()
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            body += chunk
        elif size > MAX_DRAINED_BYTES:
            raise _too_large()
    if size > MAX_BODY_BYTES:
        raise _too_large()
    return bytes(body)


def _too_large() -> Rejected:
    return Rejected(413, _bad(f"A body has at most {MAX_BODY_BYTES} bytes."), Connection="close")


def _from_query(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if name in found:
            try:
                found[name] = decode_json(found[name])
            except ValueError:
                raise Rejected(400, _bad(f"{name} is not valid JSON.")) from None
    return found


def _bad(message: str) -> GraphQLError:
    return coded_error("BAD_USER_INPUT", message)


def _errors(error: GraphQLError, request_id: str) -> Payload:
    return request_errors_payload(RequestErrors(error), request_id)


# ------------------------------------------------------------------ negotiating


def _media_type(accept: str) -> str:
    """The media type, of our two, that the client prefers; application/json where it has no preference."""
    weights = dict(_preferences(accept))
    wildcard = max(weights.get("*/*", 0.0), weights.get("application/*", 0.0))
    return GRAPHQL if weights.get(GRAPHQL, 0.0) > 0 and weights[GRAPHQL] >= weights.get(JSON, wildcard * 0.99) else JSON


def _preferences(accept: str) -> list[tuple[str, float]]:
    """The media types of an Accept header with their weights (RFC 9110, section 12.5.1)."""
    found = []
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weights = [piece[2:] for piece in parameters if piece.startswith("q=")]
        try:
            found.append((name, float(weights[0]) if weights else 1.0))
        except ValueError:
            found.append((name, 0.0))
    return found
