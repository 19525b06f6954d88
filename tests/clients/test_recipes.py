"""The recipes in docs/delivery.md are the files that the tests run."""

import re
import subprocess
from pathlib import Path

import pytest

from tests import servers

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "tests" / "clients" / "recipes").glob("*.*"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: str(path.name))
def test_each_recipe_in_the_documentation_is_the_tested_file(recipe: Path) -> None:
    text = (ROOT / "docs" / "delivery.md").read_text()
    printed = re.findall(r"```(?:js|python)\n(.*?)```", text, re.DOTALL)
    assert recipe.read_text() in printed


def test_the_documentation_names_every_close_code() -> None:
    text = (ROOT / "docs" / "delivery.md").read_text()
    source = (ROOT / "src" / "roomcast" / "api" / "websocket" / "protocol.py").read_text()
    for code in re.findall(r"^    [A-Z_]+ = (\d{4})$", source, re.MULTILINE):
        assert f"| {code} |" in text, code


TYPED = [path for path in RECIPES if "// @ts-check" in path.read_text()]
STRICT = ["--noEmit", "--allowJs", "--checkJs", "--strict", "--target", "es2022", "--module", "nodenext"]


def test_the_recipes_for_graphql_ws_are_typed() -> None:
    compiler = ROOT / "web" / "node_modules" / "typescript" / "bin" / "tsc"
    if not compiler.is_file():
        servers.skip("the TypeScript compiler is not installed: run make test, or npm ci in web")
    checked = subprocess.run(
        ["node", compiler, *STRICT, "--lib", "es2023,dom", *TYPED], cwd=ROOT, capture_output=True, text=True
    )
    assert (len(TYPED), checked.stdout) == (2, "")
