"""The contract of the bus over every broker: frames of joined topics arrive in order, and every gap causes a resync."""

import asyncio
import logging
import sys

import pytest

from roomcast.realtime.bus import bus, incoming
from roomcast.realtime.bus.broker import BrokerBackend
from roomcast.realtime.bus.bus import MAX_LOST_TOPICS, OUTGOING_FRAMES, Bus, Frame
from tests.realtime.broker_servers import KINDS, Broker
from tests.realtime.listener import LIMIT_SECONDS, Open, frames, pause, until
from tests.realtime.proxy import Proxy

between_processes = pytest.mark.parametrize("broker", [kind for kind in KINDS if kind != "memory"], indirect=True)


# ------------------------------------------------------------------ receiving


async def test_fifty_topics_joined_at_once_each_receive_their_frame(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url)
    topics = [f"room:{number}" for number in range(50)]
    await listener.join(*topics)
    sent = [Frame(topic, 1, topic) for topic in topics]
    listener.bus.publish(sent)
    await listener.receives(*sent)
    assert len(listener.frames) == 50


async def test_frames_of_a_topic_arrive_once_and_in_order(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url)
    await listener.join("room:1", "room:2")
    one, two = frames("room:1", 1_000), frames("room:2", 1_000)
    for pair in zip(one, two, strict=True):
        listener.bus.publish(pair)
    await listener.receives(one[-1], two[-1])
    assert listener.frames_of("room:1") == one
    assert listener.frames_of("room:2") == two
    assert listener.bus.stats.published == listener.bus.stats.received == 2_000


@between_processes
async def test_processes_receive_each_others_frames(broker: Broker, listen: Open) -> None:
    first, second = await listen(broker.url), await listen(broker.url)
    await first.join("room:1")
    await second.join("room:1")
    first.bus.publish([Frame("room:1", 1, "from here")])
    second.bus.publish([Frame("room:1", 2, "from there")])
    for listener in (first, second):
        await listener.receives(Frame("room:1", 1, "from here"), Frame("room:1", 2, "from there"))


async def test_only_frames_of_joined_topics_are_received(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url, shards=1)
    await listener.join("room:1", "room:2", "room:3")
    listener.bus.join("room:2")
    listener.bus.leave("room:2")
    listener.bus.leave("room:3")
    listener.bus.publish(Frame(f"room:{number}", 1, "hello") for number in (4, 3, 2, 1))
    await listener.receives(Frame("room:1", 1, "hello"))
    assert [frame.topic for frame in listener.frames] == ["room:2", "room:1"]


async def test_a_first_join_is_followed_by_a_resync(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url, shards=1)
    await listener.join("room:1")
    await listener.join("room:2")  # on a channel that is subscribed already
    listener.bus.leave("room:1")
    await listener.join("room:1")
    listener.bus.leave("room:1")
    listener.bus.leave("room:2")
    await listener.join("room:1")  # on a channel that was about to be unsubscribed
    assert listener.resynced == {"room:1", "room:2"}


async def test_joins_and_leaves_of_other_topics_lose_no_frames(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url, shards=4)
    await listener.join("room:stays")
    sent = frames("room:stays", 600)

    async def join_and_leave(name: str) -> None:
        for seq in range(60):
            await listener.join(name)
            listener.bus.publish([sent.pop(0), Frame(name, seq, "here")])
            await listener.receives(Frame(name, seq, "here"))
            listener.bus.leave(name)

    expected = list(sent)
    await asyncio.gather(*(join_and_leave(f"room:{number}") for number in range(10)))
    await listener.receives(expected[-1])
    assert listener.frames_of("room:stays") == expected


async def test_a_topic_joined_and_left_quickly_is_received_in_the_end(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url)
    await listener.join("room:1")
    for turn in range(200):
        listener.bus.leave("room:1")
        await pause(turn % 3)
        listener.bus.join("room:1")
        await pause(turn % 4)
    listener.bus.leave("room:1")
    await listener.join("room:1")
    listener.bus.publish([Frame("room:1", 1, "hello")])
    await listener.receives(Frame("room:1", 1, "hello"))


async def test_a_topic_left_while_frames_arrive_receives_no_more(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url, shards=1)
    await listener.join("room:1", "room:2")

    class Leaving(list[Frame]):
        def append(self, frame: Frame) -> None:
            super().append(frame)
            listener.bus.leave("room:1")

    listener.frames = Leaving()
    listener.bus.publish([*frames("room:1", 10), Frame("room:2", 1, "the end")])
    await listener.receives(Frame("room:2", 1, "the end"))
    assert listener.frames_of("room:1") == frames("room:1", 1)


