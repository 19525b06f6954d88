"""Upload and download of files over HTTP, by signed URLs.

These routes take no access token. A signed URL names the user for whom it was made and gives no more than that user's
rights, which are checked at each request: a file is not found once its message is deleted, or once the user has left
its room. Downloads are sent with headers under which browsers execute nothing.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import ExitStack
from typing import Any, NamedTuple
from uuid import UUID

from graphql import GraphQLError
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from roomcast.accounts import queries as accounts
from roomcast.api import request_ids
from roomcast.api.errors import format_error, unexpected_error
from roomcast.api.http.ranges import Unsatisfiable, disposition, has_current_version, requested_range
from roomcast.core.clock import now
from roomcast.core.db import Database
from roomcast.core.errors import (
    BadUserInput,
    FileTooLarge,
    NotFound,
    Refused,
    RequestTimedOut,
    UnsupportedMediaType,
    ValidationFailed,
)
from roomcast.core.ids import global_id
from roomcast.core.rates import ClientAddresses
from roomcast.core.refusals import Refusals
from roomcast.core.telemetry import TRACE_ID, request_fields
from roomcast.messages import queries as messages
from roomcast.uploads import actions, queries
from roomcast.uploads.content_types import INLINE, UNKNOWN
from roomcast.uploads.limits import Slots, TransferClock, TransferLimits
from roomcast.uploads.links import Links, Purpose
from roomcast.uploads.models import File, blob_name, thumbnail_name
from roomcast.uploads.policy import TICKET_LIFETIME
from roomcast.uploads.receiving import UploadReceiver
from roomcast.uploads.storage import Storage

logger = logging.getLogger("roomcast.api")

STATUS = {
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "TIMEOUT": 408,
    "CONFLICT": 409,
    "FILE_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "RATE_LIMITED": 429,
    "STORAGE_FULL": 507,
}
"""HTTP status by error code. Every other code is 400."""

INERT = "sandbox; default-src 'none'"
"""The Content-Security-Policy of files: a browser that opens one runs nothing and loads nothing."""

Handler = Callable[[Request], Awaitable[Response]]


class Variant(NamedTuple):
    """The bytes that are sent for a file: the original or its thumbnail."""

    blob: str
    filename: str
    content_type: str
    etag: str


def routes(endpoint: Callable[[], "FilesEndpoint"]) -> list[BaseRoute]:
    """`endpoint` is called at each request: the endpoint is made when the app starts, after its routes."""
    return [
        Route("/uploads/{id}", _with_errors(lambda request: endpoint().put(request)), methods=["PUT"]),
        Route("/files/{id}", _with_errors(lambda request: endpoint().get(request))),
        Route("/thumbnails/{id}", _with_errors(lambda request: endpoint().get_thumbnail(request))),
    ]


class FilesEndpoint:
    """Uploads go through `intake` into `storage`; downloads come from `storage`."""

    def __init__(
        self,
        db: Database,
        links: Links,
        storage: Storage,
        intake: UploadReceiver,
        limits: TransferLimits,
        addresses: ClientAddresses,
        refusals: Refusals,
    ) -> None:
        self._db, self._links, self._storage, self._intake = db, links, storage, intake
        self.limits, self._addresses = limits, addresses
        self.downloads = Slots("downloads", limits, refusals)

    # ------------------------------------------------------------------ uploads

    async def put(self, request: Request) -> Response:
        """Receive a whole file in one request. Repeating the request is harmless."""
        file_id, *_ = self._signed(request, "uploads")
        async with self._db.read() as session:
            file = (await queries.files_by_id(session, [file_id])).get(file_id)
        if file is None or (file.claimed_at is not None and not file.is_referenced):
            raise NotFound("There is no such upload.")
        _check_headers(request, file)
        received = await self._intake.receive(file, _chunks(request, self.limits), self._address(request))
        try:
            async with self._db.work() as work:
                filled = await actions.mark_received(work, file_id, received)
        except Refused:
            await self._intake.discard(file, received)
            raise
        uploaded = {
            "uploadId": global_id("file", file_id),
            "contentType": filled.content_type,
            "byteSize": filled.byte_size,
            "sha256": filled.sha256,
        }
        return JSONResponse(uploaded, headers={"Cache-Control": "no-store"})

    # ------------------------------------------------------------------ downloads

    async def get(self, request: Request) -> Response:
        return await self._download(request, "files", _original)

    async def get_thumbnail(self, request: Request) -> Response:
        return await self._download(request, "thumbnails", _thumbnail)

    async def _download(self, request: Request, purpose: Purpose, choose: Callable[[File], Variant]) -> Response:
        file_id, seconds, reader = self._signed(request, purpose)
        async with self._db.read() as session:
            file = (await queries.files_by_id(session, [file_id])).get(file_id)
            if file is None or not await _may_download(session, file, reader):
                raise NotFound("There is no such file.")
        variant = choose(file)
        headers = {
            "Content-Type": variant.content_type,
            "Content-Disposition": disposition(variant.filename, inline=variant.content_type in INLINE),
            "Content-Security-Policy": INERT,
            # Pages of ROOMCAST_ALLOWED_ORIGINS show pictures too. The URL alone gives access anyway.
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Cache-Control": f"private, max-age={seconds}, immutable",
            "Accept-Ranges": "bytes",
            "ETag": variant.etag,
        }
        if has_current_version(request.headers, variant.etag):
            return Response(status_code=304, headers=headers)
        return await self._send_bytes(request, variant, headers)

    async def _send_bytes(self, request: Request, variant: Variant, headers: dict[str, str]) -> Response:
        size = await self._storage.size(variant.blob)
        try:
            part = requested_range(request.headers, size, variant.etag) if request.method == "GET" else None
        except Unsatisfiable:
            error = BadUserInput("The range lies outside of the file.")
            return _refusal_response(error, 416, {"Content-Range": f"bytes */{size}"}, request.state.request_id)
        start, end = part or (0, size)
        headers["Content-Length"] = str(end - start)
        if part is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        status = 200 if part is None else 206
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        with ExitStack() as slot:
            slot.enter_context(self.downloads.acquire(self._address(request)))
            chunks = await self._storage.open(variant.blob, start, end)
            return Download(chunks, status, headers, self.limits, slot.pop_all())

    def _address(self, request: Request) -> str | None:
        """The client's address, as limits count it. None where none applies."""
        return self._addresses.limited(request.client.host if request.client else None) or None

    def _signed(self, request: Request, purpose: Purpose) -> tuple[UUID, int, str]:
        """Check the URL's signature. Returns the file id, the seconds until the URL expires, and the id of the user for
        whom it was made ("" for uploads and avatars). Raises Forbidden, NotFound."""
        try:
            file_id = UUID(request.path_params["id"])
        except ValueError:
            raise NotFound("There is no such file.") from None
        until, signature, reader = [request.query_params.get(name, "") for name in ("until", "signature", "reader")]
        left = self._links.check(purpose, file_id, until, signature, now(), reader)
        return file_id, math.ceil(left.total_seconds()), reader


