"""A few seeds of each world in every test run; `make simulate` runs thousands."""

import os
import subprocess
import sys

SEEDS = 10


def simulation(*arguments: str, hash_seed: str = "random") -> str:
    """What the command prints. Raises where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_guarantees_hold_in_simulated_runs() -> None:
    assert " 0 failed" in simulation("--seeds", str(SEEDS), "--jobs", "1")


def test_a_seed_replays_exactly() -> None:
    first, again = (simulation("--seed", "7", "--trace") for _ in range(2))
    assert first == again
