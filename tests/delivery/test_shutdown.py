"""Shutdown: the server completes running operations, closes sockets with 1012, and ends in time."""

import asyncio
import signal
from pathlib import Path

from tests.api_clients import ROOM_EVENTS, UserClient, sign_up
from tests.process import Process, processes


async def test_sigterm_answers_running_operations_and_closes_sockets_with_1012(
    database_url: str, tmp_path: Path
) -> None:
    async with processes(1, database_url, tmp_path) as [server], await sign_up(server.app, "ann") as ann:
        room_id = await ann.create_room("den")
        async with ann.connect() as connection:
            await (await connection.subscribe(ROOM_EVENTS, roomId=room_id)).wait_until_ready()
            sending = [asyncio.create_task(ann.send(room_id, f"word {n}")) for n in range(20)]
            await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
            server.signal(signal.SIGTERM)
            assert await connection.closed() == (1012, "Service restart")
        answers = await asyncio.gather(*sending, return_exceptions=True)
        assert await server.wait_for_end() in (0, -signal.SIGTERM)  # uvicorn raises the signal again after the shutdown
        await server.start()
        acknowledged = {answer["message"]["body"] for answer in answers if isinstance(answer, dict)}
        assert acknowledged <= await stored(server, ann, room_id)


async def stored(server: Process, person: UserClient, room_id: str) -> set[str]:
    history = "query H($id: ID!) { messages(roomId: $id, last: 100) { nodes { body } } }"
    return {node["body"] for node in (await person.execute(history, id=room_id))["messages"]["nodes"]}
