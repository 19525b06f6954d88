"""The bus keeps one contract over every broker: what was joined is heard in order, and no gap stays unsaid."""

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


# ------------------------------------------------------------------ hearing


async def test_fifty_who_join_at_once_each_hear_their_frame(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url)
    topics = [f"room:{number}" for number in range(50)]
    await listener.join(*topics)
    sent = [Frame(topic, 1, topic) for topic in topics]
    listener.bus.publish(sent)
    await listener.hears(*sent)
    assert len(listener.frames) == 50


async def test_frames_of_a_topic_arrive_once_and_in_order(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url)
    await listener.join("room:1", "room:2")
    one, two = frames("room:1", 1_000), frames("room:2", 1_000)
    for pair in zip(one, two, strict=True):
        listener.bus.publish(pair)
    await listener.hears(one[-1], two[-1])
    assert listener.heard("room:1") == one
    assert listener.heard("room:2") == two
    assert listener.bus.stats.published == listener.bus.stats.received == 2_000


@between_processes
async def test_processes_hear_each_other(broker: Broker, listen: Open) -> None:
    here, there = await listen(broker.url), await listen(broker.url)
    await here.join("room:1")
    await there.join("room:1")
    here.bus.publish([Frame("room:1", 1, "from here")])
    there.bus.publish([Frame("room:1", 2, "from there")])
    for listener in (here, there):
        await listener.hears(Frame("room:1", 1, "from here"), Frame("room:1", 2, "from there"))


async def test_only_joined_topics_are_heard(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url, shards=1)
    await listener.join("room:1", "room:2", "room:3")
    listener.bus.join("room:2")
    listener.bus.leave("room:2")
    listener.bus.leave("room:3")
    listener.bus.publish(Frame(f"room:{number}", 1, "hello") for number in (4, 3, 2, 1))
    await listener.hears(Frame("room:1", 1, "hello"))
    assert [frame.topic for frame in listener.frames] == ["room:2", "room:1"]


async def test_a_first_join_is_followed_by_a_resync(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url, shards=1)
    await listener.join("room:1")
    await listener.join("room:2")  # on a channel that is heard already
    listener.bus.leave("room:1")
    await listener.join("room:1")
    listener.bus.leave("room:1")
    listener.bus.leave("room:2")
    await listener.join("room:1")  # on a channel that was about to be let go
    assert listener.resynced == {"room:1", "room:2"}


async def test_coming_and_going_costs_those_who_stay_nothing(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url, shards=4)
    await listener.join("room:stays")
    sent = frames("room:stays", 600)

    async def come_and_go(name: str) -> None:
        for seq in range(60):
            await listener.join(name)
            listener.bus.publish([sent.pop(0), Frame(name, seq, "here")])
            await listener.hears(Frame(name, seq, "here"))
            listener.bus.leave(name)

    expected = list(sent)
    await asyncio.gather(*(come_and_go(f"room:{number}") for number in range(10)))
    await listener.hears(expected[-1])
    assert listener.heard("room:stays") == expected


async def test_a_flapping_topic_is_heard_in_the_end(broker: Broker, listen: Open) -> None:
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
    await listener.hears(Frame("room:1", 1, "hello"))


async def test_a_topic_left_while_its_frames_come_is_heard_no_more(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url, shards=1)
    await listener.join("room:1", "room:2")

    class Leaving(list[Frame]):
        def append(self, frame: Frame) -> None:
            super().append(frame)
            listener.bus.leave("room:1")

    listener.frames = Leaving()
    listener.bus.publish([*frames("room:1", 10), Frame("room:2", 1, "the end")])
    await listener.hears(Frame("room:2", 1, "the end"))
    assert listener.heard("room:1") == frames("room:1", 1)


# ------------------------------------------------------------------ losing


async def test_what_does_not_fit_is_owned_up_to(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url, pending=5)
    await listener.join("room:1", "room:2")
    listener.resynced.clear()
    listener.bus.publish(frames("room:1", 400))
    await until(lambda: listener.resynced == {"room:1", "room:2"})
    assert listener.bus.stats.overflows
    await until(lambda: listener.bus.stats.published == 400)
    listener.bus.publish([Frame("room:1", 401, "after the flood")])
    await listener.hears(Frame("room:1", 401, "after the flood"))


async def test_a_frame_too_heavy_for_the_broker_sends_its_readers_to_the_log(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url)
    await listener.join("room:1")
    listener.resynced.clear()
    listener.bus.publish([Frame("room:1", 1, "x" * 2_000_000), Frame("room:1", 2, "light")])
    await listener.hears(Frame("room:1", 2, "light"))
    await until(lambda: listener.resynced == {"room:1"})
    assert len(listener.frames) == 1


@between_processes
async def test_garbage_is_survived(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url, shards=1)
    await listener.join("room:1")
    rests = (b"\n\xff\xfe", b"\nfive\nbody", b"\n5", b"\n-1\nbody", b"\n" + b"9" * 5_000 + b"\nbody", b"\n\n")
    for message in (b"", b"\n", b"\xff\xfe\n1\nbody", b"room:9\n\xff", *(b"room:1" + rest for rest in rests)):
        await broker.shout("roomcast:0", message)
    listener.bus.publish([Frame("room:1", 1, "sense")])
    await listener.hears(Frame("room:1", 1, "sense"))
    assert len(listener.frames) == 1
    assert listener.bus.stats.malformed >= len(rests)


