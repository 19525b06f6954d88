"""Limits of transfers: slow and stalled ones end, users have quotas, and a full disk is a coded error."""

import asyncio
import os
import resource
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from roomcast.uploads import ownership
from roomcast.uploads.limits import Slots
from tests.api_clients import UserClient, sign_up
from tests.conftest import MakeApp
from tests.messages.documents import DELETE
from tests.running_app import RunningApp
from tests.test_compiled_statements import queries, scans
from tests.uploads.documents import CREATE, code, codes, fetch, picture, post, put, ticket, upload

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests that do not depend on the kind of database."""


def stored(app: RunningApp) -> list[Path]:
    files = (app.roomcast.settings.data_dir / "uploads").rglob("*")
    return [path for path in files if path.is_file() and path.name != ownership.MARKER]


async def response_to_trickle(app: RunningApp, url: str) -> bytes:
    """The response to a client that sends its body byte by byte and reads meanwhile."""
    reader, writer = await connected(app)
    writer.write(
        f"PUT {url.removeprefix(app.url)} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000\r\n\r\n".encode()
    )
    answer = asyncio.ensure_future(reader.readuntil(b"}]}"))
    while not answer.done():
        writer.write(b"x")
        await asyncio.wait([answer], timeout=0.05)
    writer.close()
    return await answer


async def connected(app: RunningApp) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(app.url.rpartition(":")[2]), limit=1024)


@contextmanager
def limit_file_size(size: int) -> Iterator[None]:
    """Limit the size of files by the operating system, which fails as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# ------------------------------------------------------------------ uploads


@on_sqlite
async def test_a_trickling_upload_times_out_and_frees_its_slot(ann: UserClient) -> None:
    files = ann.app.roomcast.files
    files.limits = replace(files.limits, grace_seconds=0.5)
    upload_ticket = await ticket(ann, 10_000)
    async with asyncio.timeout(20):
        answer = await response_to_trickle(ann.app, upload_ticket["uploadUrl"])
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"TIMEOUT"' in answer
    assert stored(ann.app) == []
    with ann.app.roomcast.upload_receiver.slots.acquire("127.0.0.1", None):
        assert (await put(ann, upload_ticket, b"x" * 10_000)).status_code == 200


@on_sqlite
async def test_an_upload_above_the_minimal_rate_is_accepted(ann: UserClient) -> None:
    files = ann.app.roomcast.files
    files.limits = replace(files.limits, grace_seconds=1.0, bytes_per_second=2000)

    async def steady() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 1000
            await asyncio.sleep(0.15)

    assert (await put(ann, await ticket(ann, 10_000), steady())).status_code == 200


@on_sqlite
async def test_upload_slots_are_limited_per_address_and_ipv6_network(make_app: MakeApp) -> None:
    app = await make_app(trusted_proxies=("127.0.0.1",), uploads_per_process=4, uploads_per_address=2)
    async with await sign_up(app, "ann") as ann:
        upload_ticket, resume = await ticket(ann, 4), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"ab"
            await resume.wait()
            yield b"cd"

        def start_upload(tasks: asyncio.TaskGroup, address: str) -> asyncio.Task[object]:
            return tasks.create_task(put(ann, upload_ticket, slow(), **{"x-forwarded-for": address}))

        async def wait_for_uploads(count: int) -> None:
            async with asyncio.timeout(10):
                while len(stored(app)) < count:  # noqa: ASYNC110 (there is no event for it)
                    await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as tasks:
            for number in (1, 2):
                start_upload(tasks, f"2001:db8::{number}")
            await wait_for_uploads(2)
            refused = await put(ann, upload_ticket, b"abcd", **{"x-forwarded-for": "2001:db8::ffff:3"})
            assert code(refused) == (429, "RATE_LIMITED")
            assert refused.headers["retry-after"] == "1"
            assert (await put(ann, upload_ticket, b"abcd", **{"x-forwarded-for": "2001:db8:0:1::1"})).status_code == 200
            for number in (1, 2):
                start_upload(tasks, f"192.0.2.{number}")
            await wait_for_uploads(5)
            refused = await put(ann, upload_ticket, b"abcd", **{"x-forwarded-for": "192.0.2.3"})
            assert code(refused) == (429, "RATE_LIMITED")  # all slots are in use
            resume.set()


