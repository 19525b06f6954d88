"""The files themselves, over HTTP: bytes in by a signed ticket, bytes out by a signed address, inert whatever they are.

Nobody is asked who they are here: the address says for whom it was made, and is no better than that person's right.
What it names is looked up each time, so that a deleted message's file is gone at once, and any for who left its room.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from graphql import GraphQLError
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from roomcast.accounts import queries as accounts
from roomcast.accounts.throttle import network
from roomcast.api.errors import coded_error, format_error, logger
from roomcast.api.http.ranges import Unsatisfiable, disposition, is_known, wanted_range
from roomcast.core.clock import now
from roomcast.core.db import Database
from roomcast.core.errors import (
    BadUserInput,
    FileTooLarge,
    NotFound,
    Refused,
    TookTooLong,
    UnsupportedMediaType,
    ValidationFailed,
)
from roomcast.core.ids import global_id, uuid7
from roomcast.messages import queries as messages
from roomcast.uploads import actions, queries
from roomcast.uploads.content_types import INLINE, UNKNOWN
from roomcast.uploads.limits import Slots, TransferClock, TransferLimits
from roomcast.uploads.links import Links, Purpose
from roomcast.uploads.models import File, blob_name, thumbnail_name
from roomcast.uploads.policy import TICKET_LIFETIME
from roomcast.uploads.receiving import UploadReceiver
from roomcast.uploads.storage import Storage

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
"""By the code of a refusal; every other one is 400."""

INERT = "sandbox; default-src 'none'"
"""Whatever a file holds, a browser that opens it runs nothing and loads nothing."""

Handler = Callable[[Request], Awaitable[Response]]


class Shown(NamedTuple):
    """What is sent for a file: its bytes, or those of its thumbnail."""

    blob: str
    filename: str
    content_type: str
    etag: str


def routes(endpoint: Callable[[], "FilesEndpoint"]) -> list[BaseRoute]:
    """`endpoint` is asked for at each request: there is none before the start."""
    return [
        Route("/uploads/{id}", _answered(lambda request: endpoint().put(request)), methods=["PUT"]),
        Route("/files/{id}", _answered(lambda request: endpoint().get(request))),
        Route("/thumbnails/{id}", _answered(lambda request: endpoint().get_thumbnail(request))),
    ]


class FilesEndpoint:
    """Both directions. `intake` fills what `storage` shows."""

    def __init__(
        self, db: Database, links: Links, storage: Storage, intake: UploadReceiver, limits: TransferLimits
    ) -> None:
        self._db, self._links, self._storage, self._intake = db, links, storage, intake
        self.limits = limits
        self.downloads = Slots(limits.downloads, limits.downloads_per_address)

    # ------------------------------------------------------------------ in

    async def put(self, request: Request) -> Response:
        """All of a file, in one request. Repeating it is harmless."""
        file_id, *_ = self._signed(request, "uploads")
        async with self._db.read() as session:
            file = (await queries.files_by_id(session, [file_id])).get(file_id)
        if file is None or (file.claimed_at is not None and not file.is_referenced):
            raise NotFound("no such upload")
        _check_headers(request, file)
        received = await self._intake.receive(file, _chunks(request, self.limits), _address(request))
        try:
            async with self._db.work() as work:
                filled = await actions.mark_received(work, file_id, received)
        except Refused:
            await self._intake.discard(file, received)
            raise
        told = {
            "uploadId": global_id("file", file_id),
            "contentType": filled.content_type,
            "byteSize": filled.byte_size,
            "sha256": filled.sha256,
        }
        return JSONResponse(told, headers={"Cache-Control": "no-store"})

    # ------------------------------------------------------------------ out

    async def get(self, request: Request) -> Response:
        return await self._show(request, "files", _original)

    async def get_thumbnail(self, request: Request) -> Response:
        return await self._show(request, "thumbnails", _small)

    async def _show(self, request: Request, purpose: Purpose, choose: Callable[[File], Shown]) -> Response:
        file_id, seconds, reader = self._signed(request, purpose)
        async with self._db.read() as session:
            file = (await queries.files_by_id(session, [file_id])).get(file_id)
            if file is None or not await _is_open(session, file, reader):
                raise NotFound("no such file")
        shown = choose(file)
        headers = _headers(shown, seconds)
        if is_known(request.headers, shown.etag):
            return Response(status_code=304, headers=headers)
        return await self._bytes(request, shown, headers)

    async def _bytes(self, request: Request, shown: Shown, headers: dict[str, str]) -> Response:
        size = await self._storage.size(shown.blob)
        try:
            part = wanted_range(request.headers, size, shown.etag) if request.method == "GET" else None
        except Unsatisfiable:
            refusal = BadUserInput("the range lies outside of the file")
            return _refused(refusal, 416, {"Content-Range": f"bytes */{size}"})
        start, end = part or (0, size)
        headers["Content-Length"] = str(end - start)
        if part is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        status = 200 if part is None else 206
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        with ExitStack() as slot:
            slot.enter_context(self.downloads.acquire(_address(request)))
            chunks = await self._storage.open(shown.blob, start, end)
            return Download(chunks, status, headers, self.limits, slot.pop_all())

    def _signed(self, request: Request, purpose: Purpose) -> tuple[UUID, int, str]:
        """The file that the address names, for how many seconds more, and whose it is. Raises Forbidden."""
        try:
            file_id = UUID(request.path_params["id"])
        except ValueError:
            raise NotFound("no such file") from None
        until, signature, reader = [request.query_params.get(name, "") for name in ("until", "signature", "reader")]
        left = self._links.check(purpose, file_id, until, signature, now(), reader)
        return file_id, math.ceil(left.total_seconds()), reader


async def _is_open(session: AsyncSession, file: File, reader: str) -> bool:
    """An avatar is open to everybody; what goes with a message, to a reader who may read that now."""
    if file.is_avatar:
        return True
    if file.message_id is None or not reader:
        return False
    user_id = UUID(reader)
    user = (await accounts.users_by_id(session, [user_id])).get(user_id)
    return user is not None and user.banned_at is None and await messages.may_read(session, file.message_id, user_id)


def _original(file: File) -> Shown:
    kind = file.content_type if file.content_type in INLINE else UNKNOWN
    return Shown(blob_name(file.id, file.sha256 or ""), file.filename, kind, f'"{file.sha256}"')


def _small(file: File) -> Shown:
    """The file itself where there is no thumbnail: an avatar, on a server that cannot make any."""
    whole = _original(file)
    if not file.has_thumbnail:
        return whole
    return Shown(thumbnail_name(whole.blob), "thumbnail.webp", "image/webp", f'"{file.sha256}-thumbnail"')


def _headers(shown: Shown, seconds: int) -> dict[str, str]:
    return {
        "Content-Type": shown.content_type,
        "Content-Disposition": disposition(shown.filename, inline=shown.content_type in INLINE),
        "Content-Security-Policy": INERT,
        # Pages of ROOMCAST_ALLOWED_ORIGINS show pictures too; who has the address has the file in any case.
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Cache-Control": f"private, max-age={seconds}, immutable",
        "Accept-Ranges": "bytes",
        "ETag": shown.etag,
    }


class Download(StreamingResponse):
    """A response that gives up a client that takes nothing, or too little. It frees `slot` at its end."""

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
    """What can be known to be wrong before the first byte."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType("the bytes are sent as they are, without a content encoding")
    if "content-range" in request.headers:
        raise ValidationFailed("a file is sent whole")
    announced = int(request.headers.get("content-length", file.upload_size))
    if announced > file.upload_size:
        raise FileTooLarge(f"more than the {file.upload_size} bytes that were announced")
    if announced < file.upload_size:
        raise ValidationFailed(f"{announced} of the {file.upload_size} bytes that were announced")