# ------------------------------------------------------------------ lost frames


async def test_an_overflow_of_the_incoming_queue_resyncs_every_topic(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url, pending=5)
    await listener.join("room:1", "room:2")
    listener.resynced.clear()
    listener.bus.publish(frames("room:1", 400))
    await until(lambda: listener.resynced == {"room:1", "room:2"})
    assert listener.bus.stats.overflows
    await until(lambda: listener.bus.stats.published == 400)
    listener.bus.publish([Frame("room:1", 401, "after the flood")])
    await listener.receives(Frame("room:1", 401, "after the flood"))


async def test_a_frame_too_large_for_the_broker_resyncs_its_topic(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url)
    await listener.join("room:1")
    listener.resynced.clear()
    listener.bus.publish([Frame("room:1", 1, "x" * 2_000_000), Frame("room:1", 2, "light")])
    await listener.receives(Frame("room:1", 2, "light"))
    await until(lambda: listener.resynced == {"room:1"})
    assert len(listener.frames) == 1


@between_processes
async def test_malformed_messages_are_counted_and_skipped(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url, shards=1)
    await listener.join("room:1")
    rests = (b"\n\xff\xfe", b"\nfive\nbody", b"\n5", b"\n-1\nbody", b"\n" + b"9" * 5_000 + b"\nbody", b"\n\n")
    for message in (b"", b"\n", b"\xff\xfe\n1\nbody", b"room:9\n\xff", *(b"room:1" + rest for rest in rests)):
        await broker.publish_raw("roomcast:0", message)
    listener.bus.publish([Frame("room:1", 1, "sense")])
    await listener.receives(Frame("room:1", 1, "sense"))
    assert len(listener.frames) == 1
    assert listener.bus.stats.malformed >= len(rests)


async def test_text_that_cannot_be_encoded_does_not_block_other_frames(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url)
    await listener.join("room:1")
    listener.bus.publish(
        [Frame("room:1", 1, "half a pair: \ud800"), Frame("room:1", 2, "zero: \0"), Frame("room:1", 3, "")]
    )
    await listener.receives(Frame("room:1", 1, "half a pair: ?"), Frame("room:1", 3, ""))


async def test_a_failing_callback_does_not_end_the_channel(listen: Open, caplog: pytest.LogCaptureFixture) -> None:
    listener = await listen("memory://")
    await listener.join("room:1")

    class Failing(list[Frame]):
        def append(self, frame: Frame) -> None:
            super().append(frame)
            raise ZeroDivisionError

    listener.frames = Failing()
    listener.bus.publish(frames("room:1", 2))
    await listener.receives(*frames("room:1", 2))
    assert {record.name for record in caplog.records} == {"roomcast.bus"}


async def test_frames_above_the_queue_limit_are_counted_as_dropped(listen: Open) -> None:
    listener = await listen("memory://")
    listener.bus.publish(frames("room:1", OUTGOING_FRAMES + 10))
    assert listener.bus.stats.dropped == 10
    await until(lambda: listener.bus.stats.published == OUTGOING_FRAMES)


async def test_both_queues_are_bounded_in_size_too(listen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "OUTGOING_CHARACTERS", 1_000)
    listener = await listen("memory://")
    await listener.join("room:1")
    listener.resynced.clear()
    listener.bus.publish(Frame("room:1", seq, "x" * 400) for seq in range(1, 11))
    assert listener.bus.stats.dropped == 7
    await until(lambda: listener.resynced == {"room:1"})
    monkeypatch.undo()
    listener.resynced.clear()
    monkeypatch.setattr(incoming, "PENDING_CHARACTERS", 1_000)
    listener.bus.publish(Frame("room:1", seq, "x" * 400) for seq in range(11, 21))
    await until(lambda: listener.bus.stats.overflows > 0 and listener.resynced == {"room:1"})


# ------------------------------------------------------------------ brokers that restart


