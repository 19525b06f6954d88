"""What clients and operators see while PostgreSQL is away: 503, one log entry, counted operations."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from roomcast.core import migrations
from roomcast.core.outages import OutageLog
from tests import servers
from tests.api_clients import PASSWORD, sign_up
from tests.edge.test_metrics import read_metrics
from tests.running_app import RunningApp, open_app, settings_for

LOGIN = 'mutation { login(input: {usernameOrEmail: "ann", password: "' + PASSWORD + '"}) { errors { code } } }'


@pytest.fixture
def own_postgres() -> Iterator[servers.Server]:
    """A server that the test may stop."""
    with servers.postgres("PATH", "wheel") as server:
        yield server


@pytest_asyncio.fixture
async def own_app(own_postgres: servers.Server, tmp_path: Path) -> AsyncIterator[RunningApp]:
    url = await servers.create_database(own_postgres.url, "outage")
    await migrations.upgrade(url)
    async with open_app(settings_for(url, tmp_path)) as app:
        yield app


async def test_an_outage_answers_503_is_counted_and_logged_once(
    own_app: RunningApp, own_postgres: servers.Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with await sign_up(own_app, "ann") as ann, ann.connect() as connection:
        caplog.clear()
        own_postgres.stop(kill=True)
        # The session is cached for a second: the first requests fail in the operation, later ones before it.
        answers = [await ann.post({"query": "{ rooms { totalCount } }"}) for _ in range(3)]
        answers.append(await ann.post({"query": LOGIN}))
        while not is_refused_before_execution(answers[-1]):
            answers.append(await ann.post({"query": "{ rooms { totalCount } }"}))
        assert [answer.text for answer in answers if answer.status_code != 503] == []
        assert {answer.headers["retry-after"] for answer in answers} == {"1"}
        for answer in answers:
            [error] = answer.json()["errors"]
            assert error["extensions"]["code"] == "INTERNAL"
            assert error["extensions"]["reason"] == "DATABASE_UNAVAILABLE"
            assert error["extensions"]["retryable"] is True
        on_socket = await (await connection.subscribe("{ rooms { totalCount } }")).next_message()
        assert on_socket["type"] == "error"
        assert on_socket["payload"][0]["extensions"]["reason"] == "DATABASE_UNAVAILABLE"
        after = await read_metrics(ann)
        assert after["roomcast_operations_total query INTERNAL"] >= len(answers)
        assert after["roomcast_operations_total mutation INTERNAL"] == 1
        records = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert not any(record.exc_info for record in records), records
        assert [record.name for record in records].count("roomcast.db") == 1, records
        assert len(records) <= 4, records  # besides: the readers of the log and of sessions
        own_postgres.start()


def is_refused_before_execution(answer: httpx.Response) -> bool:
    return "data" not in answer.json()


def test_an_outage_ends_with_a_success_after_some_quiet_time(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 0.0
    monkeypatch.setattr("roomcast.core.outages.time.monotonic", lambda: seconds)
    outages = OutageLog()
    outages.on_success()
    outages.on_error(ConnectionRefusedError("port 5432"))
    outages.on_error(ValueError("not an outage"))
    seconds = 1.0
    outages.on_success()
    assert outages.is_out
    outages.on_error(ConnectionRefusedError("port 5432"))
    seconds = 7.0
    outages.on_success()
    assert not outages.is_out
    assert [record.getMessage() for record in caplog.records] == [
        "the database fails: ConnectionRefusedError: port 5432; this is logged once until it works again",
        "the database works again; it failed for 1 s, in 2 transactions",
    ]
