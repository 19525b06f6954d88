"""The examples of the reference page: an operation for each root field, and its variables.

`examples/<root type>/<field>.graphql` is the document, `<field>.json` beside it are the variables, if it has any.
tests/reference/test_examples.py runs all of them. It replaces the ids that they contain (`room_lobby`, `user_bob`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

FOLDER: Final = Path(__file__).parent / "examples"


@dataclass(frozen=True)
class Example:
    """One operation. `variables` is a JSON text, empty if the operation has none."""

    document: str
    variables: str

    @property
    def graphiql_link(self) -> str:
        """The address of GraphiQL with this operation in its first tab."""
        return "/graphql?" + urlencode({"query": self.document, "variables": self.variables})


def examples_of(root_type: str) -> dict[str, Example]:
    """The examples of the fields of Query, Mutation or Subscription, by field."""
    return {path.stem: _load(path) for path in sorted((FOLDER / root_type.lower()).glob("*.graphql"))}


def _load(path: Path) -> Example:
    variables = path.with_suffix(".json")
    return Example(
        path.read_text(encoding="utf-8").strip(),
        variables.read_text(encoding="utf-8").strip() if variables.is_file() else "",
    )