async def _may_download(session: AsyncSession, file: File, reader: str) -> bool:
    """Everybody may download an avatar; an attachment, users who may read its message now."""
    if file.is_avatar:
        return True
    if file.message_id is None or not reader:
        return False
    user_id = UUID(reader)
    user = (await accounts.users_by_id(session, [user_id])).get(user_id)
    return user is not None and user.banned_at is None and await messages.may_read(session, file.message_id, user_id)


def _original(file: File) -> Variant:
    kind = file.content_type if file.content_type in INLINE else UNKNOWN
    return Variant(blob_name(file.id, file.sha256 or ""), file.filename, kind, f'"{file.sha256}"')


def _thumbnail(file: File) -> Variant:
    """The original where there is no thumbnail: an avatar, on a server without the extra that makes them."""
    original = _original(file)
    if not file.has_thumbnail:
        return original
    return Variant(thumbnail_name(original.blob), "thumbnail.webp", "image/webp", f'"{file.sha256}-thumbnail"')


class Download(StreamingResponse):
    """A response that is aborted for a client that reads nothing, or too slowly. It frees `slot` at its end."""

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        status: int,
        headers: Mapping[str, str],
        limits: TransferLimits,
        slot: ExitStack,
    ) -> None:
        super().__init__(chunks, status, headers)
        self._limits, self._slot = limits, slot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._slot:
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        clock = TransferClock(self._limits)

        async def limited(message: MutableMapping[str, Any]) -> None:
            clock.count(len(message.get("body", b"")))
            async with clock.waiting():
                await send(message)

        await super().stream_response(limited)


