"""A server that is told to stop: it finishes what runs, sends its clients elsewhere, and ends in time."""

import asyncio
import signal
from pathlib import Path

from tests.api_clients import ROOM_EVENTS, UserClient, sign_up
from tests.process import Process, processes


async def test_sigterm_closes_sockets_with_1012_and_answers_what_was_asked(database_url: str, tmp_path: Path) -> None:
    async with processes(1, database_url, tmp_path) as [server], await sign_up(server.app, "ann") as ann:
        den = await ann.create_room("den")
        async with ann.connect() as wire:
            await (await wire.subscribe(ROOM_EVENTS, roomId=den)).wait_until_ready()
            sending = [asyncio.create_task(ann.send(den, f"word {n}")) for n in range(20)]
            await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
            server.signal(signal.SIGTERM)
            assert await wire.closed() == (1012, "Service restart")
        answers = await asyncio.gather(*sending, return_exceptions=True)
        assert await server.ended() in (0, -signal.SIGTERM)  # uvicorn hands the signal on when all is done
        await server.start()
        told = {answer["message"]["body"] for answer in answers if isinstance(answer, dict)}
        assert told <= await stored(server, ann, den)


async def stored(server: Process, person: UserClient, room_id: str) -> set[str]:
    history = "query H($id: ID!) { messages(roomId: $id, last: 100) { nodes { body } } }"
    return {node["body"] for node in (await person.execute(history, id=room_id))["messages"]["nodes"]}
