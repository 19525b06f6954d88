"""Files and generated texts of the pages: compressed where the client accepts it, and revalidated on each use."""

import asyncio
import gzip
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

# Fixed, because some machines map .js to text/plain, and with `nosniff` browsers then refuse to run it.
CONTENT_TYPES: Final[dict[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class Files(StaticFiles):
    """File names do not change between releases, so browsers revalidate on each use and usually get a 304.

    Both forms of a file have one ETag. It is weak: a strong one would promise that their bytes are the same. Responses
    of the API are not compressed: they contain secrets and input of the client, and the length of a compressed response
    can reveal such a secret (the BREACH attack).
    """

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        headers = response.headers
        headers["Cache-Control"] = "no-cache"
        headers["Vary"] = "Accept-Encoding"
        headers["ETag"] = f"W/{headers['etag']}"
        if not isinstance(response, FileResponse):  # a 304
            return response
        content_type = CONTENT_TYPES.get(Path(response.path).suffix)
        if content_type:
            headers["Content-Type"] = content_type
            if _accepts_gzip(Headers(scope=scope)):
                return await _compressed_response(response)
        return response


class GeneratedText:
    """A text that the server has made, served as `Files` serves a file."""

    def __init__(self, text: str, media_type: str) -> None:
        self._body, self._media_type = text.encode(), media_type
        self._compressed = gzip.compress(self._body, mtime=0)
        self._etag = f'"{hashlib.sha256(self._body).hexdigest()[:32]}"'

    def response(self, request: Request) -> Response:
        headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding", "ETag": f"W/{self._etag}"}
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if self._etag in known or "*" in known:
            return Response(status_code=304, headers=headers)
        if _accepts_gzip(request.headers):
            headers["Content-Encoding"] = "gzip"
            return Response(self._compressed, headers=headers, media_type=self._media_type)
        return Response(self._body, headers=headers, media_type=self._media_type)


async def _compressed_response(file: FileResponse) -> Response:
    body = await asyncio.to_thread(_compressed, str(file.path), file.headers["etag"])
    kept = {name: file.headers[name] for name in ("cache-control", "content-type", "etag", "last-modified", "vary")}
    return Response(body, file.status_code, {**kept, "Content-Encoding": "gzip"})


@lru_cache(maxsize=64)
def _compressed(path: str, _etag: str) -> bytes:
    """The file in gzip form, made once: the largest takes a tenth of a second. A changed file has another ETag."""
    return gzip.compress(Path(path).read_bytes(), mtime=0)


def _accepts_gzip(request: Headers) -> bool:
    if "range" in request:  # it counts bytes of the uncompressed file
        return False
    codings = request.get("accept-encoding", "").lower().replace(" ", "").split(",")
    weights = {name: weight for name, _, weight in (coding.partition(";q=") for coding in codings)}
    return "gzip" in weights and not re.fullmatch(r"0(\.0*)?", weights["gzip"])
