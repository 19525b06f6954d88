"""Stores files in a bucket of Amazon S3 or of a compatible service. Needs the extra `s3`.

The bucket stays private: uploads and downloads go through this server, which checks permissions and sets the response
headers.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

from roomcast.uploads.storage import CHUNK_BYTES, PAGE_SIZE, Blob


class Bucket:
    """Objects under one prefix. S3 stores each object completely or not at all."""

    def __init__(self, url: str) -> None:
        """`url`: s3://KEY:SECRET@host/bucket/prefix?region=…, or s3+http:// for a server without TLS."""
        parts = urlsplit(url)
        bucket, _, prefix = parts.path.strip("/").partition("/")
        is_plain = parts.scheme == "s3+http"
        self._store = S3Store(
            bucket,
            prefix=prefix or None,
            endpoint=f"{'http' if is_plain else 'https'}://{parts.netloc.rpartition('@')[2]}",
            access_key_id=unquote(parts.username or ""),
            secret_access_key=unquote(parts.password or ""),
            region=parse_qs(parts.query).get("region", ["us-east-1"])[0],
            virtual_hosted_style_request=False,
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
            # `timeout` covers a whole upload; `read_timeout` ends requests to a server that does not answer.
            client_options={"allow_http": is_plain, "connect_timeout": "5s", "read_timeout": "30s", "timeout": "1h"},
        )

    async def put(self, name: str, path: Path) -> None:
        await obstore.put_async(self._store, name, path)

    async def create(self, name: str, content: bytes) -> None:
        with suppress(FileNotFoundError):
            await self.size(name)  # for services that ignore the condition of the next request
            return
        with suppress(AlreadyExistsError):
            await obstore.put_async(self._store, name, content, mode="create")

    async def size(self, name: str) -> int:
        return int((await obstore.head_async(self._store, name))["size"])

    async def open(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        found = await obstore.get_async(self._store, name, options={"range": (start, end)})
        return _bytes(found)

    async def remove(self, name: str) -> None:
        await obstore.delete_async(self._store, name)

    async def list_blobs(self) -> AsyncIterator[list[Blob]]:
        async for page in obstore.list(self._store, chunk_size=PAGE_SIZE):
            yield [Blob(str(each["path"]), each["last_modified"]) for each in page]


async def _bytes(found: "obstore.GetResult") -> AsyncIterator[bytes]:
    async for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
        yield bytes(chunk)
