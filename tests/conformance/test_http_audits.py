"""Runs the audits of GraphQL over HTTP from the npm package graphql-http."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests import servers
from tests.running_app import RunningApp

FOLDER = Path(__file__).parent
AUDITS = 61


@pytest.mark.node
async def test_every_graphql_http_audit_passes(app: RunningApp) -> None:
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules" / "graphql-http").exists():
        servers.skip("the audits run on Node: install npm, then `make test` brings the rest")
    process = await asyncio.create_subprocess_exec(
        node, "audit.mjs", f"{app.url}/graphql", cwd=FOLDER, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    outcomes = [json.loads(line) for line in output.splitlines()]
    assert [outcome for outcome in outcomes if outcome["status"] != "ok"] == []
    assert len(outcomes) == AUDITS