@between_processes
async def test_the_bus_reconnects_to_a_restarted_broker(
    broker: Broker, listen: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    listener = await listen(broker.url)
    topics = [f"room:{number}" for number in range(20)]
    await listener.join(*topics)
    assert listener.bus.connected
    listener.resynced.clear()
    await broker.stop()
    await until(lambda: not listener.bus.connected)
    listener.bus.publish([Frame("room:1", 1, "into the void")])
    await until(lambda: listener.bus.stats.dropped == 1)
    await broker.start()
    await until(lambda: listener.bus.connected and listener.resynced == set(topics))
    sent = [Frame(topic, 2, "back") for topic in topics]
    listener.bus.publish(sent)
    await listener.receives(*sent)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


@between_processes
async def test_a_bus_starts_before_its_broker(broker: Broker, listen: Open, caplog: pytest.LogCaptureFixture) -> None:
    await broker.stop()
    listener = await listen(broker.url)
    listener.bus.join("room:1")
    listener.bus.publish([Frame("room:1", 1, "into the void")])
    await until(lambda: listener.bus.stats.dropped == 1)
    assert not listener.bus.connected
    await broker.start()
    await until(lambda: listener.bus.connected and listener.resynced == {"room:1"})
    listener.bus.publish([Frame("room:1", 2, "hello")])
    await listener.receives(Frame("room:1", 2, "hello"))
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@between_processes
async def test_a_bus_stops_while_its_broker_is_down(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url)
    await listener.join("room:1")
    await broker.stop()
    await until(lambda: not listener.bus.connected)
    async with asyncio.timeout(LIMIT_SECONDS):
        await listener.bus.stop()
    listener.bus.publish([Frame("room:1", 1, "too late")])
    listener.bus.leave("room:1")
    await broker.start()
    assert not listener.bus.connected
    assert listener.bus.stats.published == 0
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("bus")] == []


@between_processes
async def test_frames_published_before_stop_are_still_sent(broker: Broker, listen: Open) -> None:
    first, second = await listen(broker.url), await listen(broker.url)
    await second.join("room:1")
    await until(lambda: first.bus.connected)
    first.bus.publish(frames("room:1", 1_000))
    await first.bus.stop()
    assert first.bus.stats.published == 1_000
    await second.receives(*frames("room:1", 1_000))


@pytest.mark.parametrize("broker", ["redis", "postgresql", "nats"], indirect=True)
async def test_a_silent_connection_is_given_up(broker: Broker, listen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BrokerBackend, "heartbeat_seconds", 0.1)
    async with Proxy(broker.url) as proxy:
        listener = await listen(proxy.url)
        await listener.join("room:1")
        listener.resynced.clear()
        proxy.flows.clear()
        await until(lambda: not listener.bus.connected)
        proxy.flows.set()
        await until(lambda: listener.bus.connected and listener.resynced == {"room:1"})
        listener.bus.publish([Frame("room:1", 1, "hello")])
        await listener.receives(Frame("room:1", 1, "hello"))


# ------------------------------------------------------------------ a sender that is cut off

through_a_proxy = pytest.mark.parametrize("broker", ["redis", "postgresql", "nats"], indirect=True)


@through_a_proxy
async def test_receivers_resync_topics_of_which_the_sender_lost_frames(broker: Broker, listen: Open) -> None:
    async with Proxy(broker.url) as proxy:
        first, second = await listen(proxy.url), await listen(broker.url)
        await second.join("room:1", "room:2", "room:3")
        await until(lambda: first.bus.connected)
        second.resynced.clear()
        proxy.flows.clear()
        first.bus.publish([Frame("room:1", 1, "in flight")])
        await pause(20)
        await proxy.cut()
        await until(lambda: not first.bus.connected and first.bus.stats.dropped == 1)
        first.bus.publish([Frame("room:2", 1, "into the void")])
        await until(lambda: first.bus.stats.dropped == 2)
        proxy.flows.set()
        await proxy.listen()
        await until(lambda: second.resynced == {"room:1", "room:2"})
        assert second.frames == []


@through_a_proxy
async def test_receivers_resync_all_topics_if_a_sender_lost_frames_of_many(broker: Broker, listen: Open) -> None:
    async with Proxy(broker.url) as proxy:
        first, second = await listen(proxy.url), await listen(broker.url)
        await second.join("room:1", "room:2")
        second.resynced.clear()
        await until(lambda: first.bus.connected)
        await proxy.cut()
        await until(lambda: not first.bus.connected)
        first.bus.publish(Frame(f"room:lost:{number}", 1, "into the void") for number in range(MAX_LOST_TOPICS + 1))
        await until(lambda: first.bus.stats.dropped == MAX_LOST_TOPICS + 1)
        await proxy.listen()
        await until(lambda: second.resynced == {"room:1", "room:2"})


# ------------------------------------------------------------------ addresses


def test_an_unknown_broker_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"does not support kafka://. It supports memory://, redis://"):
        Bus("kafka://user:secret@host", on_frame=print, on_resync=print)


def test_an_error_names_a_missing_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "roomcast.realtime.bus.nats", raising=False)
    monkeypatch.setitem(sys.modules, "nats.aio.client", None)
    with pytest.raises(ValueError, match="nats:// needs a driver"):
        Bus("nats://host", on_frame=print, on_resync=print)
