"""Every mutation with every message of the database cut, muted, stalled or answered too late for its caller.

Afterwards: what was acknowledged is stored, once; what was announced is what is stored; no connection is left in a
transaction; and the app serves a write and a read.
"""

import logging

import pytest

from tests.faults import mutations_of_accounts, mutations_of_rooms
from tests.faults.conftest import Lanes
from tests.faults.lanes import Lane
from tests.faults.proxy import Fault
from tests.faults.running import WAYS, Way, run
from tests.faults.sweep import Sweep
from tests.faults.trials import TRIALS, mutations, prepared

TABLES = (mutations_of_accounts, mutations_of_rooms)
"""Imported for what they enter into the table."""


def test_every_mutation_of_the_schema_is_in_the_table() -> None:
    assert {name.partition(":")[0] for name in TRIALS} == set(mutations())


@pytest.mark.faults
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("name", TRIALS)
async def test_a_mutation_keeps_its_promise_at_every_message(
    name: str, lanes: Lanes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)

    async def trial(lane: Lane, fault: Fault | None, way: Way | None) -> bool:
        return await run(lane, name.partition(":")[0], await prepared(lane, name), fault, way)

    await Sweep(lanes, WAYS, trial).run()
