"""Web push from end to end: unseen messages reach the recipient's browsers, encrypted."""

from tests.api_clients import UserClient, sign_up
from tests.conftest import MakeApp
from tests.notifications.browsers import PushService, collect_pending, deliver_pending, push_everything, subscribe
from tests.running_app import RunningApp


async def test_an_unseen_message_is_pushed(make_app: MakeApp, service: PushService) -> None:
    app = await make_app(push_delay_seconds=0.1, push_allowed_hosts=["localhost"])
    async with await sign_up(app, "ann") as ann, await sign_up(app, "bob") as bob:
        room_id = await ann.create_room("den", memberIds=[bob.id])
        browser = await subscribe(bob, service)
        [message] = await ann.send_messages(room_id, "are you *there*?")
        payload = await browser.next_payload()
    assert payload["text"] == "are you there?"
    assert (payload["v"], payload["roomId"], payload["roomName"], payload["roomKind"]) == (1, room_id, "den", "CHANNEL")
    assert (payload["messageId"], payload["seq"], payload["at"]) == (
        message["id"],
        message["seq"],
        message["createdAt"],
    )
    assert (payload["author"], payload["mention"], payload["unread"], payload["badge"]) == ("ann", False, 1, 1)


async def test_a_message_read_before_the_push_is_not_pushed(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    browser = await subscribe(bob, service)
    await ann.send_messages(room_id, "hello")
    assert len(await collect_pending(app)) == 1
    await bob.send_messages(room_id, "I am here")
    await deliver_pending(app)
    assert browser.pushed == []
    assert await collect_pending(app) == []
    await ann.send_messages(room_id, "again")
    await push_everything(app)
    assert (await browser.next_payload())["text"] == "again"
