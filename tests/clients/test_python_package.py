"""clients/python against the real server: in this process, and as a wheel that was installed into an empty folder."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from uuid import uuid4

import pytest

from roomcast_client import (
    MemberChanged,
    MessageCreated,
    MessageDeleted,
    MessageUpdated,
    ReactionChanged,
    Roomcast,
    RoomcastError,
    RoomChanged,
    RoomEvent,
    SignInRequired,
    StreamEnded,
    StreamReady,
    Tokens,
    User,
)
from roomcast_client.events import read_event
from tests.api_clients import PASSWORD, UserClient
from tests.clients.proxy import Proxy
from tests.running_app import RunningApp

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "clients" / "python"


@asynccontextmanager
async def signed_in(user: UserClient, url: str | None = None) -> AsyncIterator[Roomcast]:
    """A client that acts for the user of a test. `url`: a proxy's."""
    assert user.token is not None
    tokens = Tokens(user.token, datetime.max.replace(tzinfo=UTC), user.refresh_token)
    async with Roomcast(url or user.app.url, tokens=tokens) as roomcast:
        yield roomcast


async def bodies(events: AsyncIterator[RoomEvent], count: int) -> list[str | None]:
    """The bodies of that many new messages."""
    found: list[str | None] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            event = await anext(events)
            if isinstance(event, MessageCreated):
                found.append(event.message.body)
    return found


# ------------------------------------------------------------------ streams


