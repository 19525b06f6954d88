"""No transfer holds a place for ever, no person fills the disk, and a full disk is an answer, not an accident."""

import asyncio
import os
import resource
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from roomcast.uploads.limits import Slots
from tests.api_clients import UserClient, sign_up
from tests.conftest import MakeApp
from tests.messages.documents import DELETE
from tests.running_app import RunningApp
from tests.test_compiled_statements import queries, scans
from tests.uploads.documents import CREATE, code, codes, fetch, picture, post, put, ticket, upload

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what has nothing to do with the database."""


def stored(app: RunningApp) -> list[Path]:
    return [path for path in (app.roomcast.settings.data_dir / "uploads").rglob("*") if path.is_file()]


async def trickled(app: RunningApp, url: str) -> bytes:
    """What the server answers to a client that sends its body byte by byte, and listens meanwhile."""
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
def largest_file(size: int) -> Iterator[None]:
    """The system refuses to write more into a file, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# ------------------------------------------------------------------ in


@on_sqlite
async def test_an_upload_that_trickles_is_given_up_and_its_slot_is_free_again(ann: UserClient) -> None:
    files = ann.app.roomcast.files
    files.limits = replace(files.limits, grace_seconds=0.5)
    given = await ticket(ann, 10_000)
    async with asyncio.timeout(20):
        answer = await trickled(ann.app, given["uploadUrl"])
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"TIMEOUT"' in answer
    assert stored(ann.app) == []
    with ann.app.roomcast.upload_receiver.slots.acquire("127.0.0.1", None):
        assert (await put(ann, given, b"x" * 10_000)).status_code == 200


@on_sqlite
async def test_an_upload_that_is_slow_and_steady_enough_is_taken(ann: UserClient) -> None:
    files = ann.app.roomcast.files
    files.limits = replace(files.limits, grace_seconds=1.0, bytes_per_second=2000)

    async def steady() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 1000
            await asyncio.sleep(0.15)

    assert (await put(ann, await ticket(ann, 10_000), steady())).status_code == 200


@on_sqlite
async def test_an_address_has_a_share_of_the_slots_and_a_network_of_ipv6_is_one(make_app: MakeApp) -> None:
    app = await make_app(trusted_proxies=("127.0.0.1",))
    app.roomcast.upload_receiver.slots = Slots(4, 2, 8)
    async with await sign_up(app, "ann") as ann:
        given, go_on = await ticket(ann, 4), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"ab"
            await go_on.wait()
            yield b"cd"

        def begin(tasks: asyncio.TaskGroup, address: str) -> asyncio.Task[object]:
            return tasks.create_task(put(ann, given, slow(), **{"x-forwarded-for": address}))

        async def under_way(count: int) -> None:
            async with asyncio.timeout(10):
                while len(stored(app)) < count:  # noqa: ASYNC110 (no one event says it)
                    await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as tasks:
            for number in (1, 2):
                begin(tasks, f"2001:db8::{number}")
            await under_way(2)
            refused = await put(ann, given, b"abcd", **{"x-forwarded-for": "2001:db8::ffff:3"})
            assert code(refused) == (429, "RATE_LIMITED")
            assert refused.headers["retry-after"] == "1"
            assert (await put(ann, given, b"abcd", **{"x-forwarded-for": "2001:db8:0:1::1"})).status_code == 200
            for number in (1, 2):
                begin(tasks, f"192.0.2.{number}")
            await under_way(5)
            refused = await put(ann, given, b"abcd", **{"x-forwarded-for": "192.0.2.3"})
            assert code(refused) == (429, "RATE_LIMITED")  # all are taken
            go_on.set()


async def test_a_persons_files_have_a_quota_and_what_is_removed_counts_no_longer(make_app: MakeApp) -> None:
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


async def test_what_a_person_stores_is_summed_up_by_an_index(ann: UserClient) -> None:
    with queries() as asked:
        await ticket(ann, 5)
    assert [statement for statement, _ in asked if "sum(files.byte_size)" in statement]
    assert await scans(ann.app, asked) == {}


@on_sqlite
async def test_uploads_leave_some_of_the_disk_free(make_app: MakeApp) -> None:
    app = await make_app(min_free_disk_bytes=2**52)
    async with await sign_up(app, "ann") as ann:
        given = await ticket(ann, 5)
        refused = await put(ann, given, b"bytes")
        assert code(refused) == (507, "STORAGE_FULL")
        assert refused.headers["retry-after"] == "60"
        assert refused.json()["errors"][0]["extensions"]["retryable"] is True
        assert stored(app) == []


@on_sqlite
async def test_a_disk_that_fills_up_in_the_middle_is_an_answer_and_leaves_nothing(ann: UserClient) -> None:
    given = await ticket(ann, 5_000_000)
    with largest_file(2_000_000):
        assert code(await put(ann, given, b"x" * 5_000_000)) == (507, "STORAGE_FULL")
    assert stored(ann.app) == []
    assert (await put(ann, given, b"x" * 5_000_000)).status_code == 200


@on_sqlite
async def test_a_disk_that_fills_up_while_a_picture_is_prepared_is_an_answer_too(ann: UserClient) -> None:
    content = picture(300, 200, "png", compress_level=0)
    given = await ticket(ann, len(content), "a.png", "image/png")
    await upload(ann, picture(9, 9), "b.png", "image/png")
    [child] = ann.app.roomcast.upload_receiver.pictures.pids
    resource.prlimit(child, resource.RLIMIT_FSIZE, (1000, 1000))
    assert code(await put(ann, given, content)) == (507, "STORAGE_FULL")
    assert len(stored(ann.app)) == 2


@on_sqlite
async def test_files_and_folders_are_for_the_servers_account_alone(make_app: MakeApp) -> None:
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


# ------------------------------------------------------------------ out


async def reader_of(url: str, app: RunningApp) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await connected(app)
    writer.write(f"GET {url.removeprefix(app.url)} HTTP/1.1\r\nHost: {app.url[7:]}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


@on_sqlite
async def test_a_reader_that_takes_nothing_or_too_little_is_given_up(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    url = (await post(ann, room_id, bytes(20_000_000)))["url"]
    files = ann.app.roomcast.files
    limits = files.limits
    for changed in (replace(limits, stall_seconds=0.3), replace(limits, grace_seconds=0.3, bytes_per_second=10**9)):
        files.limits = changed
        _, writer = await reader_of(url, ann.app)
        async with asyncio.timeout(10):
            assert files.downloads.count == 1
            while files.downloads.count:  # noqa: ASYNC110 (no one event says it)
                await asyncio.sleep(0.02)
        writer.close()
    files.limits = limits
    assert len((await fetch(url)).content) == 20_000_000


@on_sqlite
async def test_an_address_has_a_share_of_the_downloads(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    url = (await post(ann, room_id, bytes(20_000_000)))["url"]
    files = ann.app.roomcast.files
    files.downloads = Slots(10, 1)
    _, writer = await reader_of(url, ann.app)
    refused = await fetch(url)
    assert code(refused) == (429, "RATE_LIMITED")
    writer.close()
    async with asyncio.timeout(10):
        while files.downloads.count:  # noqa: ASYNC110 (no one event says it)
            await asyncio.sleep(0.02)
    assert (await fetch(url, range="bytes=0-3")).status_code == 206
