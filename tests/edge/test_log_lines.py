"""One log line for each socket, and request and trace ids that clients send appear in answers and in the log."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.api_clients import ROOM_MESSAGES, AnonymousClient, SocketClient, UserClient
from tests.process import processes
from tests.running_app import RunningApp, wait_until_all_closed

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def socket_lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if record.name == "roomcast.socket"]


async def test_a_socket_logs_one_line_at_its_end(
    app: RunningApp, ann: UserClient, caplog: pytest.LogCaptureFixture
) -> None:
    room = await ann.create_room("den")
    with caplog.at_level(logging.INFO):
        async with ann.connect() as socket:
            await socket.subscribe(ROOM_MESSAGES, roomId=room)
            await app.wait_for_streams(1)
            await ann.send_messages(room, "one", "two")
            await socket.execute("{ me { user { id } } }")
        await wait_until_all_closed(app)
    [line] = socket_lines(caplog)
    assert line["user_id"] == ann.id
    assert (line["operations"], line["events"], line["close_code"]) == (2, 2, 1000)
    assert line["seconds"] < 60
    assert line["address"] == "127.0.0.1"
    assert len(line["request_id"]) == 36


async def test_the_line_of_a_socket_tells_why_the_server_closed_it(
    app: RunningApp, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with SocketClient(app.ws_url) as socket:
            await socket.send(type="nonsense")
            assert await socket.closed() == (4400, "Unknown message type")
        await wait_until_all_closed(app)
    [line] = socket_lines(caplog)
    assert (line["user_id"], line["close_code"], line["close_reason"]) == (None, 4400, "Unknown message type")


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [
        ("req-7/a.b:c=d+e@f_g", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("two words", False),
        ('quo"te', False),
        ("", False),
        ("käse", False),
    ],
)
async def test_a_request_id_of_the_client_is_kept_if_it_is_well_formed(
    anonymous: AnonymousClient, sent: str, is_kept: bool
) -> None:
    for path in ("/graphql", "/files/nothing", "/nowhere"):
        answer = await anonymous.http.post(path, json={"query": "{"}, headers={b"x-request-id": sent.encode()})
        if path.startswith("/files"):
            answer = await anonymous.http.get(path, headers={b"x-request-id": sent.encode()})
        assert (answer.headers["x-request-id"] == sent) is is_kept
        assert answer.json()["errors"][0]["extensions"]["requestId"] == answer.headers["x-request-id"]


async def test_the_trace_of_a_request_is_in_its_log_line(
    app: RunningApp, ann: UserClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(app.roomcast.backend.credentials, "verify_login", fail)
    login = 'mutation { login(input: {usernameOrEmail: "a", password: "b"}) { errors { code } } }'
    await ann.post({"query": login}, traceparent=TRACEPARENT, **{"x-request-id": "seven"})
    await ann.post({"query": login}, traceparent="00-nonsense-01", **{"x-request-id": "eight"})
    async with ann.connect() as socket:
        payload = {"query": login, "extensions": {"traceparent": TRACEPARENT}}
        await socket.send(type="subscribe", id="1", payload=payload)
        await socket.next_message("1")
    first, second, third = [vars(record) for record in caplog.records if record.exc_info]
    assert (first["request_id"], first["trace_id"]) == ("seven", TRACE)
    assert second["request_id"] == "eight"
    assert "trace_id" not in second
    assert third["trace_id"] == TRACE


async def test_a_stream_over_http_has_the_request_id_of_its_request(
    app: RunningApp, ann: UserClient, caplog: pytest.LogCaptureFixture
) -> None:
    room = await ann.create_room("den")
    headers = {"authorization": f"Bearer {ann.token}", "accept": "text/event-stream", "x-request-id": "seven"}
    body = {"query": ROOM_MESSAGES, "variables": {"roomId": room}}
    with caplog.at_level(logging.INFO):
        async with ann.http.stream("POST", "/graphql", json=body, headers=headers) as answer:
            assert answer.headers["x-request-id"] == "seven"
            await app.wait_for_streams(1)
        await wait_until_all_closed(app)
    [line] = socket_lines(caplog)
    assert line["request_id"] == "seven"


async def test_a_process_writes_one_json_line_for_a_socket(tmp_path: Path, sqlite_template: Path) -> None:
    async with processes(1, f"sqlite:///{tmp_path}/roomcast.db", tmp_path) as [process]:
        before = len(process.log_text().splitlines())
        async with SocketClient(process.ws_url) as socket:
            await socket.init()
        await process.stop()
        lines = [json.loads(line) for line in process.log_text().splitlines()[before:]]
    about = [line for line in lines if "socket" in line["event"] or "connection" in line["event"].lower()]
    assert [line["event"] for line in about] == ["a socket has closed"]
    assert about[0]["close_code"] == 1000
    assert about[0]["logger"] == "roomcast.socket"