async def test_two_streams_of_one_room_lose_and_repeat_nothing_when_the_connection_is_cut(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with Proxy(ann.app.url) as proxy, signed_in(ann, proxy.url) as roomcast:
        room = await roomcast.room(room_id)
        cursor = (await room.messages()).stream_cursor
        async with aclosing(room.events(after=cursor)) as early, aclosing(room.events(after=cursor)) as late:
            sent = ["0"]
            await ann.send_messages(room_id, "0")
            assert await bodies(early, 1) == ["0"]  # the other stream has not begun yet
            for round_ in range(3):
                proxy.cut()
                await ann.app.wait_for_streams(0)
                sent += [f"{round_}a", f"{round_}b"]
                await ann.send_messages(room_id, *sent[-2:])
                assert await bodies(early, 2) == sent[-2:]
            assert await bodies(late, len(sent)) == sent


async def test_a_slow_reader_holds_up_no_other_and_loses_nothing(
    ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roomcast_client.socket.WAITING_EVENTS", 5)
    room_id = await ann.create_room("den")
    async with signed_in(ann) as roomcast:
        room = await roomcast.room(room_id)
        cursor = (await room.messages()).stream_cursor
        async with aclosing(room.events(after=cursor)) as slow, aclosing(room.events(after=cursor)) as quick:
            sent = [str(number) for number in range(40)]
            await ann.send_messages(room_id, *sent[:1])
            assert await bodies(slow, 1) == sent[:1]
            await ann.send_messages(room_id, *sent[1:])
            assert await bodies(quick, 40) == sent
            assert await bodies(slow, 39) == sent[1:]


async def test_more_streams_than_a_socket_may_have_use_another_socket(
    ann: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roomcast_client.socket.STREAMS_PER_SOCKET", 2)
    room_id = await ann.create_room("den")
    async with signed_in(ann) as roomcast:
        room = await roomcast.room(room_id)
        streams = [room.events() for _ in range(5)]
        ready = [await anext(stream) for stream in streams]
        assert all(isinstance(event, StreamReady) for event in ready)
        assert len(ann.app.roomcast.sockets.connections) == 3
        for stream in streams:
            await stream.aclose()
        await ann.app.wait_for_streams(0)


async def test_every_kind_of_event_is_a_class(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    [message] = await ann.send_messages(room_id, "hello")
    async with signed_in(ann) as roomcast, aclosing((await roomcast.room(room_id)).events()) as events:
        assert isinstance(await anext(events), StreamReady)
        await bob.join(room_id)
        await ann.execute(
            "mutation ($edit: EditMessageInput!, $react: AddReactionInput!, $room: UpdateRoomInput!, "
            "$delete: DeleteMessageInput!) { editMessage(input: $edit) { errors { code } } "
            "addReaction(input: $react) { errors { code } } updateRoom(input: $room) { errors { code } } "
            "deleteMessage(input: $delete) { errors { code } } }",
            edit={"messageId": message["id"], "body": "hello!"},
            react={"messageId": message["id"], "emoji": "👍"},
            room={"roomId": room_id, "topic": "tea"},
            delete={"messageId": message["id"]},
        )
        await ann.execute("mutation ($id: ID!) { deleteRoom(input: {roomId: $id}) { errors { code } } }", id=room_id)
        async with asyncio.timeout(10):
            found = [event async for event in events if not isinstance(event, MessageCreated)]
    expected = [
        (MemberChanged, "change", "JOINED"),
        (MessageUpdated, "reason", "EDITED"),
        (ReactionChanged, "emoji", "👍"),
        (RoomChanged, "topic", "tea"),
        (MessageDeleted, "deleted_by", User(ann.id, "ann", "ann")),
        (StreamEnded, "reason", "ROOM_DELETED"),
    ]
    assert [type(event) for event in found] == [kind for kind, _, _ in expected]
    assert [getattr(event, name) for event, (_, name, _) in zip(found, expected, strict=True)] == [
        value for _, _, value in expected
    ]


def test_an_event_of_an_unknown_kind_has_its_position() -> None:
    data = {"__typename": "New", "roomId": "room_1", "cursor": "c", "at": "2026-01-01T00:00:00Z", "replayed": False}
    assert type(read_event(data)) is RoomEvent
    assert read_event(data).cursor == "c"


async def test_a_room_that_cannot_be_read_ends_the_stream_with_an_error(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", visibility="PRIVATE")
    async with signed_in(ann) as mine, signed_in(bob) as theirs:
        room = await mine.room(room_id)
        room._roomcast = theirs
        with pytest.raises(RoomcastError) as refused:
            await asyncio.wait_for(anext(room.events()), 10)
    assert refused.value.code == "NOT_FOUND"


async def test_a_server_that_is_frozen_is_noticed(ann: UserClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next ping comes after 12 seconds: with a limit of 0.12 seconds this is a server that is silent."""
    room_id = await ann.create_room("den")
    monkeypatch.setattr("roomcast_client.socket.SILENT_HEARTBEATS", 0.01)
    async with signed_in(ann) as roomcast, aclosing((await roomcast.room(room_id)).events()) as events:
        first = await anext(events)
        second = await asyncio.wait_for(anext(events), 10)  # of the next connection
    assert isinstance(first, StreamReady)
    assert isinstance(second, StreamReady)


# ------------------------------------------------------------------ requests


async def test_a_message_whose_answer_was_lost_is_stored_once(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with Proxy(ann.app.url) as proxy, signed_in(ann, proxy.url) as roomcast:
        room = await roomcast.room(room_id)
        for number in range(5):
            proxy.lose_answers = 1
            await room.send(str(number))
            assert proxy.lose_answers == 0
        page = await room.messages()
    assert [message.body for message in page.messages if message.kind == "USER"] == ["0", "1", "2", "3", "4"]


async def test_a_refused_request_raises_its_code_at_once(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with signed_in(ann) as roomcast:
        room = await roomcast.room(room_id)
        with pytest.raises(RoomcastError) as refused:
            await room.send("x" * 5_000)
        assert (refused.value.code, refused.value.path) == ("MESSAGE_TOO_LONG", ("input", "body"))
        with pytest.raises(RoomcastError, match="GRAPHQL_VALIDATION_FAILED"):
            await roomcast.execute("{ nothing }")
        with pytest.raises(RoomcastError, match="NOT_FOUND"):
            await roomcast.room_by_name("nowhere")


async def test_a_server_that_stays_away_is_reported_when_the_time_is_over(ann: UserClient) -> None:
    async with Proxy(ann.app.url) as proxy:
        url = proxy.url
    async with Roomcast(url, retry_seconds=0.5) as roomcast:
        with pytest.raises(RoomcastError) as lost:
            await roomcast.login("ann", PASSWORD)
    assert (lost.value.code, lost.value.is_retryable) == ("CONNECTION_LOST", True)


async def test_rooms_and_history_are_read_page_by_page(ann: UserClient, bob: UserClient) -> None:
    async with signed_in(ann) as roomcast:
        key = uuid4()
        den = await roomcast.create_room("den", idempotency_key=key, topic="tea")
        assert (await roomcast.create_room("den", idempotency_key=key, topic="tea")).id == den.id
        assert [room.topic async for room in roomcast.rooms()] == ["tea"]
        root = await den.send("0")
        reply = await den.send("in the thread", thread=root.id)
        await ann.send_messages(den.id, *map(str, range(1, 5)))
        newest = await den.messages(last=3)
        oldest = await den.messages(last=3, before=newest.before)
        assert [message.body for message in (*oldest.messages, *newest.messages)][-5:] == list("01234")
        assert oldest.before is None
        assert [message.id for message in (await den.messages(thread=root.id)).messages] == [reply.id]
    async with signed_in(bob) as roomcast:
        assert (await roomcast.join(den.id)).name == "den"


# ------------------------------------------------------------------ sessions


async def test_tokens_are_renewed_once_for_all_that_wait_and_given_to_the_program(app: RunningApp) -> None:
    stored: list[Tokens] = []
    async with Roomcast(app.url, on_tokens=stored.append) as roomcast:
        ann = await roomcast.signup("ann", PASSWORD)
    expired = Tokens(stored[-1].access_token, datetime.now(UTC), stored[-1].refresh_token)
    async with Roomcast(app.url, tokens=expired, on_tokens=stored.append) as roomcast:
        assert await asyncio.gather(*(roomcast.viewer() for _ in range(10))) == [ann] * 10
    assert len(stored) == 2


async def test_a_machine_whose_clock_is_wrong_uses_a_token_until_the_server_refuses_it(
    app: RunningApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=1)

    monkeypatch.setattr("roomcast_client.session.datetime", Tomorrow)
    stored: list[Tokens] = []
    async with Roomcast(app.url, on_tokens=stored.append) as roomcast:
        await roomcast.signup("ann", PASSWORD)
        await roomcast.viewer()
        await roomcast.viewer()
    assert len(stored) == 1


async def test_a_session_that_has_ended_asks_for_a_new_sign_in(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    async with signed_in(ann) as roomcast:
        with pytest.raises(SignInRequired):
            await Roomcast(ann.app.url).viewer()
        room = await roomcast.room(room_id)
        async with aclosing(room.events()) as events:
            await anext(events)
            await ann.execute("mutation { logout { errors { code } } }")
            ended = await asyncio.wait_for(anext(events), 10)
        assert isinstance(ended, StreamEnded)
        assert ended.reason == "SESSION_REVOKED"
        with pytest.raises(SignInRequired):
            await roomcast.viewer()
        with pytest.raises(SignInRequired):
            await anext(room.events())
        me = await roomcast.login("ann", PASSWORD)
        assert isinstance(await anext(room.events()), StreamReady)
        assert me.id == ann.id
        await roomcast.logout()
        with pytest.raises(SignInRequired):
            await roomcast.viewer()


# ------------------------------------------------------------------ the package


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an empty environment with the wheel; its dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("installed")
    for command in (
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        [sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")],
    ):
        run(command, cwd=PACKAGE)
    python = folder / "venv" / "bin" / "python"
    [wheel] = folder.glob("*.whl")
    run([sys.executable, "-m", "pip", "--python", str(python), "install", "-qq", "--no-index", "--no-deps", str(wheel)])
    [packages] = (folder / "venv" / "lib").glob("*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python


def run(command: list[str], cwd: Path | None = None) -> None:
    subprocess.run(command, check=True, cwd=cwd, capture_output=True)


@asynccontextmanager
async def program(python: Path, path: Path, **environment: str) -> AsyncIterator[Process]:
    """A running program, killed at the end of the block. What it says is shown when the test fails."""
    process = await asyncio.create_subprocess_exec(python, path, env={**os.environ, **environment})
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def answers(user: UserClient, room_id: str, count: int) -> list[str]:
    """What the bot has said, when it has said so much."""
    query = "query ($id: ID!) { messages(roomId: $id, last: 100) { nodes { body author { username } } } }"
    async with asyncio.timeout(30):
        while True:
            nodes = (await user.execute(query, id=room_id))["messages"]["nodes"]
            said = [node["body"] for node in nodes if node["author"] and node["author"]["username"] == "echo"]
            if len(said) >= count:
                return said
            await asyncio.sleep(0.05)


async def test_the_bot_of_the_readme_answers_each_message_once_while_its_connections_are_cut(
    ann: UserClient, installed: Path, tmp_path: Path
) -> None:
    [text] = re.findall(r"```python\n# bot.py\n(.*?)```", (PACKAGE / "README.md").read_text(), re.DOTALL)
    assert len([line for line in text.splitlines() if line]) <= 15
    (tmp_path / "bot.py").write_text(text)
    room_id = await ann.create_room("lobby")
    async with Proxy(ann.app.url) as proxy:
        async with Roomcast(ann.app.url) as roomcast:
            await roomcast.signup("echo", PASSWORD)
            await roomcast.join(room_id)
        async with program(installed, tmp_path / "bot.py", ROOMCAST_URL=proxy.url, ECHO_PASSWORD=PASSWORD):
            await ann.app.wait_for_streams(1, 20)
            for number in range(4):
                await ann.send_messages(room_id, str(number))
                proxy.cut()
            assert await answers(ann, room_id, 4) == [f"You said: {number}" for number in range(4)]


async def test_the_example_bot_answers_each_message_once_although_it_is_killed(
    ann: UserClient, installed: Path, tmp_path: Path
) -> None:
    room_id = await ann.create_room("lobby")
    async with Roomcast(ann.app.url) as roomcast:
        await roomcast.signup("echo", PASSWORD)
        await roomcast.join(room_id)
    environment = {
        "ROOMCAST_URL": ann.app.url,
        "BOT_USERNAME": "echo",
        "BOT_PASSWORD": PASSWORD,
        "BOT_ROOM": "lobby",
        "BOT_STATE": str(tmp_path / "state.json"),
    }
    bot = ROOT / "examples" / "bot-python" / "bot.py"
    sent: list[str] = []
    for round_ in range(3):
        async with program(installed, bot, **environment):
            await ann.app.wait_for_streams(1, 20)
            sent += [f"{round_}a", f"{round_}b"]
            await ann.send_messages(room_id, *sent[-2:])
            assert len(await answers(ann, room_id, len(sent) - 1)) >= len(sent) - 1  # killed in the middle
        await ann.app.wait_for_streams(0)
    async with program(installed, bot, **environment):
        assert await answers(ann, room_id, len(sent)) == [f"You said: {body}" for body in sent]
    assert json.loads((tmp_path / "state.json").read_text()).keys() == {"cursor", "tokens"}
