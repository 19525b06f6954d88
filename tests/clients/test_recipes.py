"""The recipes of docs/delivery.md are the files that the tests run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "tests" / "clients" / "recipes").glob("*.*"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: str(path.name))
def test_a_recipe_in_the_documentation_is_the_one_that_is_tried(recipe: Path) -> None:
    text = (ROOT / "docs" / "delivery.md").read_text()
    printed = re.findall(r"```(?:js|python)\n(.*?)```", text, re.DOTALL)
    assert recipe.read_text() in printed


def test_the_documentation_names_every_close_code() -> None:
    text = (ROOT / "docs" / "delivery.md").read_text()
    source = (ROOT / "src" / "roomcast" / "api" / "protocol.py").read_text()
    for code in re.findall(r"^    [A-Z_]+ = (\d{4})$", source, re.MULTILINE):
        assert f"| {code} |" in text, code
