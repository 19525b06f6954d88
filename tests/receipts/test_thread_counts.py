"""Random steps of three users: the counts of threads and mentions equal those of a simple model after each step."""

import random

import pytest

from tests.api_clients import Json, UserClient
from tests.conftest import MakeApp
from tests.messages.documents import DELETE, EDIT
from tests.receipts.documents import FOLLOW, MARK_THREAD_READ
from tests.receipts.test_unread import MARK_READ
from tests.receipts.thread_model import ModelMessage, ThreadModel
from tests.running_app import RunningApp

BODIES = ["hello", "@ann", "@bob", "@cleo", "@room", "@room @bob", "@ann and @cleo"]
STEPS = {
    "send": 4,
    "reply": 12,
    "edit": 2,
    "delete": 2,
    "mark_read": 3,
    "mark_thread_read": 5,
    "follow": 3,
    "leave": 2,
    "join": 6,
}
STEP_COUNT = 60
NODES = "{ nodes { root { id } viewerUnreadCount } }"
COUNTS = (
    "query Counts($room: ID!) { threads " + NODES + " unread: threads(unreadOnly: true) " + NODES + " "
    "room(id: $room) { viewerMembership { mentionCount } } }"
)


@pytest.fixture
async def app(make_app: MakeApp) -> RunningApp:
    return await make_app(rate_limits="off")


def _counts(threads: Json) -> list[tuple[str, int]]:
    return [(node["root"]["id"], node["viewerUnreadCount"]) for node in threads["nodes"]]


class RandomWalk:
    """Takes random steps in one room, at the server and in the model. `ann` owns the room and stays in it."""

    def __init__(self, seed: int, room_id: str, people: dict[str, UserClient]) -> None:
        self.random, self.room_id, self.people, self.model = random.Random(seed), room_id, people, ThreadModel()

    async def step(self) -> str:
        [name] = self.random.choices(list(STEPS), list(STEPS.values()))
        person = self.random.choice(list(self.people))
        is_member, has_root = person in self.model.joined, bool(self.model.roots)
        if is_member != (name != "join") or (not has_root and name not in ("send", "join", "leave")):
            return "nothing"
        await getattr(self, f"_{name}")(person)
        return f"{person}: {name}"

    async def run(self, person: str, document: str, **arguments: object) -> None:
        payload = await self.people[person].mutate(document, **arguments)
        assert payload["errors"] == [], (document, payload)

    async def check(self) -> None:
        """Compare what each user is shown with the model."""
        for name, person in self.people.items():
            shown = await person.execute(COUNTS, room=self.room_id)
            expected = self.model.followed(name)
            assert _counts(shown["threads"]) == expected
            assert _counts(shown["unread"]) == [(root, count) for root, count in expected if count]
            membership = shown["room"]["viewerMembership"]
            mentions = self.model.mention_count(name) if name in self.model.joined else None
            assert (membership and membership["mentionCount"]) == mentions, name

    async def _send(self, person: str, root: ModelMessage | None = None) -> None:
        body, more = self.random.choice(BODIES), {"threadRootId": root.id} if root else {}
        sent = await self.people[person].send(self.room_id, body, **more)
        self.model.send(sent["message"]["id"], person, root, body)

    async def _reply(self, person: str) -> None:
        await self._send(person, self.random.choice(self.model.roots[-5:]))

    async def _edit(self, person: str) -> None:
        if own := self._own(person):
            message, body = self.random.choice(own), self.random.choice(BODIES)
            await self.run(person, EDIT, messageId=message.id, body=body + "!")
            self.model.edit(message, body)

    async def _delete(self, person: str) -> None:
        if own := self._own(person):
            message = self.random.choice(own)
            await self.run(person, DELETE, messageId=message.id)
            self.model.delete(message)

    def _own(self, person: str) -> list[ModelMessage]:
        return [message for message in self.model.messages if message.author == person and not message.is_deleted]

    async def _mark_read(self, person: str) -> None:
        message = self.random.choice(self.model.messages[-5:])
        await self.run(person, MARK_READ, roomId=self.room_id, upToMessageId=message.id)
        self.model.mark_read(person, message)

    async def _mark_thread_read(self, person: str) -> None:
        if replies := [message for message in self.model.messages if message.root]:
            message = self.random.choice(replies[-10:])
            assert message.root is not None
            await self.run(person, MARK_THREAD_READ, threadRootId=message.root.id, upToMessageId=message.id)
            self.model.mark_thread_read(person, message)

    async def _follow(self, person: str) -> None:
        root, following = self.random.choice(self.model.roots), self.random.random() < 0.5
        await self.run(person, FOLLOW, threadRootId=root.id, following=following)
        self.model.follow(person, root, following=following)

    async def _leave(self, person: str) -> None:
        if person != "ann":
            await self.people[person].leave(self.room_id)
            self.model.leave(person)

    async def _join(self, person: str) -> None:
        await self.people[person].join(self.room_id)
        self.model.join(person)


async def start_walk(seed: int, ann: UserClient, bob: UserClient, cleo: UserClient) -> RandomWalk:
    walk = RandomWalk(seed, await ann.create_room(f"den {seed}"), {"ann": ann, "bob": bob, "cleo": cleo})
    walk.model.join("ann")
    for name in ("bob", "cleo"):
        await walk._join(name)
    return walk


@pytest.mark.parametrize("seed", range(3))
async def test_counts_equal_those_of_a_model(seed: int, ann: UserClient, bob: UserClient, cleo: UserClient) -> None:
    walk = await start_walk(seed, ann, bob, cleo)
    taken = list[str]()
    for _ in range(STEP_COUNT):
        taken.append(await walk.step())
        try:
            await walk.check()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, after {taken}") from error
