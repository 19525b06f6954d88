"""A simple model of threads: what each user follows, has read and is called in. Time is the number of the step."""

from dataclasses import dataclass, field


@dataclass
class ModelMessage:
    id: str
    at: int
    author: str
    root: "ModelMessage | None"
    names: frozenset[str] = frozenset()
    """Members whom it mentions, not by `@room`."""
    to_all: bool = False
    is_deleted: bool = False

    def calls(self, name: str) -> bool:
        return name != self.author and (name in self.names or self.to_all)


@dataclass
class ModelState:
    """One user's state of one thread. `is_following`: None while undecided."""

    is_following: bool | None = None
    follows_after: int = 0
    read: int = 0

    def begin(self, after: int) -> None:
        if self.is_following is None:
            self.is_following, self.follows_after = True, after


@dataclass
class ThreadModel:
    """One room. `joined` and `read`: by member, when they joined and up to where they have read the main history."""

    joined: dict[str, int] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    messages: list[ModelMessage] = field(default_factory=list)
    states: dict[tuple[str, str], ModelState] = field(default_factory=dict)
    now: int = 0

    def state(self, root: ModelMessage, name: str) -> ModelState:
        return self.states.setdefault((root.id, name), ModelState())

    def replies(self, root: ModelMessage) -> list[ModelMessage]:
        return [message for message in self.messages if message.root is root]

    @property
    def roots(self) -> list[ModelMessage]:
        return [message for message in self.messages if message.root is None]

    def join(self, name: str) -> None:
        self.now += 1
        self.joined[name] = self.read[name] = self.now

    def leave(self, name: str) -> None:
        del self.joined[name]

    def send(self, message_id: str, name: str, root: ModelMessage | None, body: str) -> None:
        self.now += 1
        message = ModelMessage(message_id, self.now, name, root)
        self.set_body(message, body)
        self.messages.append(message)
        if root is None:
            self.read[name] = message.at
            return
        for follower in sorted({name, root.author, *root.names, *message.names}):
            self.state(root, follower).begin(message.at if follower == name else message.at - 1)
        self.state(root, name).read = message.at

    def edit(self, message: ModelMessage, body: str) -> None:
        self.set_body(message, body)
        if message.root is not None:
            for name in message.names - {message.author}:
                self.state(message.root, name).begin(message.at - 1)

    def set_body(self, message: ModelMessage, body: str) -> None:
        message.names = frozenset(name for name in self.joined if f"@{name}" in body)
        message.to_all = "@room" in body

    def delete(self, message: ModelMessage) -> None:
        message.is_deleted, message.names, message.to_all = True, frozenset(), False

    def mark_read(self, name: str, message: ModelMessage) -> None:
        self.read[name] = max(self.read[name], message.at)

    def mark_thread_read(self, name: str, message: ModelMessage) -> None:
        assert message.root is not None
        state = self.state(message.root, name)
        state.read = max(state.read, message.at)

    def follow(self, name: str, root: ModelMessage, *, following: bool) -> None:
        state = self.state(root, name)
        if following and state.is_following is not True:
            state.follows_after = max((reply.at for reply in self.replies(root)), default=0)
        state.is_following = following

    # ------------------------------------------------------------------ what the user is shown

    def mention_count(self, name: str) -> int:
        return sum(message.calls(name) and message.at > self._read_until(message, name) for message in self.messages)

    def _read_until(self, message: ModelMessage, name: str) -> int:
        if message.root is None:
            return self.read[name]
        return max(self.state(message.root, name).read, self.joined[name])

    def followed(self, name: str) -> list[tuple[str, int]]:
        """The followed threads with replies and their unread replies, the newest reply first."""
        if name not in self.joined:
            return []
        newest = {root.id: replies[-1].at for root in self.roots if (replies := self.replies(root))}
        shown = [root for root in self.roots if root.id in newest and self.state(root, name).is_following]
        return [(root.id, self._unread(root, name)) for root in sorted(shown, key=lambda root: -newest[root.id])]

    def _unread(self, root: ModelMessage, name: str) -> int:
        state = self.state(root, name)
        after = max(state.follows_after, state.read, self.joined[name])
        return sum(reply.at > after and reply.author != name and not reply.is_deleted for reply in self.replies(root))
