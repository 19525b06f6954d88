"""The linter and the code generators of front-end teams accept the served schema, and what they generate compiles.

Each subfolder is a small client with the configuration of one generator. The tests run in a copy of them.
"""

import importlib
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from roomcast.api.schema import root
from tests import servers
from tests.api_clients import PASSWORD
from tests.running_app import RunningApp

FOLDER = Path(__file__).parent
ARIADNE = FOLDER.parents[1] / ".cache" / "codegen" / "bin" / "ariadne-codegen"

GENERATORS: dict[str, list[str]] = {
    "relay": ["relay-compiler relay.config.json"],
    "client-preset": ["graphql-codegen --config codegen.ts"],
    "tada": ["gql-tada generate-output", "gql-tada check"],
}
"""Per folder: the commands that generate code there, before the TypeScript compiler checks it."""

MYPY = """
[mypy]
strict = true
[mypy-*.async_base_client]
ignore_errors = true
"""
"""The base client does not depend on the schema, and it is not written for mypy."""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A copy of this folder with the served schema."""
    copy = tmp_path / "codegen"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("node_modules", "__pycache__", "*.py"))
    (copy / "node_modules").symlink_to(FOLDER / "node_modules")
    (copy / "relay" / "src" / "__generated__").mkdir()
    write_schema(copy)
    return copy


def write_schema(workspace: Path, *changes: tuple[str, str]) -> None:
    schema = root.printed_schema()
    for old, new in changes:
        assert old in schema
        schema = schema.replace(old, new)
    (workspace / "schema.graphql").write_text(schema)


def run(folder: Path, command: list[str | Path]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout + done.stderr)


def node(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    if not (FOLDER / "node_modules" / "relay-compiler").exists():
        servers.skip("the code generators are not installed: install npm, then `make test` brings the rest")
    program, *arguments = command.split()
    return run(folder, [FOLDER / "node_modules" / ".bin" / program, *arguments])


def build(folder: Path) -> None:
    """Generate and compile the client of a folder, or fail the test with what the programs say."""
    for command in [*GENERATORS[folder.name], "tsc -p ."]:
        done = node(folder, command)
        if done.returncode:
            pytest.fail(f"{folder.name}: {command}\n{done.stdout}", pytrace=False)


# ------------------------------------------------------------------ the linter


def findings(workspace: Path) -> list[tuple[str, str]]:
    """What graphql-eslint says of the schema: the rule, and where and what."""
    done = node(workspace, "eslint --format json --max-warnings 0 schema.graphql")
    (file,) = json.loads(done.stdout)
    return [(found["ruleId"], f"{found['line']}: {' '.join(found['message'].split())}") for found in file["messages"]]


@pytest.mark.node
def test_the_linter_accepts_the_schema(workspace: Path) -> None:
    found = [f"{text} ({rule})" for rule, text in findings(workspace)]
    if found:
        pytest.fail("\n  ".join([f"graphql-eslint on the served schema ({len(found)}):", *found]), pytrace=False)


PLANTED = {
    "relay-page-info": ("hasNextPage: Boolean!", "hasNextPage: Boolean"),
    "relay-connection-types": ("edges: [UserEdge!]!", "edges: UserEdge!"),
    "relay-edge-types": ("type UserEdge {", "type UserEdge { nothing: Int } type Unused {"),
    "naming-convention": ("type ServerLimits {", "type ServerLimits { MaxCost: Int"),
    "strict-id-in-types": ("type ServerInfo {", "type Thing { size: Int } type ServerInfo { thing: Thing"),
    "require-description": ("type Query {", "type Query { secret: Int"),
}


@pytest.mark.node
def test_the_linter_finds_what_is_planted(workspace: Path) -> None:
    before = Counter(rule for rule, _ in findings(workspace))
    write_schema(workspace, *PLANTED.values())
    more = Counter(rule for rule, _ in findings(workspace)) - before
    assert {f"@graphql-eslint/{rule}" for rule in PLANTED} <= more.keys()


# ------------------------------------------------------------------ generators for TypeScript


@pytest.mark.node
@pytest.mark.parametrize("client", GENERATORS)
def test_what_a_generator_makes_of_the_schema_compiles(workspace: Path, client: str) -> None:
    build(workspace / client)


@pytest.mark.node
def test_relay_refetches_the_viewer_and_appends_messages(workspace: Path) -> None:
    build(workspace / "relay")
    made = workspace / "relay" / "src" / "__generated__"
    assert "query chatUnreadQuery {\\n  viewer {" in (made / "chatUnreadQuery.graphql.ts").read_text()
    assert "node(id: $id) {" in (made / "chatMembershipQuery.graphql.ts").read_text()
    for sender in ("chatSendMutation", "chatWatchSubscription"):
        assert '"handle": "appendEdge"' in (made / f"{sender}.graphql.ts").read_text()
    assert '"direction": "backward"' in (made / "chatHistory.graphql.ts").read_text()


@pytest.mark.node
@pytest.mark.parametrize("client", GENERATORS)
def test_a_generator_refuses_a_field_that_is_missing(workspace: Path, client: str) -> None:
    write_schema(workspace, ("displayName: String!", "fullName: String!"))
    done = [node(workspace / client, command) for command in GENERATORS[client]]
    assert any(one.returncode and "displayName" in one.stdout for one in done), done


# ------------------------------------------------------------------ a generator for Python


@pytest.fixture
def python_client(workspace: Path) -> Path:
    """The package that ariadne-codegen generates."""
    if not ARIADNE.is_file():
        servers.skip("ariadne-codegen is not installed: `make test` brings it")
    folder = workspace / "ariadne"
    made = run(folder, [ARIADNE, "--config", "ariadne-codegen.toml"])
    if made.returncode:
        pytest.fail(f"ariadne-codegen\n{made.stdout}", pytrace=False)
    return folder / "chat_client"


def test_what_ariadne_codegen_makes_of_the_schema_has_correct_types(python_client: Path) -> None:
    folder = python_client.parent
    (folder / "mypy.ini").write_text(MYPY)
    checked = run(folder, [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "chat_client"])
    assert checked.returncode == 0, checked.stdout


async def test_the_python_client_works(python_client: Path, app: RunningApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(python_client.parent))
    made: Any = importlib.import_module("chat_client")
    async with made.Client(url=f"{app.url}/graphql") as stranger:
        signup = (await stranger.signup(made.SignupInput(username="ann", password=PASSWORD))).signup
    assert signup.errors == []
    headers = {"authorization": f"Bearer {signup.tokens.access_token}"}
    address = {"url": f"{app.url}/graphql", "ws_url": app.ws_url, "ws_connection_init_payload": headers}
    async with made.Client(headers=headers, **address) as ann:
        room = (await ann.create_room(made.CreateRoomInput(name="den"))).create_room.room
        sent = (await ann.send(made.SendMessageInput(room_id=room.id, body="hello"))).send_message
        assert sent.errors == []
        async for event in ann.watch(room.id, after=room.stream_cursor):
            if event.room_events.typename__ == "MessageCreated":
                break
        assert event.room_events.message == sent.message
        (message,) = (await ann.history(room.id)).messages.nodes
        assert message == sent.message