def _address(request: Request) -> str | None:
    """What counts as one address."""
    return network(request.client.host if request.client else None)


async def _chunks(request: Request, limits: TransferLimits) -> AsyncIterator[bytes]:
    """All of the body. Raises TookTooLong, ValidationFailed."""
    stream, clock = request.stream(), TransferClock(limits)
    end = asyncio.get_running_loop().time() + TICKET_LIFETIME.total_seconds()
    while True:
        try:
            async with asyncio.timeout_at(end), clock.waiting():
                chunk = await anext(stream, None)
        except TimeoutError:
            raise TookTooLong("the bytes came too slowly, or no longer") from None
        except ClientDisconnect:
            raise ValidationFailed("the bytes were not complete") from None
        if chunk is None:
            return
        clock.count(len(chunk))
        yield chunk


# ------------------------------------------------------------------ answering


def _answered(handler: Handler) -> Handler:
    """Every refusal in the words of all others; what is ours is masked, and logged once."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except FileNotFoundError:
            logger.error("a file's bytes are missing: %s", request.path_params["id"])
            return _refused(NotFound("no such file"), 404)
        except Refused as refused:
            wait = (
                {} if refused.retry_after_ms is None else {"Retry-After": str(math.ceil(refused.retry_after_ms / 1000))}
            )
            return _refused(refused, STATUS.get(refused.code, 400), wait)
        except Exception as error:
            request_id = str(uuid7())
            logger.error("request %s failed", request_id, exc_info=error)
            return _told(coded_error("INTERNAL", "Something went wrong on our side."), 500, {}, request_id)

    return answer


def _refused(refused: Refused, status: int, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    return _told(GraphQLError(refused.message, original_error=refused), status, headers, str(uuid7()))


def _told(error: GraphQLError, status: int, headers: Mapping[str, str], request_id: str) -> Response:
    told = {"errors": [format_error(error, request_id)]}
    return JSONResponse(told, status, {"X-Request-Id": request_id, "Cache-Control": "no-store", **headers})
