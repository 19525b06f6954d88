"""The documentation names every error code, and every relative link in it leads to a file."""

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from roomcast.api.errors import ErrorCode, coded_error, format_error
from roomcast.api.schema import root
from roomcast.core.errors import OutcomeUnknown, Refused
from roomcast.notifications import policy as push
from roomcast.presence import policy as presence
from roomcast.uploads import policy as uploads

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
]


def table(heading: str) -> dict[str, str]:
    """The codes of one table of docs/errors.md, and what it says about retrying each."""
    text = (ROOT / "docs" / "errors.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([A-Z_]+)` \| (yes|no) \|", text, re.MULTILINE))


def refusals(kind: type[Refused] = Refused) -> Iterator[type[Refused]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from refusals(subclass)


def codes_in_source() -> set[str]:
    """The literal codes of top-level errors in `api/`."""
    sources = [path.read_text() for path in (ROOT / "src" / "roomcast" / "api").rglob("*.py")]
    patterns = (r'\bcoded_error\(\s*"([A-Z_]+)"', r'\b(?:blamed|with_code)\([^()]*"([A-Z_]+)"\)')
    return {code for source in sources for pattern in patterns for code in re.findall(pattern, source)}


def test_the_documentation_lists_the_codes_of_payloads() -> None:
    retryable = {refusal.code: "yes" if refusal.retryable else "no" for refusal in refusals()}
    assert table("Payload codes") == {code.value: retryable[code.value] for code in ErrorCode}


def test_the_schema_describes_the_codes_of_payloads_as_the_documentation_does() -> None:
    text = (ROOT / "docs" / "errors.md").read_text().partition("\n## Top-level codes")[0]
    meanings = dict(re.findall(r"^\| `([A-Z_]+)` \| (?:yes|no) \| (.*?) \|", text, re.MULTILINE))
    values = root.build_schema()._schema.type_map["ErrorCode"].values  # type: ignore[attr-defined]
    assert {code: value.description for code, value in values.items()} == {code: meanings[code] for code in values}


def test_the_documentation_lists_the_codes_of_top_level_errors() -> None:
    others = {refusal.code for refusal in refusals()} - set(ErrorCode.__members__)
    found = codes_in_source() | others | {OutcomeUnknown.code}
    assert {"GRAPHQL_PARSE_FAILED", "QUERY_TOO_COMPLEX"} <= found
    assert table("Top-level codes") == {
        code: "yes" if format_error(coded_error(code, ""), "")["extensions"]["retryable"] else "no" for code in found
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", prose)
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_graphql_examples_match_the_schema(page: Path) -> None:
    schema = build_schema((ROOT / "schema.graphql").read_text(), assume_valid=True)
    for example in re.findall(r"```graphql\n(.*?)```", page.read_text(), flags=re.DOTALL):
        assert validate(schema, parse(example)) == []


def test_decisions_are_numbered_without_gaps_and_have_the_same_sections() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    for number, page in enumerate(pages, 1):
        text = page.read_text()
        title = text.partition("\n")[0].removeprefix(f"# {number}. ")
        assert page.name.startswith(f"{number:04}-"), page.name
        assert f"| [{number}]({page.name}) | {title} |" in index, page.name
        sections = re.findall(r"^## (.+)$", text, re.MULTILINE)[:4]
        assert sections == ["Context", "Decision", "Consequences", "Alternatives"], page.name


def names_in(path: Path) -> set[str]:
    """The classes, functions and variables of a module, and the members of its classes as Class.member."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        for name in _defined(node):
            found.add(name)
            if isinstance(node, ast.ClassDef):
                found |= {f"{name}.{member}" for inner in node.body for member in _defined(inner)}
    return found


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_code_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    named = re.findall(r"`((?:src|tests)/[\w/.]+\.py)::([\w.]+)`", text)
    assert len(named) >= 10
    assert [(path, name) for path, name in named if name not in names_in(ROOT / path)] == []


def test_a_message_travels_through_at_most_twelve_functions() -> None:
    steps = re.findall(r"^\| (\d+) \| `src/", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    assert [int(step) for step in steps] == list(range(1, len(steps) + 1))
    assert len(steps) <= 12


WORDS: dict[object, str] = {5: "five", timedelta(hours=1): "an hour", timedelta(days=1): "a day"}


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("presence", f"At most {presence.MAX_VISIBLE_USERS} users of a room are shown"),
        ("presence", f"all typing users of the room, at most {presence.MAX_TYPING_USERS}, in the order"),
        ("presence", f"{presence.TYPING_EXPIRY_SECONDS:.0f} seconds (`typingExpiryMs`) after the last report"),
        ("presence", f"every `typingRefreshMs` ({presence.TYPING_REFRESH_SECONDS:.0f} s)"),
        ("notifications", f"A user has at most {push.MAX_SUBSCRIPTIONS} browsers"),
        ("notifications", f"older than {push.MAX_MESSAGE_AGE.total_seconds() / 60:.0f} minutes are not pushed"),
        ("notifications", f"retried, up to {WORDS[push.MAX_ATTEMPTS]} times"),
        ("attachments", f"within {WORDS[uploads.TICKET_LIFETIME]}."),
        (
            "attachments",
            f"not used within {WORDS[uploads.UNUSED_RETENTION]} are removed",
        ),
    ],
)
def test_the_documentation_states_the_limits(page: str, sentence: str) -> None:
    assert sentence in " ".join((ROOT / "docs" / f"{page}.md").read_text().split())
