"""The private interfaces of libraries that roomcast uses: one table, and tests that notice when an upgrade moves them.

A library may change these in any release: attributes with an underscore, protocol classes that it does not document for
subclassing, and methods of its executor. A row names the library, the class or module, its members and our files that
use them. The tests check for each row that

- the installed release has the members,
- our files still use them (otherwise the row is out of date),
- `pyproject.toml` limits the library to the minor release that these tests have run with, so that an installation of
  the wheel gets no later one.

To raise a limit: run `make lock LOCK_ARGS=--upgrade`, read what the library changed in these members, run the whole
suite, and write the new limit into `pyproject.toml`. A member that still exists may behave differently. The tests named
above each group check its behaviour.
"""

import importlib
import inspect
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "roomcast"


class PrivateInterface(NamedTuple):
    """`owner` is `module:Class`, or a module. `members` are separated by spaces."""

    library: str
    owner: str
    members: str
    file: str


INTERFACES = [
    # The driver below SQLAlchemy's adapter: tests/storage/test_cancelled.py, tests/test_direct_queries.py
    PrivateInterface(
        "sqlalchemy",
        "sqlalchemy.dialects.postgresql.asyncpg:AsyncAdapt_asyncpg_connection",
        "_transaction _start_transaction driver_connection",
        "core/postgres.py",
    ),
    PrivateInterface("asyncpg", "asyncpg.connection:Connection", "_top_xact _protocol _transport", "core/postgres.py"),
    PrivateInterface("asyncpg", "asyncpg.protocol.protocol:BaseProtocol", "_is_cancelling", "core/postgres.py"),
    # A session that SQLAlchemy initializes late: tests/test_direct_reads.py
    PrivateInterface(
        "sqlalchemy", "sqlalchemy.ext.asyncio.session:AsyncSession", "_proxied sync_session", "core/driver_sessions.py"
    ),
    PrivateInterface("sqlalchemy", "sqlalchemy.util", "greenlet_spawn", "core/driver_sessions.py"),
    # Who waits for a connection of the pool: tests/edge/test_metrics.py
    PrivateInterface("sqlalchemy", "sqlalchemy.pool.impl:AsyncAdaptedQueuePool", "_do_get", "core/engines.py"),
    # The thread of SQLite: tests/storage/test_cancelled.py
    PrivateInterface(
        "aiosqlite", "aiosqlite.core:Connection", "_execute _conn _connection _tx _thread", "core/sqlite.py"
    ),
    # The task of the bus: tests/realtime/test_bus.py
    PrivateInterface("broadcaster", "broadcaster:Broadcast", "_listener_task", "realtime/bus/bus.py"),
    # HTTP below ASGI: tests/edge/test_connections.py
    PrivateInterface(
        "uvicorn",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol",
        "app client flow loop parser pipeline transport connection_made connection_lost data_received on_message_begin "
        "on_headers_complete on_response_complete pause_writing resume_writing handle_websocket_upgrade "
        "send_400_response",
        "server/http_protocol.py server/read_chunking.py",
    ),
    # WebSockets below ASGI: tests/conformance/test_socket.py, tests/edge/test_connections.py
    PrivateInterface(
        "uvicorn",
        "uvicorn.protocols.websockets.websockets_sansio_impl:WebSocketsSansIOProtocol",
        "config conn loop transport queue frames writable read_paused curr_msg_data_type request response scope "
        "handshake_initiated handshake_complete close_sent disconnected handle_events handle_connect handle_cont "
        "handle_ping handle_parser_exception start_keepalive connection_lost data_received on_task_complete shutdown "
        "close_timeout close_timer "
        "receive send_receive_event_to_app",
        "server/websocket_protocol.py server/read_chunking.py",
    ),
    PrivateInterface(
        "websockets",
        "websockets.server:ServerProtocol",
        "reject handshake_exc parser data_to_send send_close",
        "server/websocket_protocol.py",
    ),
    PrivateInterface(
        "websockets",
        "websockets.server:ServerProtocol",
        "parser parser_exc close_rcvd close_sent",
        "server/accepted_socket.py",
    ),
    PrivateInterface(
        "uvicorn",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol",
        "app config connections headers root_path scheme scope server_state transport url ws_protocol_class",
        "server/takeover.py",
    ),
    PrivateInterface(
        "uvicorn", "uvicorn.middleware.proxy_headers:ProxyHeadersMiddleware", "app trusted_hosts", "server/takeover.py"
    ),
    # The executor of operations: tests/delivery/test_viewer_fields.py, tests/edge/test_limits.py
    PrivateInterface(
        "graphql-core",
        "graphql.execution.executor:Executor",
        "_relevant_sub_fields build_per_event_executor collected_errors context_value execute_field execute_fields "
        "is_awaitable operation root_value",
        "api/execution/viewer_fields.py api/execution/bounded_executor.py",
    ),
    PrivateInterface(
        "graphql-core",
        "graphql.execution.executor:Executor",
        "complete_leaf_value handle_field_error",
        "api/execution/bounded_executor.py",
    ),
    # The executor under plans: tests/edge/test_plans.py
    PrivateInterface(
        "graphql-core",
        "graphql.execution.executor:Executor",
        "build_resolve_info collect_subfields complete_object_value field_resolver type_resolver variable_values",
        "api/execution/plans/executor.py api/execution/plans/run.py api/execution/plans/writer.py",
    ),
    PrivateInterface(
        "strawberry-graphql",
        "strawberry.schema.schema",
        "StrawberryGraphQLCoreExecutionContext",
        "api/execution/bounded_executor.py",
    ),
    PrivateInterface("strawberry-graphql", "strawberry.schema:Schema", "_schema", "api/schema/root.py"),
    PrivateInterface("strawberry-graphql", "strawberry.schema:Schema", "_schema", "api/execution/engine.py"),
    PrivateInterface(
        "strawberry-graphql",
        "strawberry.schema.schema_converter:GraphQLCoreConverter",
        "DEFINITION_BACKREF",
        "api/execution/fast_resolvers.py",
    ),
    PrivateInterface(
        "strawberry-graphql",
        "strawberry.types.fields.resolver:StrawberryResolver",
        "wrapped_func info_parameter parent_parameter root_parameter self_parameter",
        "api/execution/fast_resolvers.py",
    ),
]


