"""The rules of the project, and the commands."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from roomcast.api.schema import root
from roomcast.core import migrations
from tests.api_clients import PASSWORD

ROOT = Path(__file__).parent.parent
MAX_LINES = 400
MAX_FUNCTION_LINES, MAX_FUNCTION_LINES_P90 = 40, 25


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the sources and their rules, in which tests plant violations."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copytree(ROOT / "alembic", tmp_path / "alembic")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(folder: Path, program: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A program's main function, with `folder`'s sources before any installed ones."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROOMCAST_")}
    environment |= {f"ROOMCAST_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-c", f"import sys; from {program} import main; sys.exit(main())", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment | {"PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        timeout=60,
    )


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    return subprocess.run(
        [*command, "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


# ------------------------------------------------------------------ rules


def test_imports_follow_the_layers(copy: Path) -> None:
    checked = lint_imports(copy)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("rooms/policy.py", "import roomcast.messages.policy", "imports go down"),
        ("core/clock.py", "import strawberry", "features and core know no transport"),
        ("messages/policy.py", "import roomcast.realtime.hub", "features and core know no transport"),
        ("realtime/hub.py", "import sqlalchemy", "realtime knows no product"),
        ("api/execution/limits.py", "import roomcast.settings", "settings are passed, not imported"),
        ("api/websocket/protocol.py", "import roomcast.api.schema.root", "transports know no GraphQL types"),
        ("api/execution/limits.py", "import roomcast.api.schema.root", "transports above the schema above execution"),
        ("server/extensions.py", "import roomcast.core.ids", "the server knows nothing of the app"),
        ("core/event_log.py", "import roomcast.core.db", "no import cycles between modules of a package"),
    ],
)
def test_a_wrong_import_is_found(copy: Path, file: str, line: str, contract: str) -> None:
    planted = copy / "src" / "roomcast" / file
    planted.write_text(f"{planted.read_text()}\n{line}\n")
    checked = lint_imports(copy)
    assert checked.returncode == 1
    assert f"{contract} BROKEN" in checked.stdout


def test_a_package_without_a_layer_is_found(copy: Path) -> None:
    (copy / "src" / "roomcast" / "polls").mkdir()
    (copy / "src" / "roomcast" / "polls" / "__init__.py").touch()
    checked = lint_imports(copy)
    assert checked.returncode == 1
    assert "polls" in checked.stdout


def test_the_schema_file_is_up_to_date() -> None:
    assert (ROOT / "schema.graphql").read_text() == root.printed_schema()


def test_a_changed_schema_is_found(copy: Path) -> None:
    server_types = copy / "src" / "roomcast" / "api" / "schema" / "server.py"
    server_types.write_text(
        server_types.read_text().replace("class ServerInfo:\n", "class ServerInfo:\n    motto: str\n")
    )
    printed = run(copy, "roomcast.cli", "export-schema")
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout != (ROOT / "schema.graphql").read_text()
    assert "motto: String!" in printed.stdout


def test_the_migrations_folder_does_not_hide_the_library() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()


def test_files_are_short() -> None:
    files = [
        path for folder in ("src", "tests", "alembic", "bench", "examples") for path in (ROOT / folder).rglob("*.py")
    ]
    long = {str(path): lines for path in files if (lines := len(path.read_text().splitlines())) > MAX_LINES}
    assert long == {}


def test_functions_are_short() -> None:
    lengths = sorted(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    assert lengths[-1] <= MAX_FUNCTION_LINES
    assert lengths[len(lengths) * 9 // 10] <= MAX_FUNCTION_LINES_P90


def test_every_file_has_a_docstring() -> None:
    files = [path for path in (ROOT / "src").rglob("*.py") if path.name != "__init__.py"]
    assert [str(path) for path in files if not path.read_text().startswith('"""')] == []


# ------------------------------------------------------------------ commands


def test_export_schema_prints_the_schema_file() -> None:
    printed = run(ROOT, "roomcast.cli", "export-schema")
    assert printed.stdout == (ROOT / "schema.graphql").read_text()


def test_migrate_prints_the_revision_and_can_be_repeated(tmp_path: Path) -> None:
    for _ in range(2):
        done = run(ROOT, "roomcast.cli", "migrate", data_dir=str(tmp_path / "data"))
        assert (done.returncode, done.stdout) == (0, f"The database is at revision {migrations.head()}.\n"), done.stderr


def create_admin(tmp_path: Path, name: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    given = ("--username", name, "--password", password)
    return run(ROOT, "roomcast.cli", "create-admin", *given, data_dir=str(tmp_path))


def test_create_admin_checks_name_and_password(tmp_path: Path) -> None:
    assert create_admin(tmp_path, "ann").stdout == "ann is an administrator.\n"
    again, weak = create_admin(tmp_path, "ann"), create_admin(tmp_path, "bob", "password")
    assert (again.returncode, again.stderr.partition(":")[0]) == (1, "USERNAME_TAKEN")
    assert (weak.returncode, weak.stderr.partition(":")[0]) == (1, "PASSWORD_TOO_WEAK")


def test_a_wrong_setting_stops_every_command_with_one_sentence(tmp_path: Path) -> None:
    for command in ("serve", "migrate"):
        stopped = run(ROOT, "roomcast.cli", command, port="http", data_dir=str(tmp_path))
        assert (stopped.returncode, stopped.stdout) == (2, "")
        assert stopped.stderr.startswith("ROOMCAST_PORT: 'http' is not valid")
