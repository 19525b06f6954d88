"""Serving files: ranges, safe filenames and content types, and signed links."""

import io
import sys
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from roomcast.api.http.ranges import disposition
from roomcast.core.clock import now
from roomcast.core.ids import local_id
from roomcast.core.text_folding import is_printable
from roomcast.uploads.links import FILE_LINK_WINDOW, Links
from roomcast.uploads.policy import clean_filename
from tests.api_clients import UserClient
from tests.running_app import SECRET
from tests.uploads.documents import PROFILE, code, fetch, picture, post, put, ticket, upload

CONTENT = bytes(range(256)) * 4
LINKS = Links([SECRET.encode()])


def raw(file_id: str) -> UUID:
    found = local_id("file", file_id)
    assert found is not None
    return found


async def test_a_range_request_gets_the_requested_bytes(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    url = (await post(ann, room_id, CONTENT))["url"]
    for requested, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 1024),
        ("bytes=1000-5000", 1000, 1024),
        ("bytes=-24", 1000, 1024),
        ("bytes=-5000", 0, 1024),
        ("bytes = 5-9", 5, 10),
    ):
        answer = await fetch(url, range=requested)
        assert (answer.status_code, answer.content) == (206, CONTENT[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/1024"
        assert answer.headers["content-length"] == str(end - start)


async def test_an_unsatisfiable_range_gets_a_416_and_an_invalid_one_the_whole_file(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    url = (await post(ann, room_id, CONTENT))["url"]
    for requested in ("bytes=1024-", "bytes=5000-6000", "bytes=-0"):
        answer = await fetch(url, range=requested)
        assert code(answer) == (416, "BAD_USER_INPUT"), requested
        assert answer.headers["content-range"] == "bytes */1024"
    for requested in ("bytes=0-1,5-6", "bytes=9-5", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=" + "9" * 30 + "-"):
        answer = await fetch(url, range=requested)
        assert (answer.status_code, answer.content) == (200, CONTENT), requested


async def test_conditional_requests_compare_the_etag(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    url = (await post(ann, room_id, CONTENT))["url"]
    first = await fetch(url)
    etag = first.headers["etag"]
    assert first.headers["accept-ranges"] == "bytes"
    for known in (etag, f'"other", {etag}', "*"):
        answer = await fetch(url, **{"if-none-match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert (await fetch(url, range="bytes=0-3", **{"if-range": etag})).status_code == 206
    assert (await fetch(url, range="bytes=0-3", **{"if-range": '"other"'})).content == CONTENT
    head = await fetch(url, "HEAD", range="bytes=0-3")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "1024")


async def test_files_are_private_and_sandboxed_and_only_pictures_are_inline(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    page = await fetch((await post(ann, room_id, b"<script>alert(1)</script>", "page.html", "text/html"))["url"])
    cat = await fetch((await post(ann, room_id, picture(9, 9), "cat.png", "image/png"))["url"])
    for answer in (page, cat):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["cache-control"].startswith("private, max-age=")
    assert page.headers["content-type"] == "application/octet-stream"
    assert page.headers["content-disposition"].startswith("attachment;")
    assert cat.headers["content-type"] == "image/png"
    assert cat.headers["content-disposition"].startswith("inline;")


async def test_a_link_is_valid_for_one_file_one_purpose_and_some_minutes(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    one, two = await post(ann, room_id, picture(9, 9), "a.png", "image/png"), await post(ann, room_id, b"two")
    url, id_ = one["url"], raw(one["id"])
    for wrong in (
        url.replace(str(id_), str(raw(two["id"]))),
        url.replace("/files/", "/thumbnails/"),
        url.replace("signature=", "signature=x"),
        url.partition("?")[0],
        ann.app.url + LINKS.path("files", id_, now() - timedelta(seconds=1)),
        ann.app.url + Links([b"another server's secret, as long as ours"]).read_path("files", id_, now()),
        url.replace("reader=", "other="),
    ):
        assert code(await fetch(wrong)) == (403, "FORBIDDEN"), wrong
    seconds = int(url.partition("until=")[2].partition("&")[0]) - now().timestamp()
    assert FILE_LINK_WINDOW < timedelta(seconds=seconds + 5) <= 2 * FILE_LINK_WINDOW + timedelta(seconds=5)
    assert int((await fetch(url)).headers["cache-control"].split("=")[1].split(",")[0]) <= seconds + 1


def test_links_signed_with_an_old_secret_are_valid() -> None:
    id_, moment = UUID(int=7), now()
    for keys in ([SECRET.encode()], [b"a new one, in front of the other", SECRET.encode()]):
        query = LINKS.read_path("files", id_, moment).partition("?")[2]
        until, signature = [part.partition("=")[2] for part in query.split("&")]
        assert Links(keys).check("files", id_, until, signature, moment) > FILE_LINK_WINDOW


async def test_an_unattached_file_cannot_be_read(ann: UserClient) -> None:
    file_id = raw(await upload(ann, b"waiting"))
    for id_ in (file_id, UUID(int=7)):
        for reader in (UUID(ann.id[5:]), UUID(int=8), None):
            address = ann.app.url + LINKS.read_path("files", id_, now(), reader=reader)
            assert code(await fetch(address)) == (404, "NOT_FOUND")


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("minutes.txt", "minutes.txt"),
        ("Überblick 2026.pdf", "Überblick 2026.pdf"),
        ("会議の記録.txt", "会議の記録.txt"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\win.ini", "win.ini"),
        ("/", "file"),
        ("..", "file"),
        ("", "file"),
        (" .bashrc ", "bashrc"),
        ("a\x00b\r\nSet-Cookie: x\x7f.txt", "ab Set-Cookie_ x.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("zero\u200bwidth\ufeff.txt", "zerowidth.txt"),
        ('"><img src=x onerror=alert(1)>.png', "___img src=x onerror=alert(1)_.png"),
        ("stream.txt:hidden", "stream.txt_hidden"),
        ("half \ud83d.txt", "half.txt"),
        ("x" * 5000 + ".tar.gz", "x" * 197 + ".gz"),
        ("語" * 100 + ".txt", "語" * 65 + ".txt"),
        ("e\u0301.txt", "\u00e9.txt"),
    ],
)
def test_a_filename_is_cleaned(name: str, expected: str) -> None:
    assert clean_filename(name) == expected
    assert clean_filename(expected) == expected


@given(st.text(max_size=300) | st.text("./\\\"'<>\r\n\0\u202e\u200b%;= a", max_size=300))
def test_any_filename_is_cleaned_to_a_safe_name_and_header(name: str) -> None:
    cleaned = clean_filename(name)
    assert clean_filename(cleaned) == cleaned
    assert 1 <= len(cleaned.encode()) <= 255
    assert is_printable(cleaned)
    assert not set(cleaned) & set('/\\<>:"|?*')
    header = disposition(cleaned, inline=True)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a b.txt", "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt"),
        ('q"\\;.txt', "attachment; filename=\"q___.txt\"; filename*=UTF-8''q%22%5C%3B.txt"),
        ("naïve.txt", "attachment; filename=\"naive.txt\"; filename*=UTF-8''na%C3%AFve.txt"),
        ("会議", "attachment; filename=\"file\"; filename*=UTF-8''%E4%BC%9A%E8%AD%B0"),
        ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ("\r\nX: y", "attachment; filename=\"__X_ y\"; filename*=UTF-8''%0D%0AX%3A%20y"),
    ],
)
def test_content_disposition_encodes_the_filename(name: str, header: str) -> None:
    assert disposition(name, inline=False) == header


async def test_a_hostile_filename_is_harmless_in_results_and_headers(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    hostile = '../"><svg onload=alert(1)>\r\nX-Evil: 1\u202e.png'
    file = await post(ann, room_id, picture(9, 9), hostile, "image/png")
    assert file["filename"] == "___svg onload=alert(1)_ X-Evil_ 1.png"
    answer = await fetch(file["url"])
    assert "x-evil" not in answer.headers
    header = answer.headers["content-disposition"]
    assert not set("<>\r\n") & set(header)
    assert header.count('"') == 2


# ------------------------------------------------------------------ content types

PNG, GIF = picture(20, 20), b"GIF89a"
SCRIPT = b"<html><script>alert(document.domain)</script>"


INVALID_PICTURES: list[tuple[bytes, str]] = [
    (SCRIPT, "image/png"),
    (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "image/png"),
    (b"MZ\x90\x00" + bytes(100), "image/jpeg"),
    (GIF + SCRIPT, "image/gif"),  # a valid signature, followed by something else
    (PNG[: len(PNG) // 2], "image/png"),  # truncated
    (picture(300, 300, "jpeg")[:-500], "image/jpeg"),
    (GIF + SCRIPT, "text/html"),
]


async def test_a_declared_picture_with_other_or_truncated_content_is_refused(ann: UserClient) -> None:
    for content, declared in INVALID_PICTURES:
        answer = await put(ann, await ticket(ann, len(content), "a", declared), content)
        assert code(answer) == (415, "UNSUPPORTED_MEDIA_TYPE"), content[:20]


OPEN_DOCUMENT = "application/vnd.oasis.opendocument.text"
DOWNLOADS: list[tuple[bytes, str, str]] = [
    (SCRIPT, "text/html", "text/html"),
    (b"<svg onload='alert(1)'/>", "image/svg+xml", "image/svg+xml"),
    (b"%PDF-1.7\n" + SCRIPT, "application/pdf", "application/pdf"),
    (b"%PDF-1.7\n", "text/html", "application/pdf"),
    (b"MZ" + bytes(100), "text/plain", "application/vnd.microsoft.portable-executable"),
    (SCRIPT, "video/mp4", "application/octet-stream"),
    (SCRIPT, "audio/mpeg", "application/octet-stream"),
    (b"PK\x03\x04" + bytes(50), OPEN_DOCUMENT, OPEN_DOCUMENT),
    (b"PK\x03\x04" + bytes(50), "application/zip", "application/zip"),
    (b"alert(1)", "text/javascript; charset=utf-8", "text/javascript"),
]


async def test_active_content_is_only_downloaded(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    for content, declared, expected in DOWNLOADS:
        file = await post(ann, room_id, content, "a.html", declared)
        assert file["contentType"] == expected
        answer = await fetch(file["url"])
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.content == content


async def test_a_picture_with_appended_html_is_served_as_a_picture(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    file = await post(ann, room_id, PNG + SCRIPT, "polyglot.html", "text/html")
    answer = await fetch(file["url"])
    assert (file["contentType"], answer.headers["content-type"]) == ("image/png", "image/png")
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert SCRIPT not in (await fetch(file["thumbnailUrl"])).content


# ------------------------------------------------------------------ pictures


async def test_a_picture_has_a_size_and_a_thumbnail_without_metadata(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x013B] = 6, "taken at home", "Ann"  # rotated by 90 degrees
    exif.get_ifd(0x8825)[1] = "N"
    content = picture(900, 600, "jpeg", exif=exif, comment=b"taken at home")
    file = await post(ann, room_id, content, "photo.jpg", "image/jpeg")
    assert (file["width"], file["height"], file["contentType"]) == (600, 900, "image/jpeg")
    answer = await fetch(file["thumbnailUrl"])
    assert answer.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(answer.content)) as small:
        assert small.size == (320, 480)
        assert dict(small.getexif()) == {}
    assert b"taken at home" not in answer.content
    original = (await fetch(file["url"])).content
    assert b"taken at home" not in original
    with Image.open(io.BytesIO(original)) as stripped:
        assert (stripped.size, dict(stripped.getexif())) == ((900, 600), {0x0112: 6})


async def test_picture_types_are_detected_by_content(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    for kind in ("png", "jpeg", "gif", "webp"):
        file = await post(ann, room_id, picture(30, 20, kind), f"a.{kind}", "application/octet-stream")
        assert (file["contentType"], file["width"], file["height"]) == (f"image/{kind}", 30, 20)
        with Image.open(io.BytesIO((await fetch(file["thumbnailUrl"])).content)) as small:
            assert small.size == (30, 20)


async def test_a_decompression_bomb_is_refused(ann: UserClient) -> None:
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "png")
    content = bomb.getvalue()
    assert code(await put(ann, await ticket(ann, len(content), "a", "image/png"), content)) == (413, "FILE_TOO_LARGE")


async def test_without_pillow_pictures_are_stored_and_served_unchanged(
    ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, avatar_content = picture(9, 9), picture(8, 8)
    monkeypatch.setitem(sys.modules, "PIL", None)  # as if Pillow were not installed
    room_id = await ann.create_room("den")
    file = await post(ann, room_id, content, "a.png", "image/png")
    assert (file["contentType"], file["width"], file["thumbnailUrl"]) == ("image/png", None, None)
    avatar_id = await upload(ann, avatar_content, "me.png", "image/png")
    avatar = (await ann.mutate(PROFILE, avatarUploadId=avatar_id))["user"]["avatarUrl"]
    assert (await fetch(avatar)).content == avatar_content
