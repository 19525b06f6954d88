"""Each limit of an address, a user or the process is a setting, and counts what it refuses under the setting's name.

Networks that are trusted have no limits per address.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from roomcast.accounts.throttle import AccountLimits
from roomcast.api.execution.limits import Limits
from roomcast.api.execution.rates import RateLimits
from roomcast.api.websocket.admission import ConnectionLimits
from roomcast.components import limits_of
from roomcast.core.rates import ClientAddresses, Rate
from roomcast.core.refusals import LOG_SECONDS, Refusals
from roomcast.limit_settings import LimitSettings
from roomcast.settings import Settings
from roomcast.uploads.actions import FileLimits
from roomcast.uploads.limits import TransferLimits
from tests.accounts.documents import TRY, anonymous_from, codes
from tests.api_clients import PASSWORD, ROOM_MESSAGES, SEND, SIGNUP, AnonymousClient, SocketClient, UserClient, sign_up
from tests.conftest import MakeApp
from tests.edge.raw_connections import raw_connection
from tests.edge.test_metrics import read_metrics
from tests.running_app import RunningApp
from tests.uploads.documents import CREATE

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

KINDS = (AccountLimits, RateLimits, ConnectionLimits, TransferLimits, Limits)
QUERY = {"query": "{ __typename }"}


async def refusals(app: RunningApp) -> dict[str, float]:
    """How often each limit has refused something, those that have not left out."""
    async with AnonymousClient(app) as anonymous:
        found = await read_metrics(anonymous)
    prefix = "roomcast_refusals_total "
    return {name.removeprefix(prefix): count for name, count in found.items() if name.startswith(prefix) and count}


# ------------------------------------------------------------------ settings


def names_of(kind: Any) -> set[str]:
    return set(kind.__dataclass_fields__) & set(LimitSettings.model_fields)


def test_every_setting_of_a_limit_reaches_the_part_that_enforces_it() -> None:
    elsewhere = {"http_connections_per_address", "waiting_signins_per_process"}
    enforced = set().union(*map(names_of, (*KINDS, FileLimits)))
    assert enforced | elsewhere == set(LimitSettings.model_fields)


@pytest.mark.parametrize("kind", KINDS)
def test_the_defaults_of_settings_are_those_of_the_code(kind: Any) -> None:
    assert limits_of(kind, Settings(_env_file=None)) == kind()


def test_off_lifts_one_limit_and_rate_limits_off_all_of_users_and_addresses() -> None:
    chosen = {"messages_per_user": "off", "changes_per_user": "30+6/min", "sockets_per_user": "7"}
    settings = Settings(_env_file=None, **chosen)  # type: ignore[arg-type]
    rates = limits_of(RateLimits, settings)
    assert (rates.messages_per_user, rates.changes_per_user) == (None, Rate(per_second=0.1, burst=30))
    assert limits_of(ConnectionLimits, settings).sockets_per_user == 7
    lifted = Settings(_env_file=None, rate_limits="off").limits
    left = {name for name in LimitSettings.model_fields if getattr(lifted, name) is not None}
    assert left == {name for name in LimitSettings.model_fields if name.endswith("_per_process")}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.2.3", None),
        ("::ffff:10.1.2.3", None),
        ("2001:db8:7::1", None),
        ("10.2.0.1", "10.2.0.1"),
        ("2001:db8:8::1", "2001:db8:8::/64"),
        ("", ""),
        (None, ""),
    ],
)
def test_trusted_networks_hold_addresses_of_both_versions(address: str | None, expected: str | None) -> None:
    assert ClientAddresses(["10.1.0.0/16", "2001:db8:7::/48"]).limited(address) == expected


# ------------------------------------------------------------------ counting and logging


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_limit_is_logged_once_a_minute_with_the_number_of_further_refusals(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    counted = Refusals(clock=clock)
    for _ in range(1000):
        counted.count("sockets_per_address", "203.0.113.7")
    counted.count("sockets_per_user", "the id of a user")
    clock.seconds += LOG_SECONDS
    counted.count("sockets_per_address", "203.0.113.8")
    assert [record.getMessage() for record in caplog.records] == [
        "ROOMCAST_SOCKETS_PER_ADDRESS is reached: refused 203.0.113.7",
        "ROOMCAST_SOCKETS_PER_USER is reached: refused the id of a user",
        "ROOMCAST_SOCKETS_PER_ADDRESS is reached: refused 203.0.113.8; 999 more since the last line about it",
    ]


@on_sqlite
async def test_each_refusal_is_counted_and_logged_under_the_name_of_its_setting(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app(
        signups_per_address="1+1/h",
        failed_signins_per_user=1,
        failed_signins_per_address=2,
        sockets_per_user=1,
        sockets_per_address=2,
        subscriptions_per_user=1,
        messages_per_user="1+1/h",
        unused_files_per_user=1,
        upload_quota_bytes=100,
    )
    async with await sign_up(app, "ann") as ann, anonymous_from(app, "127.0.0.9") as other:
        assert codes(await ann.mutate(SIGNUP, username="bob", password=PASSWORD)) == ["RATE_LIMITED"]
        for name in ("ann", "ann", "bob"):
            await other.mutate(TRY, usernameOrEmail=name, password="a wrong guess")
        room_id = await ann.create_room("den")
        await ann.send(room_id, "one")
        assert (await ann.post({"query": SEND, "variables": {"input": {"roomId": room_id, "body": "two"}}})).is_error
        for size in (101, 1, 1):
            await ann.mutate(CREATE, filename="a", contentType="", byteSize=size)
        await exceed_sockets(ann, room_id)
        expected = {
            "signups_per_address",
            "failed_signins_per_user",
            "failed_signins_per_address",
            "sockets_per_user",
            "sockets_per_address",
            "subscriptions_per_user",
            "messages_per_user",
            "unused_files_per_user",
            "upload_quota_bytes",
        }
        assert await refusals(app) == dict.fromkeys(expected, 1)
    lines = {record.getMessage() for record in caplog.records if record.name == "roomcast.limits"}
    assert {line.split()[0] for line in lines} == {f"ROOMCAST_{name.upper()}" for name in expected}
    assert "ROOMCAST_FAILED_SIGNINS_PER_USER is reached: refused 127.0.0.9" in lines


async def exceed_sockets(person: UserClient, room_id: str) -> None:
    async with person.connect() as connection, SocketClient(person.app.ws_url) as second:
        await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        await person.app.wait_for_streams(1)
        refused = await (await connection.subscribe(ROOM_MESSAGES, roomId=room_id)).next_message()
        assert refused["payload"][0]["extensions"]["code"] == "SUBSCRIPTION_LIMIT"
        async with SocketClient(person.app.ws_url) as third:
            assert (await third.closed())[0] == 1013
        await second.send(type="connection_init", payload={"authorization": person.token})
        assert (await second.closed())[0] == 1013


@on_sqlite
async def test_connections_over_http_are_refused_and_counted(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "192.0.2.1")  # otherwise uvicorn takes this test for a proxy
    app = await make_app(http_connections_per_address=1, trusted_networks=("192.0.2.0/24",))
    async with raw_connection(app.url) as first, raw_connection(app.url) as second:
        assert (await second.read_rest()).startswith(b"HTTP/1.1 429 ")
        assert app.roomcast.registry.get_sample_value(*HTTP_REFUSALS) == 1
        await first.send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in await first.read_head()
    assert "ROOMCAST_HTTP_CONNECTIONS_PER_ADDRESS is reached: refused 127.0.0.1" in caplog.text


HTTP_REFUSALS = ("roomcast_refusals_total", {"limit": "http_connections_per_address"})


# ------------------------------------------------------------------ trusted networks

ONE_PER_ADDRESS = {
    "http_connections_per_address": 1,
    "signups_per_address": "1+1/h",
    "failed_signins_per_address": 1,
    "taken_emails_per_address": 1,
    "sockets_per_address": 1,
    "uploads_per_address": 1,
    "changes_per_address": "1+1/h",
    "operations_per_address": "1+1/h",
    "cost_per_address": "1+1/h",
    "parsing_per_address": "1+1/h",
}


@on_sqlite
async def test_a_company_behind_one_address_signs_up_connects_and_works(make_app: MakeApp) -> None:
    app = await make_app(trusted_networks=("127.0.0.8/30",), **ONE_PER_ADDRESS)
    async with AsyncExitStack() as stack:
        office = await stack.enter_async_context(anonymous_from(app, "127.0.0.9"))
        names = [f"person{number}" for number in range(5)]
        signing_up = [
            office.mutate(SIGNUP, username=name, password=PASSWORD, email=f"{name}@example.org") for name in names
        ]
        answers = await asyncio.gather(*signing_up)
        people = [UserClient(app, name, answer) for name, answer in zip(names, answers, strict=True)]
        for number in range(3):  # failures of some do not stop the others
            taken = await office.mutate(
                SIGNUP, username=f"x{number}", password=PASSWORD, email=f"{names[0]}@example.org"
            )
            assert codes(taken) == ["EMAIL_TAKEN"]
            wrong = await office.mutate(TRY, usernameOrEmail=f"x{number}", password="a wrong guess")
            assert codes(wrong) == ["INVALID_CREDENTIALS"]
        for person in people:
            socket = await stack.enter_async_context(SocketClient(app.ws_url, forwarded="127.0.0.10"))
            await socket.init({"authorization": f"Bearer {person.token}"})
            assert (await socket.execute(f"query {person.name} {{ me {{ id }} }}"))["data"]["me"]
        stranger = await stack.enter_async_context(anonymous_from(app, "127.0.0.20"))
        assert codes(await stranger.mutate(SIGNUP, username="a.stranger", password=PASSWORD)) == []
        assert await stranger.error_codes(SIGNUP, input={"username": "another", "password": PASSWORD}) == [
            "RATE_LIMITED"
        ]


@on_sqlite
async def test_limits_per_user_apply_in_trusted_networks(make_app: MakeApp) -> None:
    app = await make_app(trusted_networks=("127.0.0.0/8",), operations_per_user="2+1/h", failed_signins_per_user=1)
    async with await sign_up(app, "ann") as ann:
        assert [(await ann.post(QUERY)).status_code for _ in range(3)] == [200, 200, 429]
        attempts = [codes(await ann.mutate(TRY, usernameOrEmail="bob", password="a wrong guess")) for _ in range(2)]
        assert attempts == [["INVALID_CREDENTIALS"], ["RATE_LIMITED"]]
