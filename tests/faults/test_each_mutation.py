"""Every mutation, with faults at every message between the app and the database: cut, mute, stall, cancel, hang up.

Afterwards an acknowledged mutation is stored once, the published events are the stored ones, no connection is left in a
transaction, and the app serves a write and a read.
"""

import logging

import pytest

from tests.faults import mutations_of_accounts, mutations_of_rooms
from tests.faults.conftest import Lanes
from tests.faults.lanes import Lane
from tests.faults.proxy import Fault
from tests.faults.running import FAULT_TYPES, FaultType, run
from tests.faults.sweep import Sweep
from tests.faults.trials import TRIALS, mutations, prepared

TABLES = (mutations_of_accounts, mutations_of_rooms)
"""Imported because they register their trials."""


def test_every_mutation_of_the_schema_is_in_the_table() -> None:
    assert {name.partition(":")[0] for name in TRIALS} == set(mutations())


@pytest.mark.faults
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("name", TRIALS)
async def test_a_mutation_is_stored_once_with_a_fault_at_any_message(
    name: str, lanes: Lanes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)

    async def trial(lane: Lane, fault: Fault | None, fault_type: FaultType | None) -> bool:
        return await run(lane, name.partition(":")[0], await prepared(lane, name), fault, fault_type)

    await Sweep(lanes, FAULT_TYPES, trial).run()