def has_member(owner: Any, name: str) -> bool:
    """Whether a class or module has this member, also one that is only assigned to `self`."""
    if hasattr(owner, name) or name in getattr(owner, "__annotations__", {}):
        return True
    sources = (inspect.getsource(class_) for class_ in getattr(owner, "__mro__", ())[:-1])
    return any(re.search(rf"\bself\.{name} *(:|,|=[^=])", source) for source in sources)


@pytest.mark.parametrize("interface", INTERFACES, ids=lambda interface: f"{interface.owner} in {interface.file}")
def test_the_installed_release_has_the_members_that_we_use(interface: PrivateInterface) -> None:
    module, _, class_name = interface.owner.partition(":")
    owner = importlib.import_module(module)
    if class_name:
        owner = getattr(owner, class_name)
    assert [name for name in interface.members.split() if not has_member(owner, name)] == []


def test_a_member_that_does_not_exist_is_noticed() -> None:
    module = importlib.import_module("aiosqlite.core")
    assert has_member(module.Connection, "_tx")
    assert not has_member(module.Connection, "_no_such_attribute")


@pytest.mark.parametrize("interface", INTERFACES, ids=lambda interface: f"{interface.owner} in {interface.file}")
def test_the_files_of_the_table_still_use_the_members(interface: PrivateInterface) -> None:
    text = "".join((SOURCE / file).read_text() for file in interface.file.split())
    assert [name for name in interface.members.split() if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("library", sorted({interface.library for interface in INTERFACES}))
def test_the_wheel_allows_no_later_minor_release_than_the_tested_one(library: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [specifier] = [
        requirement.specifier
        for requirement in map(Requirement, project["dependencies"])
        if requirement.name == library
    ]
    installed = Version(version(library))
    next_minor = f"{installed.major}.{installed.minor + 1}"
    assert specifier.contains(str(installed))
    assert not specifier.contains(next_minor), f"limit {library} to <{next_minor} in pyproject.toml"
