"""The throttle of failed sign-ins: it limits guesses, and does not lock out an owner at a known address."""

import asyncio
from pathlib import Path

import httpx
import pytest

from roomcast.accounts.passwords import Passwords
from roomcast.accounts.throttle import BACKOFF_POLICIES, MAX_KEYS, Key, Throttle, network, throttle_keys
from tests.accounts.documents import TRY, anonymous_from, codes
from tests.api_clients import PASSWORD, REFRESH, SIGNUP, AnonymousClient, Json, UserClient, sign_up
from tests.conftest import MakeApp
from tests.running_app import open_app, settings_for
from tests.statements import statements


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


ACCOUNT: Key = ("account", "ann")
OTHER: Key = ("account", "bob")


def is_free(throttle: Throttle, key: Key) -> bool:
    return throttle.find_block([key]) is None


def fail(throttle: Throttle, key: Key, times: int) -> None:
    for _ in range(times):
        throttle.record_failure([key])


def test_the_wait_doubles_with_every_failure_up_to_a_limit() -> None:
    pauses = [BACKOFF_POLICIES["account"].delay_seconds(failures, 5) for failures in (1, 4, 5, 6, 7, 14, 15, 10_000)]
    assert pauses == [0, 0, 1, 2, 4, 512, 900, 900]


def test_failures_are_forgotten_after_an_hour_and_by_a_success() -> None:
    clock = Clock()
    throttle = Throttle(clock=clock)
    fail(throttle, ACCOUNT, 6)
    assert not is_free(throttle, ACCOUNT)
    assert is_free(throttle, OTHER)
    throttle.record_success([ACCOUNT])
    assert is_free(throttle, ACCOUNT)
    fail(throttle, ACCOUNT, 12)
    clock.seconds += 3601
    fail(throttle, ACCOUNT, 4)
    assert is_free(throttle, ACCOUNT)


def test_a_hundred_of_ten_thousand_tries_in_a_day_are_admitted() -> None:
    clock, admitted = Clock(), 0
    throttle = Throttle(clock=clock)
    for _ in range(10_000):
        clock.seconds += 8.64
        if is_free(throttle, ACCOUNT):
            admitted += 1
            throttle.record_failure([ACCOUNT])
    assert 90 < admitted < 110


def test_a_success_does_not_reset_the_failures_of_the_address() -> None:
    throttle = Throttle()
    address_key: Key = ("address", "203.0.113.5")
    fail(throttle, address_key, 31)
    throttle.record_success([ACCOUNT, address_key])
    assert not is_free(throttle, address_key)


def test_the_number_of_remembered_failures_is_bounded() -> None:
    throttle = Throttle()
    for number in range(MAX_KEYS + 10):
        throttle.record_failure([("account", str(number))])
    assert len(throttle._counts) == MAX_KEYS


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (None, None),
        ("testclient", None),
    ],
)
def test_an_ipv6_network_counts_as_one_address(address: str | None, expected: str | None) -> None:
    assert network(address) == expected


def test_a_known_address_is_counted_separately() -> None:
    assert throttle_keys(" Ann ", "203.0.113.5", set()) == [ACCOUNT, ("address", "203.0.113.5")]
    assert throttle_keys("ann", "203.0.113.5", {"203.0.113.5"})[0] == ("known", "ann", "203.0.113.5")
    assert throttle_keys("ann", None, {"203.0.113.5"}) == [ACCOUNT]


# ------------------------------------------------------------------ over HTTP


async def guess(anonymous: AnonymousClient, name: str, times: int) -> list[Json]:
    attempts = [anonymous.mutate(TRY, usernameOrEmail=name, password=f"guess {number}") for number in range(times)]
    return list(await asyncio.gather(*attempts))


async def test_few_of_two_hundred_concurrent_guesses_are_verified(ann: UserClient) -> None:
    async with anonymous_from(ann.app, "127.0.0.2") as attacker:
        error_codes = [code for answer in await guess(attacker, "ann", 200) for code in codes(answer)]
    assert 5 <= error_codes.count("INVALID_CREDENTIALS") <= 10
    assert error_codes.count("RATE_LIMITED") == 200 - error_codes.count("INVALID_CREDENTIALS")


async def test_throttled_guesses_do_not_query_the_database(ann: UserClient) -> None:
    async with anonymous_from(ann.app, "127.0.0.2") as attacker:
        with statements() as seen:
            error_codes = [code for answer in await guess(attacker, "ann", 200) for code in codes(answer)]
    assert error_codes.count("RATE_LIMITED") >= 190
    assert 30 <= sum("password_hash" in statement for statement in seen) <= 50


async def test_a_sign_in_takes_four_statements(ann: UserClient, anonymous: AnonymousClient) -> None:
    with statements() as seen:
        assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password=PASSWORD)) == []
    verbs = [statement.split()[0] for statement in seen if not statement.startswith("BEGIN")]
    assert verbs == ["SELECT", "SELECT", "INSERT", "INSERT"]