async def test_a_users_files_have_a_quota_that_deleted_files_do_not_count_against(make_app: MakeApp) -> None:
    app = await make_app(upload_quota_bytes=100)
    async with await sign_up(app, "ann") as ann, await sign_up(app, "bob") as bob:
        room_id = await ann.create_room("den")
        sent = await post(ann, room_id, b"x" * 60)
        refused = await ann.mutate(CREATE, filename="a", contentType="", byteSize=41)
        assert [(one["code"], one["path"], one["retryable"]) for one in refused["errors"]] == [
            ("QUOTA_EXCEEDED", ["input", "byteSize"], False)
        ]
        assert await ticket(ann, 40)
        assert codes(await ann.mutate(CREATE, filename="a", contentType="", byteSize=1)) == ["QUOTA_EXCEEDED"]
        assert await upload(bob, b"x" * 100)
        await ann.mutate(DELETE, messageId=sent["message"])
        await app.roomcast.delete_unused_files()
        assert await ticket(ann, 60)


async def test_the_quota_is_computed_from_an_index(ann: UserClient) -> None:
    with queries() as executed:
        await ticket(ann, 5)
    assert [statement for statement, _ in executed if "sum(files.byte_size)" in statement]
    assert await scans(ann.app, executed) == {}


@on_sqlite
async def test_uploads_are_refused_when_free_disk_space_is_low(make_app: MakeApp) -> None:
    app = await make_app(min_free_disk_bytes=2**52)
    async with await sign_up(app, "ann") as ann:
        upload_ticket = await ticket(ann, 5)
        refused = await put(ann, upload_ticket, b"bytes")
        assert code(refused) == (507, "STORAGE_FULL")
        assert refused.headers["retry-after"] == "60"
        assert refused.json()["errors"][0]["extensions"]["retryable"] is True
        assert stored(app) == []
        refusals = ("roomcast_refusals_total", {"limit": "min_free_disk_bytes"})
        assert app.roomcast.registry.get_sample_value(*refusals) == 1


@on_sqlite
async def test_an_upload_that_fills_the_disk_is_refused_and_leaves_no_file(ann: UserClient) -> None:
    upload_ticket = await ticket(ann, 5_000_000)
    with limit_file_size(2_000_000):
        assert code(await put(ann, upload_ticket, b"x" * 5_000_000)) == (507, "STORAGE_FULL")
    assert stored(ann.app) == []
    assert (await put(ann, upload_ticket, b"x" * 5_000_000)).status_code == 200


@on_sqlite
async def test_a_disk_that_fills_up_during_picture_processing_is_reported(ann: UserClient) -> None:
    content = picture(300, 200, "png", compress_level=0)
    upload_ticket = await ticket(ann, len(content), "a.png", "image/png")
    await upload(ann, picture(9, 9), "b.png", "image/png")
    [worker] = ann.app.roomcast.upload_receiver.pictures.pids
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (1000, 1000))
    assert code(await put(ann, upload_ticket, content)) == (507, "STORAGE_FULL")
    assert len(stored(ann.app)) == 2


@on_sqlite
async def test_files_and_folders_are_accessible_to_the_servers_account_only(make_app: MakeApp) -> None:
    before = os.umask(0)
    try:
        app = await make_app()
        async with await sign_up(app, "ann") as ann:
            await upload(ann, picture(9, 9), "a.png", "image/png")
            await upload(ann, b"text")
    finally:
        os.umask(before)
    uploads = app.roomcast.settings.data_dir / "uploads"
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in (uploads, *uploads.rglob("*"))}
    assert modes == {(True, 0o700), (False, 0o600)}


# ------------------------------------------------------------------ downloads


async def open_download(url: str, app: RunningApp) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await connected(app)
    writer.write(f"GET {url.removeprefix(app.url)} HTTP/1.1\r\nHost: {app.url[7:]}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


@on_sqlite
async def test_stalled_and_too_slow_downloads_are_ended(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    url = (await post(ann, room_id, bytes(20_000_000)))["url"]
    files = ann.app.roomcast.files
    limits = files.limits
    for changed in (replace(limits, stall_seconds=0.3), replace(limits, grace_seconds=0.3, bytes_per_second=10**9)):
        files.limits = changed
        _, writer = await open_download(url, ann.app)
        async with asyncio.timeout(10):
            assert files.downloads.count == 1
            while files.downloads.count:  # noqa: ASYNC110 (there is no event for it)
                await asyncio.sleep(0.02)
        writer.close()
    files.limits = limits
    assert len((await fetch(url)).content) == 20_000_000


@on_sqlite
async def test_downloads_are_limited_per_address(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    url = (await post(ann, room_id, bytes(20_000_000)))["url"]
    files = ann.app.roomcast.files
    files.downloads = Slots("downloads", replace(files.limits, downloads_per_address=1))
    _, writer = await open_download(url, ann.app)
    refused = await fetch(url)
    assert code(refused) == (429, "RATE_LIMITED")
    writer.close()
    async with asyncio.timeout(10):
        while files.downloads.count:  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.02)
    assert (await fetch(url, range="bytes=0-3")).status_code == 206
