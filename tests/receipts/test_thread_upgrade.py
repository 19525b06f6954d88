"""Migration 0008: who took part in an existing thread follows it, and everything counts as read."""

import asyncio

import pytest
from alembic import command

from roomcast.core import migrations
from tests.api_clients import UserClient
from tests.receipts.documents import followed, reply
from tests.receipts.test_unread import unread


@pytest.mark.plain_tables
async def test_who_took_part_in_an_existing_thread_follows_it(
    ann: UserClient, bob: UserClient, cleo: UserClient, database_url: str
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id, cleo.id])
    [root, other, _alone] = await ann.send_messages(room_id, "topic", "@cleo", "@bob")
    await reply(bob, room_id, root)
    await reply(ann, room_id, root, "@cleo")
    await reply(bob, room_id, other, "@room")
    await asyncio.to_thread(command.downgrade, migrations.config(database_url), "0007")
    await migrations.upgrade(database_url)
    both = [(other["id"], 0), (root["id"], 0)]
    assert [await followed(person) for person in (ann, bob, cleo)] == [both, both, both]
    # What was unread outside threads still is.
    assert [(await unread(person, room_id))["mentionCount"] for person in (ann, bob, cleo)] == [0, 1, 1]
    await reply(ann, room_id, root, "@bob")
    assert [await followed(person, unreadOnly=True) for person in (bob, cleo)] == [[(root["id"], 1)]] * 2
    assert [(await unread(person, room_id))["mentionCount"] for person in (ann, bob, cleo)] == [0, 2, 1]
