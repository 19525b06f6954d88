"""The snippets of docs/clients.md run against a real server."""

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLObjectType, is_abstract_type, is_scalar_type, is_specified_scalar_type

from roomcast.api.schema import root
from tests import servers
from tests.api_clients import UserClient
from tests.clients.node import NodeClient, require
from tests.clients.snippets import snippets, write_snippets
from tests.rooms.documents import add, change
from tests.running_app import RunningApp

WAIT_SECONDS = 30.0


async def shell(folder: Path, script: str, **environment: str) -> asyncio.subprocess.Process:
    if shutil.which("curl") is None:
        servers.skip("curl is not installed")
    write_snippets(folder)
    settings = {**os.environ, **environment}
    return await asyncio.create_subprocess_exec(
        "sh", script, cwd=folder, env=settings, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )


async def answer_of(process: asyncio.subprocess.Process) -> Any:
    async with asyncio.timeout(WAIT_SECONDS):
        output, _ = await process.communicate()
    return json.loads(output)["data"]


async def test_curl_signs_up(app: RunningApp, tmp_path: Path) -> None:
    answer = await answer_of(await shell(tmp_path, "sign-up.sh", URL=app.url))
    assert answer["signup"]["errors"] == []
    assert answer["signup"]["tokens"]["accessToken"]


async def test_curl_lists_rooms(ann: UserClient, tmp_path: Path) -> None:
    room_id = await ann.create_room("den")
    answer = await answer_of(await shell(tmp_path, "rooms.sh", URL=ann.app.url, TOKEN=str(ann.token)))
    assert answer == {"rooms": {"edges": [{"node": {"id": room_id, "name": "den"}}]}}


async def test_curl_watches_a_room(ann: UserClient, tmp_path: Path) -> None:
    room_id = await ann.create_room("den")
    process = await shell(tmp_path, "watch.sh", URL=ann.app.url, TOKEN=str(ann.token), ROOM=room_id)
    assert process.stdout is not None
    try:
        await ann.app.wait_for_streams(1)
        await ann.send_messages(room_id, "hello")
        async with asyncio.timeout(WAIT_SECONDS):
            while not (line := await process.stdout.readline()).startswith(b"data: "):
                assert line, "curl has ended"
        assert json.loads(line[6:])["data"]["roomMessages"]["message"] == {"body": "hello"}
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # curl too, which keeps the pipe open
        await process.communicate()


@pytest.mark.node
async def test_the_snippets_for_node(ann: UserClient, bob: UserClient, cleo: UserClient, tmp_path: Path) -> None:
    require()
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    await add(ann, room_id, cleo)
    await change(ann, "removeMember", roomId=room_id, userId=bob.id)
    await cleo.leave(room_id)
    await change(ann, "updateRoom", roomId=room_id, name="hall")
    settings = {"folder": str(write_snippets(tmp_path)), "url": ann.app.url, "token": ann.token, "roomId": room_id}
    async with NodeClient("snippets.mjs", **settings) as client:
        types = await client.wait_for("possibleTypes")
        assert {name: sorted(members) for name, members in types.items()} == abstract_types()
        assert sorted(client.seen[-1]["keyless"]) == types_without_id()
        cost = await client.wait_for("cost")
        assert (client.seen[-1]["data"], cost["requested"] > 0) == ({"me": {"user": {"username": "ann"}}}, True)
        refused = await client.wait_for("refused")
        assert refused["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        assert await client.wait_for("wordings") == [
            "bob ist jetzt dabei.",
            "ann hat cleo hinzugefügt.",
            "ann hat bob entfernt.",
            "cleo ist gegangen.",
            "ann hat den Raum von „den“ in „hall“ umbenannt.",
        ]
        assert await client.wait_for("found") == room_id
        await ann.app.wait_for_streams(2)
        await ann.send_messages(room_id, "hello")
        for _ in range(2):
            await client.wait_for("body", "hello")
        assert {line["transport"] for line in client.seen[-2:]} == {"sse", "multipart"}


def abstract_types() -> dict[str, list[str]]:
    schema = root.build_schema()._schema
    found = [kind for kind in schema.type_map.values() if is_abstract_type(kind)]
    return {kind.name: sorted(member.name for member in schema.get_possible_types(kind)) for kind in found}


def types_without_id() -> list[str]:
    schema = root.build_schema()._schema
    kinds = [kind for kind in schema.type_map.values() if isinstance(kind, GraphQLObjectType)]
    return sorted(kind.name for kind in kinds if "id" not in kind.fields and not kind.name.startswith("__"))


def test_the_page_lists_every_custom_scalar() -> None:
    kinds = root.build_schema()._schema.type_map.values()
    served = {kind.name for kind in kinds if is_scalar_type(kind) and not is_specified_scalar_type(kind)}
    listed = json.loads(snippets()["scalars.json"])
    assert served <= listed.keys()
    assert json.loads(snippets()["relay.config.json"])["customScalarTypes"] == listed
