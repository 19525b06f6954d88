"""Runs a Node program with a real GraphQL client, and reads what it prints."""

import asyncio
import json
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests import servers

FOLDER = Path(__file__).parent
WAIT_SECONDS = 30.0


def require() -> None:
    """Skip the test, or fail it in CI, where Node or the client packages are missing."""
    if shutil.which("node") is None:
        servers.skip("Node is not installed: install Node.js 20 or newer")
    if not (FOLDER / "node_modules" / "graphql-ws").is_dir():
        servers.skip("the JavaScript clients are not installed: run make test, or npm ci in tests/clients")


class NodeClient:
    """A script of this folder, run by Node with these settings as its argument."""

    def __init__(self, script: str = "listen.mjs", **settings: Any) -> None:
        self._script, self._settings = script, json.dumps(settings)
        self._process: asyncio.subprocess.Process
        self.seen: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            "node", self._script, self._settings, cwd=FOLDER, stdout=asyncio.subprocess.PIPE
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):  # it may have ended by itself
            self._process.kill()
        await self._process.communicate()
        if error is not None:
            error.add_note(f"the client printed {self.seen}")

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def wait_for(self, key: str, value: Any = ...) -> Any:
        """Wait until the program prints an object with this key, and value if given. Returns the value."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                line = await self._line()
                if key in line and value in (..., line[key]):
                    return line[key]

    async def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        text = await self._process.stdout.readline()
        if not text:
            raise EOFError("the client has ended")
        self.seen.append(json.loads(text))
        return self.seen[-1]

    @property
    def bodies(self) -> list[str]:
        return [line["body"] for line in self.seen if "body" in line]
