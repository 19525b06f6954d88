"""The connection is lost after COMMIT: no change is made twice, and an unknown outcome is reported as unknown."""

import asyncio

import pytest

from tests.api_clients import ROOM_MESSAGES, GraphQLErrors, sign_up
from tests.running_app import RunningApp
from tests.storage.conftest import ON_POSTGRESQL, stored
from tests.storage.proxy import PostgresProxy

pytestmark = ON_POSTGRESQL

EDIT = "mutation($input: EditMessageInput!) { editMessage(input: $input) { errors { code } message { body } } }"


async def test_a_message_without_a_key_is_stored_once(
    proxied: RunningApp, proxy: PostgresProxy, database_url: str
) -> None:
    async with await sign_up(proxied, "ann") as ann, ann.connect() as connection:
        room_id = await ann.create_room("den")
        subscription = await connection.subscribe(ROOM_MESSAGES, roomId=room_id)
        await proxied.wait_for_streams(1)
        fault = proxy.cut(b"COMMIT;")
        sent = await ann.send(room_id, "once")
        assert fault.is_taken
        assert (sent["errors"], sent["replayed"]) == ([], False)
        assert (await subscription.next_event())["message"]["id"] == sent["message"]["id"]
        await subscription.stop()
    assert await stored(database_url, room_id) == ["once"]
    assert proxied.roomcast.backend.message_sender.retries == 1


async def test_another_change_reports_that_its_outcome_is_unknown(
    proxied: RunningApp, proxy: PostgresProxy, database_url: str
) -> None:
    async with await sign_up(proxied, "ann") as ann:
        room_id = await ann.create_room("den")
        [message] = await ann.send_messages(room_id, "before")
        fault = proxy.cut(b"COMMIT;")
        with pytest.raises(GraphQLErrors) as refused:
            await ann.mutate(EDIT, messageId=message["id"], body="after")
        assert fault.is_taken
        assert refused.value.codes == ["TIMEOUT"]
        assert refused.value.errors[0]["extensions"]["retryable"] is True
    assert await stored(database_url, room_id) == ["after"]


async def test_an_unconfirmed_commit_delays_other_sends_by_seconds_only(
    proxied: RunningApp, proxy: PostgresProxy, database_url: str
) -> None:
    async with await sign_up(proxied, "ann") as ann:
        room_id, other_room_id = await ann.create_room("den"), await ann.create_room("hall")
        fault = proxy.stall(b"COMMIT;")
        silent = asyncio.create_task(ann.send(room_id, "once"))
        await fault.reached.wait()
        async with asyncio.timeout(5):
            assert (await ann.send(other_room_id, "elsewhere"))["errors"] == []
        assert (await silent)["errors"] == []
        fault.release()
    assert await stored(database_url, room_id) == ["once"]


async def test_a_statement_without_an_answer_is_abandoned_and_retried(
    proxied: RunningApp, proxy: PostgresProxy, database_url: str
) -> None:
    async with await sign_up(proxied, "ann") as ann:
        room_id, other_room_id = await ann.create_room("den"), await ann.create_room("hall")
        fault = proxy.stall(b"room_heads")
        silent = asyncio.create_task(ann.send(room_id, "once"))
        await fault.reached.wait()
        async with asyncio.timeout(5):
            assert (await ann.send(other_room_id, "elsewhere"))["errors"] == []
        fault.release()
        answer = (await asyncio.gather(silent, return_exceptions=True))[0]
    is_sent = not isinstance(answer, BaseException)
    assert await stored(database_url, room_id) == (["once"] if is_sent else [])
