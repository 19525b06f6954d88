"""Web push: whoever was called and did not look is told, by their own browser, in words that only it can read."""

from tests.api_clients import UserClient, sign_up
from tests.conftest import MakeApp
from tests.notifications.browsers import PushService, noticed, said, subscribe, told
from tests.running_app import RunningApp


async def test_a_message_comes_to_a_browser_that_was_closed(make_app: MakeApp, service: PushService) -> None:
    app = await make_app(push_delay_seconds=0.1, push_allowed_hosts=["localhost"])
    async with await sign_up(app, "ann") as ann, await sign_up(app, "bob") as bob:
        den = await ann.create_room("den", memberIds=[bob.id])
        browser = await subscribe(bob, service)
        [message] = await ann.send_messages(den, "are you *there*?")
        heard = await browser.hears()
    assert heard["text"] == "are you there?"
    assert (heard["v"], heard["roomId"], heard["roomName"], heard["roomKind"]) == (1, den, "den", "CHANNEL")
    assert (heard["messageId"], heard["seq"], heard["at"]) == (message["id"], message["seq"], message["createdAt"])
    assert (heard["author"], heard["mention"], heard["unread"], heard["badge"]) == ("ann", False, 1, 1)


async def test_who_has_read_it_by_then_hears_nothing(
    app: RunningApp, ann: UserClient, bob: UserClient, service: PushService
) -> None:
    den = await ann.create_room("den", memberIds=[bob.id])
    browser = await subscribe(bob, service)
    await ann.send_messages(den, "hello")
    assert len(await noticed(app)) == 1
    await bob.send_messages(den, "I am here")
    await said(app)
    assert browser.pushed == []
    assert await noticed(app) == []
    await ann.send_messages(den, "again")
    await told(app)
    assert (await browser.hears())["text"] == "again"