# ------------------------------------------------------------------ reading a request


def _check_headers(request: Request, file: File) -> None:
    """Reject what the headers already show to be wrong, before the first byte is read."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType("Send the file without a content encoding.")
    if "content-range" in request.headers:
        raise ValidationFailed("Send the file in one request, without Content-Range.")
    announced = int(request.headers.get("content-length", file.upload_size))
    if announced > file.upload_size:
        raise FileTooLarge(f"The body is larger than the {file.upload_size} bytes that were announced.")
    if announced < file.upload_size:
        raise ValidationFailed(f"The body has {announced} of the {file.upload_size} bytes that were announced.")


async def _chunks(request: Request, limits: TransferLimits) -> AsyncIterator[bytes]:
    """The chunks of the request body. Raises RequestTimedOut, ValidationFailed."""
    stream, clock = request.stream(), TransferClock(limits)
    end = asyncio.get_running_loop().time() + TICKET_LIFETIME.total_seconds()
    while True:
        try:
            async with asyncio.timeout_at(end), clock.waiting():
                chunk = await anext(stream, None)
        except TimeoutError:
            raise RequestTimedOut("The bytes arrived too slowly, or stopped.") from None
        except ClientDisconnect:
            raise ValidationFailed("The body is incomplete.") from None
        if chunk is None:
            return
        clock.count(len(chunk))
        yield chunk


# ------------------------------------------------------------------ error responses


def _with_errors(handler: Handler) -> Handler:
    """Turns every exception of a handler into an error response. Internal errors are masked, and logged once."""

    async def respond(request: Request) -> Response:
        request_id = request.state.request_id = request_ids.request_id(request.scope["headers"])
        TRACE_ID.set(request_ids.trace_id(request_ids.traceparent(request.scope["headers"])))
        response = await respond_or_fail(request, request_id)
        response.headers["X-Request-Id"] = request_id
        return response

    async def respond_or_fail(request: Request, request_id: str) -> Response:
        try:
            return await handler(request)
        except FileNotFoundError:
            file_id, fields = request.path_params["id"], request_fields(request_id)
            logger.error("the bytes of file %s are missing in the storage", file_id, extra=fields)
            return _refusal_response(NotFound("There is no such file."), 404, {}, request_id)
        except Refused as refused:
            wait = refused.retry_after_ms
            headers = {} if wait is None else {"Retry-After": str(math.ceil(wait / 1000))}
            return _refusal_response(refused, STATUS.get(refused.code, 400), headers, request_id)
        except Exception as error:
            failure = unexpected_error(error, request_id)
            wait = (failure.extensions or {}).get("retryAfterMs")
            headers = {} if wait is None else {"Retry-After": str(math.ceil(wait / 1000))}
            return _error_response(failure, 500 if wait is None else 503, headers, request_id)

    return respond


def _refusal_response(refused: Refused, status: int, headers: Mapping[str, str], request_id: str) -> Response:
    return _error_response(GraphQLError(refused.message, original_error=refused), status, headers, request_id)


def _error_response(error: GraphQLError, status: int, headers: Mapping[str, str], request_id: str) -> Response:
    body = {"errors": [format_error(error, request_id)]}
    return JSONResponse(body, status, {"Cache-Control": "no-store", **headers})
