"""Sending messages: idempotent, in order, and with valid bodies."""

import asyncio
import uuid

import pytest

from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.ids import local_id
from roomcast.messages.actions import NewMessage, Sent, send_messages
from tests.api_clients import ROOM_MESSAGES, UserClient
from tests.messages.documents import EDIT, codes
from tests.running_app import RunningApp
from tests.statements import statements


async def test_a_sent_message_reaches_subscribers(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    await bob.join(room_id)
    async with bob.connect() as socket:
        subscription = await socket.subscribe(ROOM_MESSAGES, roomId=room_id)
        await ann.app.wait_for_streams(1)
        sent = await ann.send(room_id, "hello")
        received = await subscription.next_event()
    assert received["message"]["id"] == sent["message"]["id"]
    assert received["message"]["body"] == "hello"
    assert received["message"]["author"] == {"username": "ann"}
    assert received["cursor"] == sent["cursor"]
    assert received["replayed"] is False


async def test_ten_concurrent_sends_with_one_key_make_one_message(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    key = str(uuid.uuid4())
    payloads = await asyncio.gather(*(ann.send(room_id, "once", clientMessageId=key) for _ in range(10)))
    assert {payload["message"]["id"] for payload in payloads} == {f"msg_{key}"}
    assert sorted(payload["replayed"] for payload in payloads) == [False] + [True] * 9
    assert (await ann.send(room_id, "again", clientMessageId=key))["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_fifty_concurrent_sends_leave_no_gap_in_the_sequence(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    payloads = await asyncio.gather(*(ann.send(room_id, f"number {n}") for n in range(50)))
    assert sorted(payload["message"]["seq"] for payload in payloads) == list(range(2, 52))


async def test_the_payload_of_a_send_reads_nothing_again(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    [answered] = await ann.send_messages(room_id, "question")
    document = """mutation($input: SendMessageInput!) { sendMessage(input: $input) { message {
        seq author { username bio } room { name } replyTo { id seq body } attachments { filename } } } }"""
    with statements() as executed:
        await ann.send(room_id, "answer", replyToId=answered["id"])
    with statements() as with_more_fields:
        sent = await ann.execute(document, input={"roomId": room_id, "body": "answer", "replyToId": answered["id"]})
    assert sorted(with_more_fields) == sorted(executed)
    message = sent["sendMessage"]["message"]
    assert message["author"] == {"username": "ann", "bio": None}
    assert message["room"] == {"name": "den"}
    assert message["replyTo"] == {"id": answered["id"], "seq": answered["seq"], "body": "question"}


async def test_a_message_and_its_reply_in_one_group_have_their_seq(app: RunningApp, ann: UserClient) -> None:
    room_id = local_id("room", await ann.create_room("den"))
    user_id = local_id("user", ann.id)
    assert user_id is not None
    actor = Actor(user_id, uuid.uuid4(), is_admin=False, token_expires_at=now())
    first = NewMessage(actor, room_id, "first")
    reply = NewMessage(actor, room_id, "reply", reply_to=f"msg_{first.message_id}")
    async with app.roomcast.db.work() as work:
        results = await send_messages(work, [first, reply])
    assert [result.message.seq for result in results if isinstance(result, Sent)] == [2, 3]
    assert isinstance(results[1], Sent)
    assert results[1].reply_to is not None
    assert results[1].reply_to.seq == 2


@pytest.mark.parametrize(
    "body",
    [
        "\U0001fae8 newer than Python",
        "שלום\u200f!",
        "\u202bمرحبا\u202c",
        "\u2068א\u2069",
        "co\u00adop",
        "a\u200bb",
        "\uf8ff",
        "a\tb\r\nc",
    ],
)
async def test_a_body_in_any_script_is_stored_unchanged(ann: UserClient, body: str) -> None:
    room_id = await ann.create_room("den")
    [message] = await ann.send_messages(room_id, body)
    assert message["body"] == body
    assert (await ann.mutate(EDIT, messageId=message["id"], body=body + "!"))["message"]["body"] == body + "!"


@pytest.mark.parametrize(
    "body", ["", " \n\u00a0\u3000", "\u200d\u200b", "\ufe0f", "\u3164", "a\0b", "\x1b[31m", "a\x85b"]
)
async def test_a_body_without_visible_text_or_with_control_characters_is_refused(ann: UserClient, body: str) -> None:
    room_id = await ann.create_room("den")
    [message] = await ann.send_messages(room_id, "words")
    assert codes(await ann.send(room_id, body)) == ["VALIDATION_FAILED"]
    assert codes(await ann.mutate(EDIT, messageId=message["id"], body=body)) == ["VALIDATION_FAILED"]
