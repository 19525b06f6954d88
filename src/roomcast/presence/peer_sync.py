"""The messages by which processes tell each other who is connected to them.

The bus may lose messages. They are numbered: a process that notices a gap asks the sender for a full sync. A process
that sends nothing for a while counts as dead, and the users that it reported are removed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from roomcast.presence.registry import Activity, PresenceRegistry, Status, unix_seconds

MAX_MESSAGE_BYTES = 6_000
"""A PostgreSQL notification carries less than 8,000 bytes."""


class PeerMessageKind(StrEnum):
    """The values travel between processes: other releases read them."""

    USER_STATES = "people"
    """Users connected to the sender: [user, ACTIVE, IDLE or ABSENT, since (Unix seconds), `at` of their status]."""
    STATUSES = "cards"
    """Statuses of users: [user, at, hidden by which session, text, emoji]."""
    DEVICES_IDLE = "idle"
    """Devices that were set idle or active: [user, session, idle]."""
    DEVICES_LEFT = "left"
    """Sessions whose last socket at the sender has closed."""
    HEARTBEAT = "beat"
    """The sender lives and has nothing to report."""
    SYNC_REQUEST = "ask"
    """The processes with these ids are asked for a full sync, all if there are none."""
    SYNC_BEGIN = "roll"
    """A full sync of the sender begins: users that are not reported until SYNC_END are not connected to it."""
    SYNC_END = "end"


ACTIVE, IDLE, ABSENT = "A", "I", "-"


class PeerMessage(NamedTuple):
    sender: str
    number: int
    kind: PeerMessageKind
    items: list[Any]


@dataclass(slots=True)
class Peer:
    """Another process, as this one knows it.

    `number`: that of its last message. `user_ids`: the users connected to it. `synced_user_ids`: those reported so far
    in a full sync that is under way. `needs_sync`: a message was lost since the last full sync.
    """

    last_message_at: float
    number: int = 0
    user_ids: set[UUID] = field(default_factory=set)
    synced_user_ids: set[UUID] | None = None
    needs_sync: bool = True


class PeerSync:
    """This process's end of the exchange. It writes what other processes report into the registry."""

    def __init__(self, registry: PresenceRegistry, process_id: str, timeout_seconds: float) -> None:
        self.process_id = process_id
        self._registry, self._timeout_seconds = registry, timeout_seconds
        self._peers: dict[str, Peer] = {}
        self._number = 0

    # ------------------------------------------------------------------ sending

    def encode_messages(self, kind: PeerMessageKind, items: Iterable[Any] = ()) -> Sequence[str]:
        """The items as one or more messages of at most about MAX_MESSAGE_BYTES; one message without items if none."""
        batches: list[list[bytes]] = [[]]
        size = 0
        for item in map(orjson.dumps, items):
            if size + len(item) > MAX_MESSAGE_BYTES:
                batches.append([])
                size = 0
            batches[-1].append(item)
            size += len(item) + 1
        messages = []
        for batch in batches:
            self._number += 1
            head = orjson.dumps([self.process_id, self._number, kind, []])
            messages.append((head[:-2] + b",".join(batch) + b"]]").decode())
        return messages

    def user_state(self, user_id: UUID, activity: Activity | None, active_at: int) -> list[Any]:
        """The item of USER_STATES. `active_at`: the last activity of a user who is not connected any more."""
        status_at = self._registry.status_of(user_id).at
        if activity is None:
            return [user_id.hex, ABSENT, active_at, status_at]
        return [user_id.hex, ACTIVE if activity.is_active else IDLE, activity.idle_since or 0, status_at]

    # ------------------------------------------------------------------ receiving

    def receive(self, text: str, clock: float) -> PeerMessage | None:
        """Decode a message and apply its user states to the registry. None for a message of this process.

        Raises ValueError, KeyError or TypeError for text that `encode_messages` did not make.
        """
        sender, number, kind, items = orjson.loads(text)
        message = PeerMessage(sender, number, PeerMessageKind(kind), items)
        if sender == self.process_id:
            return None
        peer = self._peers.setdefault(sender, Peer(clock))
        peer.last_message_at = clock
        is_next = message.number == peer.number + 1
        peer.number = message.number
        if message.kind is PeerMessageKind.SYNC_BEGIN:
            peer.synced_user_ids, peer.needs_sync = set(), False
        elif not is_next:
            # A full sync with a gap is no full sync: its end must not remove the users of the lost message.
            peer.synced_user_ids, peer.needs_sync = None, True
        if message.kind is PeerMessageKind.USER_STATES:
            for item in items:
                self._on_user_state(peer, sender, *item)
        elif message.kind is PeerMessageKind.SYNC_END:
            synced, peer.synced_user_ids = peer.synced_user_ids, None
            if synced is not None:
                self._remove_users(peer, sender, peer.user_ids - synced)
        return message

    def _on_user_state(self, peer: Peer, sender: str, user: str, state: str, since: int, _status_at: int) -> None:
        user_id = UUID(user)
        if state == ABSENT:
            peer.user_ids.discard(user_id)
            self._registry.remove_activity(sender, user_id, since)
            return
        peer.user_ids.add(user_id)
        if peer.synced_user_ids is not None:
            peer.synced_user_ids.add(user_id)
        self._registry.set_activity(sender, user_id, Activity(since if state == IDLE else None))

    def _remove_users(self, peer: Peer, sender: str, user_ids: set[UUID]) -> None:
        for user_id in user_ids:
            self._registry.remove_activity(sender, user_id, unix_seconds())
        peer.user_ids -= user_ids

    # ------------------------------------------------------------------ time

    def peers_to_sync(self) -> list[str]:
        """The ids of the processes that have to be asked for a full sync."""
        return [process_id for process_id, peer in self._peers.items() if peer.needs_sync]

    def reset_timeouts(self, clock: float) -> None:
        """Start all timeouts again: nothing could be received until now."""
        for peer in self._peers.values():
            peer.last_message_at = clock

    def remove_silent_peers(self, clock: float) -> None:
        """Remove the processes that have sent nothing for the timeout, and their users."""
        for process_id, peer in list(self._peers.items()):
            if clock - peer.last_message_at >= self._timeout_seconds:
                self._remove_users(peer, process_id, set(peer.user_ids))
                del self._peers[process_id]


def decode_status(
    user: str, at: int, hidden_by: str | None, text: str | None, emoji: str | None
) -> tuple[UUID, Status]:
    return UUID(user), Status(at, UUID(hidden_by) if hidden_by else None, text, emoji)


def encode_status(user_id: UUID, status: Status) -> list[Any]:
    """The item of STATUSES."""
    return [user_id.hex, status.at, status.hidden_by.hex if status.hidden_by else None, status.text, status.emoji]