async def test_text_that_cannot_be_sent_holds_up_no_other(broker: Broker, listen: Open) -> None:
    listener = await listen(broker.url)
    await listener.join("room:1")
    listener.bus.publish(
        [Frame("room:1", 1, "half a pair: \ud800"), Frame("room:1", 2, "zero: \0"), Frame("room:1", 3, "")]
    )
    await listener.hears(Frame("room:1", 1, "half a pair: ?"), Frame("room:1", 3, ""))


async def test_a_failing_callback_makes_nobody_deaf(listen: Open, caplog: pytest.LogCaptureFixture) -> None:
    listener = await listen("memory://")
    await listener.join("room:1")

    class Failing(list[Frame]):
        def append(self, frame: Frame) -> None:
            super().append(frame)
            raise ZeroDivisionError

    listener.frames = Failing()
    listener.bus.publish(frames("room:1", 2))
    await listener.hears(*frames("room:1", 2))
    assert {record.name for record in caplog.records} == {"roomcast.bus"}


async def test_more_than_the_queue_holds_is_counted_as_dropped(listen: Open) -> None:
    listener = await listen("memory://")
    listener.bus.publish(frames("room:1", OUTGOING_FRAMES + 10))
    assert listener.bus.stats.dropped == 10
    await until(lambda: listener.bus.stats.published == OUTGOING_FRAMES)


async def test_what_waits_is_bounded_in_size_as_well(listen: Open, monkeypatch: pytest.MonkeyPatch) -> None:
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


# ------------------------------------------------------------------ brokers that go and come


@between_processes
async def test_a_broker_that_restarts_is_found_again(
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
    await listener.hears(*sent)
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
    await listener.hears(Frame("room:1", 2, "hello"))
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@between_processes
async def test_a_bus_stops_while_its_broker_is_away(broker: Broker, listen: Open) -> None:
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
async def test_what_was_published_before_the_end_still_leaves(broker: Broker, listen: Open) -> None:
    here, there = await listen(broker.url), await listen(broker.url)
    await there.join("room:1")
    await until(lambda: here.bus.connected)
    here.bus.publish(frames("room:1", 1_000))
    await here.bus.stop()
    assert here.bus.stats.published == 1_000
    await there.hears(*frames("room:1", 1_000))


@pytest.mark.parametrize("broker", ["redis", "postgresql", "nats"], indirect=True)
async def test_a_connection_that_went_silent_is_given_up(
    broker: Broker, listen: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        await listener.hears(Frame("room:1", 1, "hello"))


# ------------------------------------------------------------------ a sender that is cut off

through_a_proxy = pytest.mark.parametrize("broker", ["redis", "postgresql", "nats"], indirect=True)


@through_a_proxy
async def test_receivers_resync_topics_of_which_the_sender_lost_frames(broker: Broker, listen: Open) -> None:
    async with Proxy(broker.url) as proxy:
        here, there = await listen(proxy.url), await listen(broker.url)
        await there.join("room:1", "room:2", "room:3")
        await until(lambda: here.bus.connected)
        there.resynced.clear()
        proxy.flows.clear()
        here.bus.publish([Frame("room:1", 1, "in flight")])
        await pause(20)
        await proxy.cut()
        await until(lambda: not here.bus.connected and here.bus.stats.dropped == 1)
        here.bus.publish([Frame("room:2", 1, "into the void")])
        await until(lambda: here.bus.stats.dropped == 2)
        proxy.flows.set()
        await proxy.listen()
        await until(lambda: there.resynced == {"room:1", "room:2"})
        assert there.frames == []


@through_a_proxy
async def test_a_sender_that_lost_frames_of_many_topics_has_all_resynced(broker: Broker, listen: Open) -> None:
    async with Proxy(broker.url) as proxy:
        here, there = await listen(proxy.url), await listen(broker.url)
        await there.join("room:1", "room:2")
        there.resynced.clear()
        await until(lambda: here.bus.connected)
        await proxy.cut()
        await until(lambda: not here.bus.connected)
        here.bus.publish(Frame(f"room:lost:{number}", 1, "into the void") for number in range(MAX_LOST_TOPICS + 1))
        await until(lambda: here.bus.stats.dropped == MAX_LOST_TOPICS + 1)
        await proxy.listen()
        await until(lambda: there.resynced == {"room:1", "room:2"})


# ------------------------------------------------------------------ addresses


@pytest.mark.parametrize("broker", ["postgresql"], indirect=True)
async def test_a_pooler_is_gone_around(broker: Broker, listen: Open) -> None:
    listener = await listen("postgresql://nobody@127.0.0.1:1/pooler", direct_url=broker.url)
    await listener.join("room:1")
    listener.bus.publish([Frame("room:1", 1, "direct")])
    await listener.hears(Frame("room:1", 1, "direct"))


def test_an_unknown_broker_is_refused_in_plain_words() -> None:
    with pytest.raises(ValueError, match=r"does not support kafka://. It supports memory://, redis://"):
        Bus("kafka://user:secret@host", on_frame=print, on_resync=print)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "roomcast.realtime.bus.nats", raising=False)
    monkeypatch.setitem(sys.modules, "nats.aio.client", None)
    with pytest.raises(ValueError, match="nats:// needs a driver"):
        Bus("nats://host", on_frame=print, on_resync=print)