async def test_an_attack_does_not_lock_out_the_owner_at_a_known_address(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    fail(ann.app.roomcast.backend.credentials.throttle, ACCOUNT, 12)
    async with anonymous_from(ann.app, "127.0.0.2") as attacker:
        [limited] = (await attacker.mutate(TRY, usernameOrEmail="ANN", password=PASSWORD))["errors"]
        assert (limited["code"], limited["retryable"]) == ("RATE_LIMITED", True)
        assert 100_000 < limited["retryAfterMs"] <= 128_000
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password=PASSWORD)) == []


async def test_failures_from_a_known_address_delay_its_owner_by_half_a_minute_at_most(
    ann: UserClient, bob: UserClient, anonymous: AnonymousClient
) -> None:
    throttle = ann.app.roomcast.backend.credentials.throttle
    fail(throttle, ("known", "ann", "127.0.0.1"), 100)
    [limited] = (await anonymous.mutate(TRY, usernameOrEmail="ann", password=PASSWORD))["errors"]
    assert 0 < limited["retryAfterMs"] <= 30_000
    assert codes(await anonymous.mutate(REFRESH, refreshToken=ann.refresh_token)) == []
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="bob", password=PASSWORD)) == []


async def test_failures_at_other_accounts_do_not_lock_out_an_account_that_knows_the_address(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    """Another user of the same address attempts unknown names."""
    fail(ann.app.roomcast.backend.credentials.throttle, ("address", "127.0.0.1"), 100)
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="nobody", password=PASSWORD)) == ["RATE_LIMITED"]
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password=PASSWORD)) == []
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password="not this one")) == ["INVALID_CREDENTIALS"]


async def test_an_address_is_known_once_it_has_signed_in(ann: UserClient) -> None:
    async with anonymous_from(ann.app, "127.0.0.3") as cafe, anonymous_from(ann.app, "127.0.0.2") as attacker:
        assert codes(await cafe.mutate(TRY, usernameOrEmail="ann", password=PASSWORD)) == []
        fail(ann.app.roomcast.backend.credentials.throttle, ACCOUNT, 12)
        assert codes(await attacker.mutate(TRY, usernameOrEmail="ann", password=PASSWORD)) == ["RATE_LIMITED"]
        assert codes(await cafe.mutate(TRY, usernameOrEmail="ann", password=PASSWORD)) == []


async def test_an_unknown_name_gets_the_same_response_as_a_wrong_password(ann: UserClient) -> None:
    async with anonymous_from(ann.app, "127.0.0.2") as one, anonymous_from(ann.app, "127.0.0.4") as another:
        known = [await one.mutate(TRY, usernameOrEmail="ann", password=f"guess {n}") for n in range(6)]
        unknown = [await another.mutate(TRY, usernameOrEmail="nobody", password=f"guess {n}") for n in range(6)]
    for answer in known + unknown:
        answer["errors"][0]["retryAfterMs"] = None
    assert known == unknown


async def test_trying_one_password_on_many_accounts_is_throttled(ann: UserClient) -> None:
    async with anonymous_from(ann.app, "127.0.0.2") as attacker:
        attempts = [attacker.mutate(TRY, usernameOrEmail=f"person{n}", password="Summer2026") for n in range(40)]
        error_codes = [code for answer in await asyncio.gather(*attempts) for code in codes(answer)]
    assert error_codes.count("INVALID_CREDENTIALS") in (30, 31)


async def test_sign_ups_are_limited_per_address(make_app: MakeApp) -> None:
    app = await make_app(signups_per_address="2+1/h")
    async with anonymous_from(app, "127.0.0.1") as machine, anonymous_from(app, "127.0.0.2") as person:
        for name in ("ann", "bob"):
            assert codes(await machine.mutate(SIGNUP, username=name, password=PASSWORD)) == []
        [limited] = (await machine.mutate(SIGNUP, username="one.more", password=PASSWORD))["errors"]
        assert (limited["code"], limited["retryable"]) == ("RATE_LIMITED", True)
        assert codes(await person.mutate(SIGNUP, username="somebody", password=PASSWORD)) == []


async def test_without_rate_limits_guesses_are_not_throttled(make_app: MakeApp) -> None:
    app = await make_app(rate_limits="off")
    async with await sign_up(app, "ann") as ann:
        error_codes = [code for answer in await guess(ann, "ann", 40) for code in codes(answer)]
        assert error_codes == ["INVALID_CREDENTIALS"] * 40


async def test_two_hundred_concurrent_sign_ins_do_not_delay_other_requests(database_url: str, tmp_path: Path) -> None:
    at_full_price = open_app(settings_for(database_url, tmp_path), Passwords())
    async with at_full_price as app, await sign_up(app, "ann") as ann, AnonymousClient(app) as anonymous:
        anonymous.http.timeout = httpx.Timeout(60)
        sign_ins = [
            asyncio.create_task(anonymous.mutate(TRY, usernameOrEmail="ann", password=PASSWORD)) for _ in range(200)
        ]
        for _ in range(20):
            await ann.execute("{ serverInfo { version } }")
        still_waiting = sum(not task.done() for task in sign_ins)
        answers = await asyncio.gather(*sign_ins)
    assert still_waiting > 100
    assert all(codes(answer) == [] for answer in answers)
