"""The pages without a browser: which files are served, and with which headers."""

import hashlib
import json
import mimetypes
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from roomcast.web.files import Files
from roomcast.web.pages import DATA_POLICY, PAGE_POLICY, SECURITY_HEADERS, STATIC, SecurityHeaders, playground, routes

VENDOR = STATIC / "graphiql" / "vendor"
ASSETS = sorted(path for path in STATIC.rglob("*") if path.is_file())


async def graphiql(request: Request) -> Response:
    return await playground(request)


async def data(_: Request) -> Response:
    return JSONResponse({})


async def upload(_: Request) -> Response:
    return HTMLResponse("<p>", headers={"Content-Security-Policy": "sandbox"})


@pytest_asyncio.fixture
async def web() -> AsyncIterator[httpx.AsyncClient]:
    all_routes = [Route("/graphql", graphiql), Route("/data", data), Route("/upload", upload), *routes()]
    app = SecurityHeaders(Starlette(routes=all_routes))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://roomcast") as client:
        yield client


def test_the_vendored_files_match_their_manifest() -> None:
    manifest = json.loads((VENDOR / "manifest.json").read_bytes())
    vendored = {path.name: path.read_bytes() for path in VENDOR.iterdir() if path.name != "manifest.json"}
    assert {name: hashlib.sha256(content).hexdigest() for name, content in vendored.items()} == {
        entry["file"]: entry["sha256"] for entry in manifest
    }
    assert all(entry["package"] and entry["version"] and entry["path"] and entry["licence"] for entry in manifest)


@pytest.mark.parametrize("path", ["/", "/graphql"])
async def test_the_policy_of_a_page_allows_no_other_origins(web: httpx.AsyncClient, path: str) -> None:
    page = await web.get(path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY
    assert "//" not in PAGE_POLICY


@pytest.mark.parametrize("path", ["/", "/data", "/static/app/app.js", "/missing"])
async def test_every_response_carries_the_security_headers(web: httpx.AsyncClient, path: str) -> None:
    response = await web.get(path)
    assert SECURITY_HEADERS.items() <= {name.title(): value for name, value in response.headers.items()}.items()


@pytest.mark.parametrize("path", ["/data", "/static/app/app.js", "/missing"])
async def test_the_policy_of_other_responses_allows_nothing(web: httpx.AsyncClient, path: str) -> None:
    assert (await web.get(path)).headers["content-security-policy"] == DATA_POLICY


async def test_a_response_keeps_the_policy_it_has_set(web: httpx.AsyncClient) -> None:
    assert (await web.get("/upload")).headers.get_list("content-security-policy") == ["sandbox"]


@pytest.mark.parametrize("path", ["/", "/static/graphiql/boot.js"])
async def test_a_revalidated_page_gets_a_304_without_a_new_policy(web: httpx.AsyncClient, path: str) -> None:
    first = await web.get(path)
    again = await web.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["cache-control"] == again.headers["cache-control"] == "no-cache"
    assert "content-security-policy" not in again.headers


@pytest.mark.parametrize("path", ["/", "/graphql", *(f"/static/{path.relative_to(STATIC)}" for path in ASSETS)])
async def test_every_file_is_sent_in_gzip_form(web: httpx.AsyncClient, path: str) -> None:
    plain = await web.get(path, headers={"Accept-Encoding": "identity"})
    small = await web.get(path, headers={"Accept-Encoding": "br, gzip;q=0.8, *;q=0.1"})
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert small.content == plain.content  # httpx has decompressed it
    for response in (plain, small):
        assert "Accept-Encoding" in response.headers["vary"]
    for name in ("content-type", "etag", "last-modified", "cache-control", "vary"):
        assert small.headers[name] == plain.headers[name]
    assert small.headers["etag"].startswith('W/"')


async def test_the_largest_file_shrinks_to_a_third(web: httpx.AsyncClient) -> None:
    path = "/static/graphiql/vendor/graphiql.min.js"
    async with web.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as response:
        sent = b"".join([chunk async for chunk in response.aiter_raw()])
    assert len(sent) == int(response.headers["content-length"])
    assert 3 * len(sent) < (STATIC / path.removeprefix("/static/")).stat().st_size


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "gzip; q=0.000", "x-gzip"])
async def test_a_client_that_does_not_accept_gzip_gets_none(web: httpx.AsyncClient, accepted: str) -> None:
    response = await web.get("/static/app/app.js", headers={"Accept-Encoding": accepted})
    assert "content-encoding" not in response.headers
    assert response.content == (STATIC / "app" / "app.js").read_bytes()


async def test_a_range_counts_bytes_of_the_file_itself(web: httpx.AsyncClient) -> None:
    headers = {"Accept-Encoding": "gzip", "Range": "bytes=0-9"}
    part = await web.get("/static/app/app.js", headers=headers)
    assert part.status_code == 206
    assert part.content == (STATIC / "app" / "app.js").read_bytes()[:10]


@pytest.mark.parametrize("path", ["/", "/graphql", "/static/graphiql/boot.js"])
async def test_one_etag_revalidates_both_forms(web: httpx.AsyncClient, path: str) -> None:
    etag = (await web.get(path, headers={"Accept-Encoding": "gzip"})).headers["etag"]
    for encoding in ("gzip", "identity"):
        again = await web.get(path, headers={"Accept-Encoding": encoding, "If-None-Match": etag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert "Accept-Encoding" in again.headers["vary"]
    assert (await web.get(path, headers={"If-None-Match": 'W/"another"'})).status_code == 200


async def test_a_changed_file_is_compressed_again(tmp_path: Path) -> None:
    script = tmp_path / "a.js"
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Files(directory=tmp_path)), base_url="http://x"
    ) as client:
        for text in ("first", "the second"):
            script.write_text(text)
            response = await client.get("/a.js")
            assert (response.text, response.headers["content-encoding"]) == (text, "gzip")


async def test_graphiql_is_another_answer_than_the_api(web: httpx.AsyncClient) -> None:
    assert (await web.get("/graphql")).headers["vary"] == "Accept-Encoding, Accept"


async def test_content_types_do_not_depend_on_the_machine(
    web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    mimetypes.init()
    monkeypatch.setitem(mimetypes.types_map, ".js", "text/plain")
    assert mimetypes.guess_type("boot.js")[0] == "text/plain"
    script = await web.get("/static/graphiql/boot.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../pages.py",
        "/static/%2e%2e/pages.py",
        "/static/..%2fpages.py",
        "/static/..%5cpages.py",
        "/static//etc/passwd",
        "/static/%00",
        "/static/" + "a" * 5000,
        "/static/graphiql/",
    ],
)
async def test_only_the_files_of_the_package_are_served(web: httpx.AsyncClient, path: str) -> None:
    assert (await web.get(path)).status_code == 404


async def test_a_streamed_response_is_not_buffered() -> None:
    sent: list[Message] = []

    async def streaming(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        for number in range(3):
            await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
            assert sent[-1]["body"] == b"%d" % number

    async def collect(message: Message) -> None:
        sent.append(message)

    await SecurityHeaders(streaming)({"type": "http"}, no_input, collect)
    assert dict(sent[0]["headers"])[b"x-content-type-options"] == b"nosniff"


async def test_websockets_are_passed_through() -> None:
    seen: list[object] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend((receive, send))

    async def output(_: Message) -> None: ...

    await SecurityHeaders(app)({"type": "websocket"}, no_input, output)
    assert seen == [no_input, output]


async def no_input() -> Message:
    raise AssertionError("nothing is to be read here")
