"""The command `roomcast`, and its subcommand `serve`. The other subcommands are in `operator_commands`.

A server that has to refuse its start should say so at once, and most of a start are imports. So this module imports
what reads the settings, and `serve` imports the server itself.
"""

import sys
from typing import Annotated

import typer

from roomcast.data_folder import set_private_umask
from roomcast.process_limits import without_garbage_collection
from roomcast.settings import WrongSetting, load_settings
from roomcast.single_process import ProcessLock

app = typer.Typer(help="A self-hosted real-time chat backend with a GraphQL API.", no_args_is_help=True)

Host = Annotated[str | None, typer.Option(help="Address to listen on (ROOMCAST_HOST).")]
Port = Annotated[int | None, typer.Option(help="Port to listen on (ROOMCAST_PORT).")]
Workers = Annotated[int | None, typer.Option(help="Number of processes (ROOMCAST_WORKERS).")]


def main() -> None:
    """Run a command. A wrong setting is printed as one sentence on standard error; the exit code is 2."""
    set_private_umask()
    if sys.argv[1:2] != ["serve"]:
        from roomcast.operator_commands import app as others  # noqa: PLC0415 (the server needs none of them)

        app.add_typer(others)
    try:
        app()
    except WrongSetting as error:
        print(error, file=sys.stderr)
        sys.exit(2)


@app.callback()
def with_subcommands() -> None:
    """Without this, Typer takes a single subcommand for the whole command."""


@app.command()
def serve(host: Host = None, port: Port = None, workers: Workers = None) -> None:
    """Start the server: the GraphQL API, GraphiQL and the chat page."""
    given = {"host": host, "port": port, "workers": workers}
    options = {name: value for name, value in given.items() if value is not None}
    settings = load_settings(**options)
    lock = ProcessLock(settings)
    lock.check()  # before the imports, see above
    with without_garbage_collection():
        from roomcast import server_command  # noqa: PLC0415 (most of a start)

    sys.exit(server_command.run(settings, options, lock))
