"""A change that may break a client is found, and passes only when the changelog names it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from graphql import build_schema

from roomcast.api.schema import root
from tests.schema import changes

ROOT = Path(__file__).parents[2]

OLD = """
directive @shout(times: Int, word: String) repeatable on FIELD | QUERY
interface Node { id: ID! }
interface Named { name: String }
enum Role { OWNER MEMBER }
type Room implements Node & Named { id: ID! name: String topic: String! messages(first: Int, last: Int = 5): [Int] }
type User { id: ID! }
type Thread { id: ID! }
union Found = Room | User
scalar Moment
input Draft { body: String pin: Boolean = false count: Int }
type Query { room(id: ID!): Room role: Role user: User found: Found thread: Thread at(draft: Draft): Moment }
"""

PLANTED = [
    # (what of the old schema, by what it is replaced, the name that the changelog must use)
    ("topic: String!", "", "Room.topic"),
    ("topic: String!", "topic: String", "Room.topic"),
    ("topic: String!", "topic: Int!", "Room.topic"),
    ("room(id: ID!)", "room(id: ID!, key: ID!)", "Query.room(key:)"),
    ("room(id: ID!)", "room(id: ID!, key: ID)", "Query.room(key:)"),
    ("room(id: ID!)", "room", "Query.room(id:)"),
    ("room(id: ID!)", "room(id: Int!)", "Query.room(id:)"),
    ("first: Int,", "first: Int!,", "Room.messages(first:)"),
    ("last: Int = 5", "last: Int = 6", "Room.messages(last:)"),
    ("last: Int = 5", "last: Int", "Room.messages(last:)"),
    ("OWNER MEMBER", "OWNER", "Role.MEMBER"),
    ("OWNER MEMBER", "OWNER MEMBER GUEST", "Role.GUEST"),
    ("Room | User", "Room", "union Found = User"),
    ("Room | User", "Room | User | Thread", "union Found = Thread"),
    ("Node & Named", "Node", "Room implements Named"),
    ("type User {", "type User implements Node {", "User implements Node"),
    ("type Thread { id: ID! }", "interface Thread { id: ID! }", "Thread"),
    ("at(draft: Draft): Moment", "at(draft: Draft): String", "Query.at"),
    ("scalar Moment", "enum Moment { NOW }", "Moment"),
    ("body: String", "body: String!", "Draft.body"),
    ("body: String", "", "Draft.body"),
    ("body: String", "body: String key: ID!", "Draft.key"),
    ("body: String", "body: String key: ID", "Draft.key"),
    ("pin: Boolean = false", "pin: Boolean = true", "Draft.pin"),
    ("pin: Boolean = false", "pin: Boolean", "Draft.pin"),
    ("input Draft", "input Draft @oneOf", "Draft"),
    ("times: Int, ", "", "@shout(times:)"),
    ("times: Int,", "times: Int!,", "@shout(times:)"),
    ("repeatable", "", "@shout"),
    ("FIELD | QUERY", "FIELD", "@shout"),
    ("directive @shout(times: Int, word: String) repeatable on FIELD | QUERY", "", "@shout"),
]

HARMLESS = [
    ("name: String topic", "name: String! topic"),
    ("type User {", '"Somebody." type User { name: String'),
    ("room(id: ID!)", "room(id: ID)"),
    ("scalar Moment", 'scalar Moment @specifiedBy(url: "https://example.org")'),
    ("OWNER MEMBER", 'OWNER MEMBER @deprecated(reason: "Use OWNER.")'),
]


def log(unreleased: str = "", released: str = "## 1.0.0 - 2027-01-01\n") -> str:
    return f"# Changelog\n\n## Unreleased\n\n{unreleased}\n\n{released}"


def verdict(old: str, new: str, changelog: str) -> tuple[bool, str]:
    return changes.verdict(OLD.replace(old, new), f"# roomcast 1.0.0\n{OLD}", changelog)


@pytest.mark.parametrize(("old", "new", "name"), PLANTED)
def test_a_change_that_may_break_a_client_must_be_named(old: str, new: str, name: str) -> None:
    assert old in OLD
    good, reason = verdict(old, new, log("Many things."))
    assert (good, f"\n  `{name}`: " in reason) == (False, True), reason
    names = " ".join(re.findall(r"^  (`.+`): ", reason, re.MULTILINE))
    assert verdict(old, new, log(f"- Changed: {names}."))[0]
    elsewhere = log("Many things.", f"## 1.0.0 - 2027-01-01\n\n- Changed: {names}.\n")
    assert not verdict(old, new, elsewhere)[0], "the changelog of an earlier release does not count"
    assert not verdict(old, new, log(f"- Changed: {names.replace('`', '')}."))[0], "names are in backticks"


@pytest.mark.parametrize(("old", "new"), HARMLESS)
def test_other_changes_need_no_name(old: str, new: str) -> None:
    assert old in OLD
    assert verdict(old, new, log()) == (True, "ok (changes since 1.0.0: 0, all in CHANGELOG.md)")


def test_all_unnamed_changes_are_listed_at_once() -> None:
    good, reason = changes.verdict(
        OLD.replace("topic: String!", "").replace("OWNER MEMBER", "OWNER GUEST"),
        f"# roomcast 1.0.0\n{OLD}",
        log("`Role.GUEST` is new."),
    )
    assert (good, reason.splitlines()) == (
        False,
        [
            "Name these changes since 1.0.0 in CHANGELOG.md, in backticks under Unreleased:",
            "  `Role.MEMBER`: Enum value Role.MEMBER was removed.",
            "  `Room.topic`: Field Room.topic was removed.",
        ],
    )


def test_a_name_may_be_broken_over_two_lines() -> None:
    assert verdict("Room | User", "Room", log("- `union Found =\n  User` is gone."))[0]


def test_a_description_without_a_rule_is_an_error() -> None:
    with pytest.raises(ValueError, match="No rule"):
        changes.name_of("Something else happened.")


def test_without_a_release_there_is_nothing_to_compare() -> None:
    assert changes.verdict(OLD, None, log(released="")) == (
        True,
        "nothing to compare with: no version has been released",
    )


@pytest.mark.parametrize("first_line", ["# roomcast 0.9.0", "# roomcast 1.0.0rc1", ""])
def test_the_released_schema_must_be_of_the_newest_release(first_line: str) -> None:
    good, reason = changes.verdict(OLD, f"{first_line}\n{OLD}", log())
    assert (good, reason.partition(",")[0]) == (False, "CHANGELOG.md has the release 1.0.0")


def test_a_release_without_its_schema_is_refused() -> None:
    assert not changes.verdict(OLD, None, log())[0]


# ------------------------------------------------------------------ on the repository


def test_the_repository_passes() -> None:
    assert changes.main(ROOT) == 0


def test_every_member_of_the_served_schema_has_a_rule_for_its_removal() -> None:
    served = build_schema(root.printed_schema())
    gone = changes.changes_between(served, build_schema("type Query { nothing: Int }"))
    assert len(gone) > 100
    assert all(changes.name_of(change) for change in gone)


def test_a_breaking_change_planted_in_the_code_fails_make_check(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "released.graphql").write_text(f"# roomcast 1.0.0\n{root.printed_schema()}")
    (tmp_path / "CHANGELOG.md").write_text(log())
    assert make(tmp_path) == (True, "released  ok (changes since 1.0.0: 0, all in CHANGELOG.md)\n")
    server = tmp_path / "src" / "roomcast" / "api" / "schema" / "server.py"
    server.write_text(server.read_text().replace("    version: str = ", "    version: str | None = "))
    passed, output = make(tmp_path)
    assert (passed, output.splitlines()[0]) == (False, "released  failed")
    assert (
        "  `ServerInfo.version`: Field ServerInfo.version changed type from String! to String." in output.splitlines()
    )
    (tmp_path / "CHANGELOG.md").write_text(log("- `ServerInfo.version` may be null."))
    assert make(tmp_path) == (True, "released  ok (changes since 1.0.0: 1, all in CHANGELOG.md)\n")


def test_the_release_that_contributing_describes_passes(tmp_path: Path) -> None:
    (command,) = re.findall(r"mkdir -p schemas .+", (ROOT / "CONTRIBUTING.md").read_text())
    (tmp_path / "schema.graphql").write_text(root.printed_schema())
    subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True)
    (tmp_path / "CHANGELOG.md").write_text(log())
    assert changes.main(tmp_path) == 0


def test_make_check_has_the_steps() -> None:
    done = subprocess.run(["make", "-n", "-o", ".venv/.dev", "check"], cwd=ROOT, capture_output=True, text=True)
    assert "-m tests.schema.changes" in done.stdout
    assert "-m tests.schema.descriptions" in done.stdout


def make(folder: Path) -> tuple[bool, str]:
    """Run the step in this folder, with the virtual environment as it is."""
    done = subprocess.run(
        ["make", "--no-print-directory", "-o", ".venv/.dev", "check-released"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder / "src"), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode == 0, done.stdout
