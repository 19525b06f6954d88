"""Compares the served schema with the last released one: `python -m tests.schema.changes`, part of `make check`.

It fails unless CHANGELOG.md names every change that may break a client. `schemas/released.graphql` is the schema of the
last release, and its first line says of which: `# roomcast 1.0.0`. CONTRIBUTING.md says how a release writes it.
"""

import re
import sys
from pathlib import Path

from graphql import (
    BreakingChange,
    DangerousChange,
    GraphQLSchema,
    build_schema,
    find_breaking_changes,
    find_dangerous_changes,
    is_input_object_type,
)

from roomcast.api.schema import root

CHANGELOG = "CHANGELOG.md"
RELEASED = "schemas/released.graphql"
UNRELEASED = "Unreleased"

MEMBERS = (
    (r"(?P<member>\w+) was (?:added to|removed from) union type (?P<of>\w+)\.", r"union \g<of> = \g<member>"),
    (r"(?P<member>\w+) added to interfaces implemented by (?P<of>\w+)\.", r"\g<of> implements \g<member>"),
    (r"(?P<of>\w+) no longer implements interface (?P<member>\w+)\.", r"\g<of> implements \g<member>"),
)
"""Descriptions of changes that have no schema coordinate, and their names in the changelog."""

COORDINATES = (
    r"\w+\.\w+(?:\(\w+:\))?",  # a field, an argument, an input field, an enum value
    r"@\w+(?:\(\w+:\))?",  # a directive, its argument
    r"\b\w+(?= was removed| changed from| became)",  # a type
)


def name_of(description: str) -> str:
    """The name that the changelog must use, read from graphql-core's description of a change."""
    for pattern, name in MEMBERS:
        if found := re.fullmatch(pattern, description):
            return found.expand(name)
    for pattern in COORDINATES:
        if found := re.search(pattern, description):
            return found[0]
    raise ValueError(f"No rule for this description: {description}")


def changes_between(old: GraphQLSchema, new: GraphQLSchema) -> list[str]:
    """Descriptions of the changes that break clients, or that clients without a default branch may not survive."""
    found: list[BreakingChange | DangerousChange] = [
        *find_breaking_changes(old, new),
        *find_dangerous_changes(old, new),
    ]
    return [*(change.description for change in found), *_one_of_added(old, new)]


def _one_of_added(old: GraphQLSchema, new: GraphQLSchema) -> list[str]:
    """What graphql-core does not look for: an input that requires exactly one of its fields from now on."""
    return [
        f"{name} became an input that takes exactly one of its fields."
        for name, kind in new.type_map.items()
        if is_input_object_type(kind)
        and kind.is_one_of
        and is_input_object_type(before := old.type_map.get(name))
        and not before.is_one_of
    ]


def releases(changelog: str) -> dict[str, str]:
    """The sections of a changelog by version, the newest first, `Unreleased` among them."""
    headings = re.split(r"^## (\S+).*\n", changelog, flags=re.MULTILINE)[1:]
    return dict(zip(headings[::2], headings[1::2], strict=True))


def unnamed(changes: list[str], section: str) -> list[str]:
    """The changes whose name is not in backticks in this section of the changelog."""
    named = {" ".join(quoted.split()) for quoted in re.findall(r"`([^`]+)`", section)}
    return [f"`{name}`: {change}" for change in changes if (name := name_of(change)) not in named]


def verdict(served: str, released: str | None, changelog: str) -> tuple[bool, str]:
    """Whether the served schema may be released, and the reason."""
    sections = releases(changelog)
    newest = next((version for version in sections if version != UNRELEASED), None)
    if released is None and newest is None:
        return True, "nothing to compare with: no version has been released"
    version = (released or "").partition("\n")[0].removeprefix("# roomcast ")
    if released is None or version != newest:
        return False, f"{CHANGELOG} has the release {newest}, but {RELEASED} is not its schema. See CONTRIBUTING.md."
    changes = changes_between(build_schema(released), build_schema(served))
    if missing := unnamed(changes, sections.get(UNRELEASED, "")):
        request = f"Name these changes since {version} in {CHANGELOG}, in backticks under {UNRELEASED}:"
        return False, "\n  ".join([request, *missing])
    return True, f"ok (changes since {version}: {len(changes)}, all in {CHANGELOG})"


def main(folder: Path = Path()) -> int:
    """Judge the schema of the code against the files of this folder."""
    file = folder / RELEASED
    released = file.read_text() if file.exists() else None
    good, reason = verdict(root.printed_schema(), released, (folder / CHANGELOG).read_text())
    print(reason if good else f"failed\n{reason}")  # noqa: T201 (for the person who runs make check)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
