"""Receiving uploads: a ticket accepts exactly the announced file, once. Refused uploads leave no files."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from roomcast.core.clock import now
from roomcast.uploads import ownership
from roomcast.uploads.links import Links
from tests.api_clients import UserClient, sign_up
from tests.conftest import MakeApp
from tests.running_app import SECRET, RunningApp
from tests.uploads.documents import CREATE, SEND, code, codes, fetch, picture, post, put, ticket, upload

LINKS = Links([SECRET.encode()])


def stored(app: RunningApp) -> list[Path]:
    """All files in the uploads folder, incomplete ones included."""
    files = (app.roomcast.settings.data_dir / "uploads").rglob("*")
    return [path for path in files if path.is_file() and path.name != ownership.MARKER]


async def streamed(*chunks: bytes) -> AsyncIterator[bytes]:
    """A body that is sent with chunked encoding, without a Content-Length."""
    for chunk in chunks:
        yield chunk


async def test_an_invalid_file_gets_no_upload_ticket(ann: UserClient) -> None:
    for argument, value, refusal in (
        ("byteSize", 0, "VALIDATION_FAILED"),
        ("byteSize", -1, "VALIDATION_FAILED"),
        ("byteSize", 26_214_401, "FILE_TOO_LARGE"),
        ("contentType", "nonsense", "VALIDATION_FAILED"),
        ("contentType", "text/html\r\nX-Evil: 1", "VALIDATION_FAILED"),
        ("contentType", "a/" + "b" * 200, "VALIDATION_FAILED"),
    ):
        payload = await ann.mutate(
            CREATE, **{"filename": "a", "contentType": "text/plain", "byteSize": 5, argument: value}
        )
        assert [(error["code"], error["path"]) for error in payload["errors"]] == [(refusal, ["input", argument])]
        assert payload["uploadUrl"] is None


async def test_creating_an_upload_requires_a_login(app: RunningApp, ann: UserClient) -> None:
    ann.token = None
    request = {"filename": "a", "contentType": "text/plain", "byteSize": 5}
    assert await ann.error_codes(CREATE, input=request) == ["UNAUTHENTICATED"]


async def test_an_upload_of_another_size_is_refused_and_leaves_no_file(ann: UserClient) -> None:
    for content, refusal in (
        (b"1234", (400, "VALIDATION_FAILED")),
        (b"", (400, "VALIDATION_FAILED")),
        (b"123456", (413, "FILE_TOO_LARGE")),
        (streamed(b"12", b"34"), (400, "VALIDATION_FAILED")),
        (streamed(b"123", b"456"), (413, "FILE_TOO_LARGE")),
    ):
        upload_ticket = await ticket(ann, 5)
        assert code(await put(ann, upload_ticket, content)) == refusal
        sent = await ann.mutate(SEND, roomId="room_x", body="", attachmentIds=[upload_ticket["uploadId"]])
        assert codes(sent) == ["NOT_FOUND"]
    assert stored(ann.app) == []
    assert (await put(ann, upload_ticket, streamed(b"12", b"345"))).status_code == 200


async def test_an_interrupted_upload_leaves_no_file_and_can_be_retried(ann: UserClient) -> None:
    upload_ticket = await ticket(ann, 100_000)
    target = upload_ticket["uploadUrl"].removeprefix(ann.app.url)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(ann.app.url.rpartition(":")[2]))
    writer.write(f"PUT {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n".encode() + b"x" * 50_000)
    await writer.drain()
    async with asyncio.timeout(10):
        while not stored(ann.app):  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.01)
    writer.close()
    async with asyncio.timeout(10):
        while stored(ann.app):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await put(ann, upload_ticket, b"x" * 100_000)).status_code == 200


async def test_an_upload_can_be_repeated_only_with_the_same_content(ann: UserClient) -> None:
    upload_ticket = await ticket(ann, 5)
    first, again, other = [await put(ann, upload_ticket, content) for content in (b"bytes", b"bytes", b"other")]
    assert first.json() == again.json()
    assert code(other) == (409, "CONFLICT")
    assert len(stored(ann.app)) == 1
    room_id = await ann.create_room("den")
    sent = await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[upload_ticket["uploadId"]])
    assert (await put(ann, upload_ticket, b"bytes")).json() == first.json()
    assert (await fetch(sent["message"]["attachments"][0]["url"])).content == b"bytes"


async def test_concurrent_uploads_to_one_ticket_do_not_mix(ann: UserClient) -> None:
    upload_ticket, contents = await ticket(ann, 300_000), [bytes([number]) * 300_000 for number in (65, 66)]
    answers = await asyncio.gather(*(put(ann, upload_ticket, content) for content in contents))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    [path] = stored(ann.app)
    assert path.read_bytes() in contents


async def test_a_changed_or_expired_upload_link_is_refused(ann: UserClient) -> None:
    upload_ticket, other = await ticket(ann, 5), await ticket(ann, 5)
    url = upload_ticket["uploadUrl"]
    id_ = upload_ticket["uploadId"].removeprefix("file_")
    for wrong in (
        url.replace("until=", "until=9"),
        url[:-1] + ("A" if url[-1] != "A" else "B"),
        url.partition("?")[0],
        url.replace(id_, other["uploadId"].removeprefix("file_")),
        url.replace("until=", "until=²"),
        ann.app.url + LINKS.path("uploads", UUID(id_), now() - timedelta(seconds=1)),
    ):
        assert code(await put(ann, {**upload_ticket, "uploadUrl": wrong}, b"bytes")) == (403, "FORBIDDEN"), wrong
    for wrong in (url.replace(id_, "nonsense"), url.replace(id_, "..%2f..%2fsecret.key")):
        assert code(await put(ann, {**upload_ticket, "uploadUrl": wrong}, b"bytes")) == (404, "NOT_FOUND")
    assert code(await fetch(url, "POST")) == (405, "BAD_USER_INPUT")
    assert stored(ann.app) == []


async def test_partial_and_compressed_uploads_are_refused(ann: UserClient) -> None:
    upload_ticket = await ticket(ann, 5)
    assert code(await put(ann, upload_ticket, b"bytes", **{"content-range": "bytes 0-4/10"})) == (
        400,
        "VALIDATION_FAILED",
    )
    compressed = await put(ann, upload_ticket, zlib.compress(b""), **{"content-encoding": "deflate"})
    assert code(compressed) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_large_upload_without_a_ticket_is_not_found(ann: UserClient) -> None:
    url = f"{ann.app.url}/uploads/nonsense"
    assert code(await put(ann, {"uploadUrl": url, "headers": []}, b"x" * 5_000_000)) == (404, "NOT_FOUND")
    assert await upload(ann, b"fine")


async def test_the_number_of_unused_files_of_a_user_is_limited(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    for _ in range(49):
        await ticket(ann, 5)
    file = await upload(ann, b"bytes")
    refused = await ann.mutate(CREATE, filename="a", contentType="", byteSize=5)
    assert [(error["code"], error["retryable"]) for error in refused["errors"]] == [("RATE_LIMITED", True)]
    await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[file])
    assert (await ticket(ann, 5, kind=""))["headers"] == [{"name": "Content-Type", "value": "application/octet-stream"}]


async def test_the_upload_limit_is_a_setting_and_in_server_info(make_app: MakeApp) -> None:
    app = await make_app(max_upload_bytes=10)
    async with await sign_up(app, "ann") as ann:
        limits = await ann.execute("{ serverInfo { limits { maxUploadBytes } } }")
        assert limits["serverInfo"]["limits"] == {"maxUploadBytes": 10}
        assert codes(await ann.mutate(CREATE, filename="a", contentType="", byteSize=11)) == ["FILE_TOO_LARGE"]


@pytest.mark.parametrize("size", [2**31, 2**53 - 1])
async def test_sizes_beyond_32_bits_are_refused_by_the_limit(ann: UserClient, size: int) -> None:
    refused = await ann.mutate(CREATE, filename="a", contentType="", byteSize=size)
    assert [(error["code"], error["path"]) for error in refused["errors"]] == [
        ("FILE_TOO_LARGE", ["input", "byteSize"])
    ]


@pytest.mark.parametrize("size", [2**53, -(2**53), 1.5, "5", True])
async def test_sizes_that_are_no_long_are_bad_input(ann: UserClient, size: object) -> None:
    upload_input = {"filename": "a", "contentType": "", "byteSize": size}
    assert await ann.error_codes(CREATE, input=upload_input) == ["BAD_USER_INPUT"]


async def test_upload_links_begin_with_the_public_url(make_app: MakeApp) -> None:
    app = await make_app(public_url="https://chat.example.org")
    async with await sign_up(app, "ann") as ann:
        upload_ticket = await ticket(ann, 5)
        assert upload_ticket["uploadUrl"].startswith("https://chat.example.org/uploads/")
        local = upload_ticket["uploadUrl"].replace("https://chat.example.org", app.url)
        assert (await put(ann, {**upload_ticket, "uploadUrl": local}, b"bytes")).status_code == 200


async def test_allowed_origins_may_upload_and_embed_files(make_app: MakeApp) -> None:
    origin = "https://chat.example.org"
    app = await make_app(allowed_origins=(origin,))
    async with await sign_up(app, "ann") as ann:
        room_id = await ann.create_room("den")
        upload_ticket = await ticket(ann, 5)
        request = {
            "origin": origin,
            "access-control-request-method": "PUT",
            "access-control-request-headers": "content-type",
        }
        assert (await fetch(upload_ticket["uploadUrl"], "OPTIONS", **request)).is_success
        answer = await put(ann, upload_ticket, b"bytes", origin=origin)
        assert answer.headers["access-control-allow-origin"] == origin
        file = await post(ann, room_id, picture(5, 5), "a.png", "image/png")
        assert (await fetch(file["url"])).headers["cross-origin-resource-policy"] == "cross-origin"


async def test_a_user_uploads_up_to_eight_files_at_once(ann: UserClient, bob: UserClient) -> None:
    upload_ticket, resume = await ticket(ann, 4), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"ab"
        await resume.wait()
        yield b"cd"

    async with asyncio.TaskGroup() as tasks:
        uploads = [tasks.create_task(put(ann, upload_ticket, slow())) for _ in range(8)]
        async with asyncio.timeout(10):
            while len(stored(ann.app)) < 8:  # noqa: ASYNC110 (there is no event for it)
                await asyncio.sleep(0.01)
        refused = await put(ann, upload_ticket, b"abcd")
        assert code(refused) == (429, "RATE_LIMITED")
        assert refused.headers["retry-after"] == "1"
        assert await upload(bob, b"others can")
        resume.set()
    assert {task.result().status_code for task in uploads} == {200}
