"""Ten thousand wrong passwords over HTTP: the server verifies few of them, and other users can sign in meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.accounts.documents import ME, TRY, codes
from tests.api_clients import PASSWORD, SIGNUP, AnonymousClient, Json, UserClient
from tests.delivery.resuming_clients import full_or_short
from tests.process import Process, processes

pytestmark = pytest.mark.chaos

GUESSES, ADDRESSES, AT_ONCE = full_or_short(10_000, 1_000), 200, 40
HOME, OFFICE, ABROAD = "203.0.113.7", "203.0.113.8", "203.0.113.9"


def anonymous_at(server: Process, address: str) -> AnonymousClient:
    """An anonymous client whose address is given by the proxy in front of the server."""
    anonymous = AnonymousClient(server.app)
    anonymous.http.headers["x-forwarded-for"] = address
    return anonymous


async def create_account(server: Process, name: str, address: str) -> UserClient:
    async with anonymous_at(server, address) as anonymous:
        return UserClient(server.app, name, await anonymous.mutate(SIGNUP, username=name, password=PASSWORD))


async def try_to_sign_in(server: Process, name: str, address: str) -> list[str]:
    async with anonymous_at(server, address) as anonymous:
        return codes(await anonymous.mutate(TRY, usernameOrEmail=name, password=PASSWORD))


async def guess(server: Process, numbers: Iterator[int], said: list[Json]) -> None:
    async with AnonymousClient(server.app) as attacker:
        for number in numbers:
            attacker.http.headers["x-forwarded-for"] = f"198.51.100.{number % ADDRESSES}"
            payload = await attacker.mutate(TRY, usernameOrEmail="ann", password=f"guess {number}")
            said += payload["errors"]


async def guess_from_many_addresses(server: Process) -> list[Json]:
    """Guess ann's password from many addresses, AT_ONCE guesses at a time. Returns all errors."""
    numbers, said = iter(range(GUESSES)), list[Json]()
    await asyncio.gather(*(guess(server, numbers, said) for _ in range(AT_ONCE)))
    return said


async def until_blocked(server: Process) -> None:
    """Guess ann's password until guesses from all new addresses are refused for more than a second."""
    async with anonymous_at(server, "198.51.100.250") as attacker:
        while True:
            [error] = (await attacker.mutate(TRY, usernameOrEmail="ann", password="a guess"))["errors"]
            if error["code"] == "RATE_LIMITED" and error["retryAfterMs"] > 1000:
                return
            await asyncio.sleep(0.05)


async def test_few_of_ten_thousand_guesses_are_checked_and_owners_can_sign_in(
    database_url: str, tmp_path: Path
) -> None:
    proxied = {"rate_limits": "on", "trusted_proxies": "127.0.0.1"}
    async with processes(1, database_url, tmp_path, **proxied) as [server]:
        ann, bob = await create_account(server, "ann", HOME), await create_account(server, "bob", OFFICE)
        async with ann, bob:
            guessing, sign_ins = asyncio.create_task(guess_from_many_addresses(server)), 0
            while not guessing.done():
                assert await try_to_sign_in(server, "ann", HOME) == await try_to_sign_in(server, "bob", OFFICE) == []
                assert (await bob.execute(ME))["me"]["user"]["username"] == "bob"
                sign_ins += 1
            await until_blocked(server)  # a block may have ended while ann and bob signed in
            assert await try_to_sign_in(server, "ann", ABROAD) == ["RATE_LIMITED"]
    said = Counter(error["code"] for error in await guessing)
    assert said.total() == GUESSES
    assert 5 <= said["INVALID_CREDENTIALS"] <= 15
    assert said["RATE_LIMITED"] == GUESSES - said["INVALID_CREDENTIALS"]
    assert all(error["retryAfterMs"] > 0 for error in await guessing if error["code"] == "RATE_LIMITED")
    assert sign_ins >= 3
