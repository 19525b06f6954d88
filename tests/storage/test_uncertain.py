"""The connection dies after COMMIT: nothing is done twice, and nobody is told what is not known."""

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
    async with await sign_up(proxied, "ann") as ann, ann.connect() as wire:
        den = await ann.create_room("den")
        watching = await wire.subscribe(ROOM_MESSAGES, roomId=den)
        await proxied.wait_for_streams(1)
        fault = proxy.cut(b"COMMIT;")
        sent = await ann.send(den, "once")
        assert fault.is_taken
        assert (sent["errors"], sent["replayed"]) == ([], False)
        assert (await watching.next_event())["message"]["id"] == sent["message"]["id"]
        await watching.stop()
    assert await stored(database_url, den) == ["once"]
    assert proxied.roomcast.backend.message_sender.retries == 1


async def test_another_change_says_that_its_outcome_is_unknown(
    proxied: RunningApp, proxy: PostgresProxy, database_url: str
) -> None:
    async with await sign_up(proxied, "ann") as ann:
        den = await ann.create_room("den")
        [message] = await ann.send_messages(den, "before")
        fault = proxy.cut(b"COMMIT;")
        with pytest.raises(GraphQLErrors) as refused:
            await ann.mutate(EDIT, messageId=message["id"], body="after")
        assert fault.is_taken
        assert refused.value.codes == ["TIMEOUT"]
        assert refused.value.errors[0]["extensions"]["retryable"] is True
    assert await stored(database_url, den) == ["after"]


async def test_a_silent_commit_delays_the_others_for_seconds_only(
    proxied: RunningApp, proxy: PostgresProxy, database_url: str
) -> None:
    async with await sign_up(proxied, "ann") as ann:
        den, hall = await ann.create_room("den"), await ann.create_room("hall")
        fault = proxy.stall(b"COMMIT;")
        silent = asyncio.create_task(ann.send(den, "once"))
        await fault.reached.wait()
        async with asyncio.timeout(5):
            assert (await ann.send(hall, "elsewhere"))["errors"] == []
        assert (await silent)["errors"] == []
        fault.release()
    assert await stored(database_url, den) == ["once"]


async def test_a_silent_statement_is_given_up_and_repeated(
    proxied: RunningApp, proxy: PostgresProxy, database_url: str
) -> None:
    async with await sign_up(proxied, "ann") as ann:
        den, hall = await ann.create_room("den"), await ann.create_room("hall")
        fault = proxy.stall(b"room_heads")
        silent = asyncio.create_task(ann.send(den, "once"))
        await fault.reached.wait()
        async with asyncio.timeout(5):
            assert (await ann.send(hall, "elsewhere"))["errors"] == []
        fault.release()
        answer = (await asyncio.gather(silent, return_exceptions=True))[0]
    is_sent = not isinstance(answer, BaseException)
    assert await stored(database_url, den) == (["once"] if is_sent else [])
