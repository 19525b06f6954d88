"""Pages of other web origins: which ones may use the API, what they may send, and how the others learn the setting."""

import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from roomcast.server.origins import REQUEST_HEADERS
from tests.api_clients import ROOM_MESSAGES, AnonymousClient, SocketClient, UserClient
from tests.conftest import MakeApp
from tests.edge.raw_connections import HANDSHAKE, raw_connection
from tests.running_app import RunningApp

REQUEST = {"query": "{ __typename }"}
ALLOWED = "https://front.example.org"
OTHER = "https://other.example.org"
LOCAL = [
    "http://localhost",
    "http://localhost:5173",
    "https://app.localhost:3000",
    "http://127.0.0.1:8080",
    "http://[::1]:80",
]
NOT_LOCAL = [
    "http://localhost.evil.org",
    "http://evillocalhost",
    "http://localhost:80.evil.org",
    "http://localhost@evil.org",
    "http://127.0.0.1.evil.org",
    "http://localhost:999999",
    "http://localhost/",
    "file://localhost",
    "null",
]
SETTING = "Add it to ROOMCAST_ALLOWED_ORIGINS."


async def preflight(app: RunningApp, origin: str, headers: str = "authorization, content-type", **more: str) -> Any:
    """The answer to a browser that asks whether a page may send a request."""
    asked = {"access-control-request-method": "POST", "access-control-request-headers": headers, **more}
    async with AnonymousClient(app) as anonymous:
        return await anonymous.http.options("/graphql", headers={"origin": origin, **asked})


def error(answer: httpx.Response) -> tuple[int, str, str]:
    [found] = answer.json()["errors"]
    return answer.status_code, found["extensions"]["code"], found["message"]


@pytest.mark.parametrize("origin", [OTHER, "null", f"{ALLOWED}.evil.org", ALLOWED.upper(), "http://localhost:5173"])
async def test_in_production_only_the_listed_origins_may_send_requests(make_app: MakeApp, origin: str) -> None:
    app = await make_app(allowed_origins=(ALLOWED,), profile="production")
    allowed, refused = await preflight(app, ALLOWED), await preflight(app, origin)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, ALLOWED)
    assert "access-control-allow-credentials" not in allowed.headers
    assert error(refused) == (403, "FORBIDDEN", f"The web origin {origin} is not allowed. {SETTING}")
    assert "access-control-allow-origin" not in refused.headers
    assert "Origin" in refused.headers["vary"]
    async with AnonymousClient(app) as anonymous:
        answer = await anonymous.post(REQUEST, origin=ALLOWED)
        assert answer.headers["access-control-allow-origin"] == ALLOWED
        assert "x-request-id" in answer.headers["access-control-expose-headers"]
        answer = await anonymous.post(REQUEST, origin=origin)
        assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("origin", LOCAL)
async def test_in_development_every_localhost_origin_is_allowed(app: RunningApp, origin: str) -> None:
    assert (await preflight(app, origin)).headers["access-control-allow-origin"] == origin
    async with SocketClient(app.ws_url, origin=origin) as connection:
        assert "heartbeatMs" in await connection.init()


@pytest.mark.parametrize("origin", NOT_LOCAL)
async def test_in_development_no_other_origin_is_allowed(app: RunningApp, origin: str) -> None:
    assert error(await preflight(app, origin))[0] == 403
    with pytest.raises(Exception, match="HTTP 403"):
        await SocketClient(app.ws_url, origin=origin).__aenter__()


async def test_allowed_origins_may_open_websockets(make_app: MakeApp) -> None:
    app = await make_app(allowed_origins=(ALLOWED,), profile="production")
    for origin in (None, ALLOWED, app.url):
        async with SocketClient(app.ws_url, origin=origin) as connection:
            assert "heartbeatMs" in await connection.init()
    for origin in (OTHER, "null", ALLOWED + ".evil.org", "http://localhost"):
        with pytest.raises(Exception, match="HTTP 403"):
            await SocketClient(app.ws_url, origin=origin).__aenter__()


async def test_a_refused_websocket_gets_the_name_of_the_setting(
    app: RunningApp, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "roomcast"):
        for _ in range(2):
            async with raw_connection(app.url) as it:
                await it.send(HANDSHAKE + b"Origin: https://other.example.org\r\n\r\n")
                answer = await it.read_rest()
            assert answer.startswith(b"HTTP/1.1 403 ")
            assert SETTING.encode() in answer
    assert [SETTING in record.message for record in caplog.records] == [True], "the operator is told once"


async def test_a_refused_stream_over_http_gets_the_name_of_the_setting(ann: UserClient) -> None:
    answer = await ann.post({"query": ROOM_MESSAGES}, accept="text/event-stream", origin=OTHER)
    assert SETTING in answer.text


# ------------------------------------------------------------------ request headers

TRACING = "traceparent, tracestate, baggage, sentry-trace, x-request-id"
APOLLO = "apollographql-client-name, apollographql-client-version, apollo-require-preflight, x-apollo-operation-name"


@pytest.mark.parametrize("headers", [TRACING, APOLLO, "Authorization,Content-Type,Range", "accept-language", ""])
async def test_headers_of_clients_and_of_tracing_pass(make_app: MakeApp, headers: str) -> None:
    app = await make_app(allowed_origins=(ALLOWED,), profile="production")
    answer = await preflight(app, ALLOWED, headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-headers"] == headers


@pytest.mark.parametrize("header", ["x-tenant", "cookie", "x-acme", "proxy-authorization", "xapollo-name"])
async def test_other_headers_need_a_setting(make_app: MakeApp, header: str) -> None:
    app = await make_app(allowed_origins=(ALLOWED,))
    refused = await preflight(app, ALLOWED, f"content-type, {header}")
    message = f"The request header {header} is not allowed. Add it to ROOMCAST_ALLOWED_HEADERS."
    assert error(refused) == (403, "FORBIDDEN", message)


async def test_more_headers_may_be_allowed(make_app: MakeApp) -> None:
    app = await make_app(allowed_origins=(ALLOWED,), allowed_headers=("X-Tenant", "X-Acme-*"))
    assert (await preflight(app, ALLOWED, "x-tenant, X-ACME-Trace, authorization")).status_code == 200
    assert (await preflight(app, ALLOWED, "x-tenant-id")).status_code == 403


async def test_other_methods_are_refused(app: RunningApp) -> None:
    refused = await preflight(app, "http://localhost", **{"access-control-request-method": "DELETE"})
    assert error(refused) == (403, "FORBIDDEN", "Pages of other origins may use the methods GET, POST, PUT.")


def test_the_documentation_names_every_header_that_passes() -> None:
    text = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
    assert [name for name in REQUEST_HEADERS if f"`{name}`" not in text] == []


# ------------------------------------------------------------------ the schema as a file


async def test_the_schema_is_served_as_text_and_revalidated(anonymous: AnonymousClient) -> None:
    first = await anonymous.http.get("/schema.graphql", headers={"origin": "http://localhost:5173"})
    assert first.headers["content-type"] == "text/plain; charset=utf-8"
    assert first.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "type Query {" in first.text
    tag = first.headers["etag"]
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = await anonymous.http.get("/schema.graphql", headers={"if-none-match": known})
        assert (again.status_code, again.headers["etag"], again.content) == (304, tag, b"")
    changed = await anonymous.http.get("/schema.graphql", headers={"if-none-match": '"other"'})
    assert changed.status_code == 200
