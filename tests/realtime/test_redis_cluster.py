"""The bus over Redis Cluster: a subscription is at the node that owns its slot, and follows the slot."""

import asyncio
from typing import Any

import pytest
import redis
from redis.crc import key_slot

from roomcast.realtime.bus.bus import Frame
from tests.realtime.broker_servers import Broker
from tests.realtime.listener import Open, pause, until
from tests.servers import Server

pytestmark = pytest.mark.parametrize("broker", ["redis-cluster"], indirect=True)


async def test_a_subscription_follows_its_slot_to_another_node(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url, shards=1)
    await listener.join("room:1")
    listener.bus.leave("room:1")
    await pause(10)
    await listener.join("room:1")  # an unsubscription by us is not taken for a moved slot, nor the other way round
    listener.resynced.clear()
    await asyncio.to_thread(move, key_slot(b"roomcast:0"), broker.servers)
    await until(lambda: listener.bus.connected and listener.resynced == {"room:1"})
    listener.bus.publish([Frame("room:1", 1, "moved")])
    await listener.receives(Frame("room:1", 1, "moved"))


async def test_a_lost_node_does_not_interrupt_the_others(broker: Broker, listen: Open) -> None:
    topics = [f"room:{number}" for number in range(60)]
    listener = await listen(broker.url)
    await listener.join(*topics)
    before = listener.bus.stats.connects
    await asyncio.to_thread(broker.servers[0].stop, kill=True)
    await until(lambda: not listener.bus.connected)
    listener.resynced.clear()
    listener.bus.publish(Frame(topic, 1, "anyone there") for topic in topics)
    await until(lambda: listener.bus.stats.published + listener.bus.stats.dropped == len(topics))
    await until(lambda: len(listener.frames) == listener.bus.stats.published > 0)
    assert listener.bus.stats.dropped
    assert not listener.resynced
    await asyncio.to_thread(broker.servers[0].start)
    await until(lambda: listener.bus.connected)
    assert listener.bus.stats.connects == before + 1


def move(slot: int, servers: list[Server]) -> None:
    """Move an empty slot from the first node to the second."""
    clients: list[Any] = [redis.Redis.from_url(server.url) for server in servers]
    source, target, _ = clients
    source_id, target_id = (client.execute_command("CLUSTER MYID").decode() for client in (source, target))
    target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", source_id)
    source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", target_id)
    for client in (target, source):
        client.execute_command("CLUSTER SETSLOT", slot, "NODE", target_id)
    for client in clients:
        client.close()
