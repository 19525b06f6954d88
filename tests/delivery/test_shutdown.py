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


REQUEST = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def test_a_stopping_server_answers_what_a_proxy_sends_on_an_idle_connection(tmp_path: Path) -> None:
    """The proxy cannot know yet that the server stops. New connections are refused already."""
    url = f"sqlite:///{tmp_path / 'roomcast.db'}"
    async with processes(1, url, tmp_path, trusted_proxies="127.0.0.1") as [server]:
        port = int(server.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        assert b"connection: close" not in (await reader.readuntil(b"}")).lower()
        server.signal(signal.SIGTERM)
        await until_refused(port)
        writer.write(REQUEST)
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer.lower()
        writer.close()


async def until_refused(port: int) -> None:
    async with asyncio.timeout(5):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except (ConnectionRefusedError, ConnectionResetError):  # reset: it was waiting when the listener closed
                return
            writer.close()


async def stored(server: Process, person: UserClient, room_id: str) -> set[str]:
    history = "query H($id: ID!) { messages(roomId: $id, last: 100) { nodes { body } } }"
    return {node["body"] for node in (await person.execute(history, id=room_id))["messages"]["nodes"]}
