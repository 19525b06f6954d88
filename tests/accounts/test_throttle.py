"""Patience with failed sign-ins: it ends soon, also for ten thousand at once, and never for an owner at home."""

import asyncio
from pathlib import Path

import httpx
import pytest

from roomcast.accounts.credentials import SIGNUPS
from roomcast.accounts.passwords import Passwords
from roomcast.accounts.throttle import BACKOFF_POLICIES, MAX_KEYS, Key, Throttle, network, throttle_keys
from roomcast.core.errors import RateLimited
from roomcast.core.rates import Charge
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
    try:
        throttle.check([key])
    except RateLimited:
        return False
    return True


def fail(throttle: Throttle, key: Key, times: int) -> None:
    for _ in range(times):
        throttle.record_failure([key])


def test_the_wait_doubles_with_every_failure_up_to_a_limit() -> None:
    pauses = [BACKOFF_POLICIES["account"].delay_seconds(failures) for failures in (1, 4, 5, 6, 7, 14, 15, 10_000)]
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


def test_ten_thousand_tries_in_a_day_get_past_a_hundred_times() -> None:
    clock, admitted = Clock(), 0
    throttle = Throttle(clock=clock)
    for _ in range(10_000):
        clock.seconds += 8.64
        if is_free(throttle, ACCOUNT):
            admitted += 1
            throttle.record_failure([ACCOUNT])
    assert 90 < admitted < 110


def test_a_right_password_does_not_buy_tries_at_other_accounts() -> None:
    throttle = Throttle()
    place: Key = ("address", "203.0.113.5")
    fail(throttle, place, 31)
    throttle.record_success([ACCOUNT, place])
    assert not is_free(throttle, place)


def test_the_memory_of_failures_is_bounded() -> None:
    throttle = Throttle()
    for number in range(MAX_KEYS + 10):
        throttle.record_failure([("account", str(number))])
    assert len(throttle._counts) == MAX_KEYS


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (None, None),
        ("testclient", None),
    ],
)
def test_of_ipv6_a_whole_network_counts_as_one_address(address: str | None, place: str | None) -> None:
    assert network(address) == place


def test_a_known_address_is_counted_apart() -> None:
    assert throttle_keys(" Ann ", "203.0.113.5", set()) == [ACCOUNT, ("address", "203.0.113.5")]
    assert throttle_keys("ann", "203.0.113.5", {"203.0.113.5"})[0] == ("known", "ann", "203.0.113.5")
    assert throttle_keys("ann", None, {"203.0.113.5"}) == [ACCOUNT]


# ------------------------------------------------------------------ through the edge


async def guess(anonymous: AnonymousClient, name: str, times: int) -> list[Json]:
    tries = [anonymous.mutate(TRY, usernameOrEmail=name, password=f"guess {number}") for number in range(times)]
    return list(await asyncio.gather(*tries))


async def test_of_two_hundred_guesses_at_once_hardly_any_is_looked_at(ann: UserClient) -> None:
    async with anonymous_from(ann.app, "127.0.0.2") as attacker:
        said = [code for answer in await guess(attacker, "ann", 200) for code in codes(answer)]
    assert 5 <= said.count("INVALID_CREDENTIALS") <= 10
    assert said.count("RATE_LIMITED") == 200 - said.count("INVALID_CREDENTIALS")


async def test_whoever_keeps_knocking_is_soon_turned_away_before_anything_is_looked_up(ann: UserClient) -> None:
    async with anonymous_from(ann.app, "127.0.0.2") as attacker:
        with statements() as seen:
            said = [code for answer in await guess(attacker, "ann", 200) for code in codes(answer)]
    assert said.count("RATE_LIMITED") >= 190
    assert 30 <= sum("password_hash" in statement for statement in seen) <= 50


async def test_a_sign_in_asks_the_database_four_things(ann: UserClient, anonymous: AnonymousClient) -> None:
    with statements() as seen:
        assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password=PASSWORD)) == []
    verbs = [statement.split()[0] for statement in seen if not statement.startswith("BEGIN")]
    assert verbs == ["SELECT", "SELECT", "INSERT", "INSERT"]


