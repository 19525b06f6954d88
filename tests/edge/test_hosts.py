"""The Host header check against DNS rebinding."""

import pytest

from tests.api_clients import PASSWORD, SIGNUP, AnonymousClient, UserClient
from tests.conftest import MakeApp
from tests.edge.raw_connections import HANDSHAKE, raw_connection
from tests.running_app import RunningApp

FOREIGN_HOST = "evil.example"


async def status(app: RunningApp, host: str, path: str = "/schema.graphql") -> int:
    async with AnonymousClient(app) as anonymous:
        return (await anonymous.http.get(path, headers={"host": host})).status_code


async def test_dns_rebinding_cannot_create_the_administrator(app: RunningApp) -> None:
    """DNS rebinding: to the browser, page and server have one origin."""
    async with AnonymousClient(app) as page:
        signup = {"query": SIGNUP, "variables": {"input": {"username": "mallory", "password": PASSWORD}}}
        refused = await page.post(signup, host=f"{FOREIGN_HOST}:8000", origin=f"http://{FOREIGN_HOST}:8000")
        assert refused.status_code == 421
        [error] = refused.json()["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert "ROOMCAST_ALLOWED_HOSTS" in error["message"]
        assert refused.headers["x-content-type-options"] == "nosniff"
        assert (await page.mutate(SIGNUP, username="ann", password=PASSWORD))["user"]["role"] == "ADMIN"


async def test_a_websocket_under_another_host_name_is_rejected(app: RunningApp, ann: UserClient) -> None:
    handshake = HANDSHAKE.replace(b"Host: localhost", b"Host: evil.example") + b"Origin: http://evil.example\r\n\r\n"
    async with raw_connection(app.url) as it:
        await it.send(handshake)
        assert (await it.read_head()).startswith(b"HTTP/1.1 421 ")
    assert app.open_resources()["sockets"] == 0


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9000", "localhost.", "127.0.0.1", "10.1.2.3:80", "[::1]:8000", "[2001:db8::1]"]
)
async def test_ip_addresses_and_localhost_are_allowed(app: RunningApp, host: str) -> None:
    assert await status(app, host) == 200


@pytest.mark.parametrize(
    "host",
    [
        FOREIGN_HOST,
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "chat.example.org",
        "[::1",
        "a@localhost.x",
        "x",
    ],
)
async def test_other_host_names_are_rejected(app: RunningApp, host: str) -> None:
    assert await status(app, host) == 421


async def test_the_settings_allow_more_host_names(make_app: MakeApp) -> None:
    app = await make_app(public_url="https://chat.example.org:8443", allowed_hosts=("roomcast", "chat_app"))
    hosts = ("chat.example.org", "Chat.Example.Org:8443", "roomcast:8000", "chat_app", "localhost", "10.0.0.1")
    assert [await status(app, host) for host in hosts] == [200] * len(hosts)
    assert await status(app, FOREIGN_HOST) == 421
    async with raw_connection(app.url) as it:
        await it.send(HANDSHAKE.replace(b"Host: localhost", b"Host: roomcast") + b"\r\n")
        assert b" 101 " in await it.read_head()


async def test_an_internationalised_public_url_allows_its_ascii_form(make_app: MakeApp) -> None:
    app = await make_app(public_url="https://münchen.example")
    assert await status(app, "xn--mnchen-3ya.example") == 200


async def test_health_probes_accept_any_host_name(app: RunningApp) -> None:
    assert await status(app, "pod-7.cluster.internal", "/health/ready") == 200
    assert await status(app, "pod-7.cluster.internal", "/health/../graphql") == 421


async def test_one_wrong_host_header_among_several_is_rejected(app: RunningApp) -> None:
    async with raw_connection(app.url) as it:
        await it.send(b"GET /schema.graphql HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert b" 200 " not in await it.read_head()


async def test_hsts_is_sent_where_the_public_url_is_https(make_app: MakeApp) -> None:
    async with (
        AnonymousClient(await make_app()) as plain,
        AnonymousClient(await make_app(public_url="https://chat.example.org")) as secure,
    ):
        for path in ("/", "/graphql", "/health/live", "/nowhere"):
            assert "strict-transport-security" not in (await plain.http.get(path)).headers
            assert (await secure.http.get(path)).headers["strict-transport-security"] == "max-age=31536000"
