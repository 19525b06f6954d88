"""The programs that the tests of this folder need are found, or reported with their Debian package."""

import os

import pytest

from tests.deployment import programs


@pytest.mark.skipif(not os.environ.get("CI"), reason="other machines need not have them: single tests are skipped")
@pytest.mark.parametrize("name", programs.PACKAGES)
def test_ci_has_the_program(name: str) -> None:
    assert programs.find(name)


def test_a_failing_program_is_reported_with_its_output() -> None:
    with pytest.raises(RuntimeError, match="podman no-such-command ended with 125"):
        programs.run("podman", "no-such-command")