async def test_an_attack_locks_out_everybody_but_the_owner_at_home(ann: UserClient, anonymous: AnonymousClient) -> None:
    fail(ann.app.roomcast.backend.credentials.throttle, ACCOUNT, 12)
    async with anonymous_from(ann.app, "127.0.0.2") as attacker:
        [limited] = (await attacker.mutate(TRY, usernameOrEmail="ANN", password=PASSWORD))["errors"]
        assert (limited["code"], limited["retryable"]) == ("RATE_LIMITED", True)
        assert 100_000 < limited["retryAfterMs"] <= 128_000
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="ann", password=PASSWORD)) == []


async def test_a_colleague_at_the_same_address_keeps_the_owner_waiting_for_half_a_minute_at_most(
    ann: UserClient, bob: UserClient, anonymous: AnonymousClient
) -> None:
    tries = ann.app.roomcast.backend.credentials.throttle
    fail(tries, ("known", "ann", "127.0.0.1"), 100)
    [limited] = (await anonymous.mutate(TRY, usernameOrEmail="ann", password=PASSWORD))["errors"]
    assert 0 < limited["retryAfterMs"] <= 30_000
    assert codes(await anonymous.mutate(REFRESH, refreshToken=ann.refresh_token)) == []
    assert codes(await anonymous.mutate(TRY, usernameOrEmail="bob", password=PASSWORD)) == []


async def test_what_others_fail_at_elsewhere_locks_nobody_out_of_an_account_that_knows_the_address(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    """A colleague behind the same router tries names that nobody has."""
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


async def test_an_unknown_name_is_answered_like_a_wrong_password(ann: UserClient) -> None:
    async with anonymous_from(ann.app, "127.0.0.2") as one, anonymous_from(ann.app, "127.0.0.4") as another:
        known = [await one.mutate(TRY, usernameOrEmail="ann", password=f"guess {n}") for n in range(6)]
        unknown = [await another.mutate(TRY, usernameOrEmail="nobody", password=f"guess {n}") for n in range(6)]
    for answer in known + unknown:
        answer["errors"][0]["retryAfterMs"] = None
    assert known == unknown


async def test_trying_one_password_on_everybody_is_throttled_too(ann: UserClient) -> None:
    async with anonymous_from(ann.app, "127.0.0.2") as attacker:
        tries = [attacker.mutate(TRY, usernameOrEmail=f"person{n}", password="Summer2026") for n in range(40)]
        said = [code for answer in await asyncio.gather(*tries) for code in codes(answer)]
    assert said.count("INVALID_CREDENTIALS") in (30, 31)


async def test_signing_up_is_limited_per_address(ann: UserClient) -> None:
    await ann.app.roomcast.backend.credentials._buckets.take([Charge("signups:127.0.0.1", SIGNUPS, SIGNUPS.burst - 1)])
    async with anonymous_from(ann.app, "127.0.0.1") as machine, anonymous_from(ann.app, "127.0.0.2") as person:
        [limited] = (await machine.mutate(SIGNUP, username="one.more", password=PASSWORD))["errors"]
        assert (limited["code"], limited["retryable"]) == ("RATE_LIMITED", True)
        assert codes(await person.mutate(SIGNUP, username="somebody", password=PASSWORD)) == []


async def test_without_rate_limits_everybody_may_always_try(make_app: MakeApp) -> None:
    app = await make_app(rate_limits="off")
    async with await sign_up(app, "ann") as ann:
        said = [code for answer in await guess(ann, "ann", 40) for code in codes(answer)]
        assert said == ["INVALID_CREDENTIALS"] * 40


async def test_two_hundred_people_who_sign_in_at_once_hold_up_nobody_else(database_url: str, tmp_path: Path) -> None:
    at_full_price = open_app(settings_for(database_url, tmp_path), Passwords())
    async with at_full_price as app, await sign_up(app, "ann") as ann, AnonymousClient(app) as anonymous:
        anonymous.http.timeout = httpx.Timeout(60)
        coming = [
            asyncio.create_task(anonymous.mutate(TRY, usernameOrEmail="ann", password=PASSWORD)) for _ in range(200)
        ]
        for _ in range(20):
            await ann.execute("{ serverInfo { version } }")
        still_waiting = sum(not task.done() for task in coming)
        answers = await asyncio.gather(*coming)
    assert still_waiting > 100
    assert all(codes(answer) == [] for answer in answers)
