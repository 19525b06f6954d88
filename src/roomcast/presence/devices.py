"""The devices that are connected to this process: a device is a session, with however many sockets."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from roomcast.presence.people import Report, seconds


@dataclass(slots=True)
class Device:
    """`idle_since`: when it said so. `gone_at`: by the clock of whoever asks, when its last socket went."""

    sockets: int = 0
    idle_since: int | None = None
    gone_at: float | None = None
    last_active_at: int = 0


class Devices:
    """A device whose last socket has gone counts for `grace_seconds` as it was: most come back at once."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._people: dict[UUID, dict[UUID, Device]] = {}
        self._going: dict[tuple[UUID, UUID], Device] = {}
        """By (person, session), in the order in which they went."""

    def connect(self, user_id: UUID, session_id: UUID) -> None:
        """One more socket."""
        device = self._people.setdefault(user_id, {}).setdefault(session_id, Device())
        device.sockets += 1
        device.gone_at = None
        self._going.pop((user_id, session_id), None)

    def disconnect(self, user_id: UUID, session_id: UUID, clock: float) -> bool:
        """One socket less; whether it was the last one of its device."""
        device = self._people[user_id][session_id]
        device.sockets -= 1
        if device.sockets:
            return False
        device.gone_at, device.last_active_at = clock, device.idle_since or seconds()
        self._going[user_id, session_id] = device
        return True

    def set_idle(self, user_id: UUID, session_id: UUID, *, idle: bool) -> None:
        """The device calls itself idle, or not; nothing is kept of one that is not here."""
        device = self._people.get(user_id, {}).get(session_id)
        if device is not None and idle != (device.idle_since is not None):
            device.idle_since = seconds() if idle else None

    def report(self, user_id: UUID) -> Report | None:
        """How this process sees the person, the most active device counting; None if not at all."""
        devices = self._people.get(user_id)
        if not devices:
            return None
        idle = [device.idle_since for device in devices.values()]
        return Report() if None in idle else Report(max(since for since in idle if since is not None))

    def expire(self, clock: float) -> dict[UUID, int]:
        """Forget the devices whose grace has ended: their people, and when each was last active there."""
        lapsed: dict[UUID, int] = {}
        for (user_id, session_id), device in list(self._going.items()):
            if device.gone_at is None or clock - device.gone_at < self._grace_seconds:
                break
            lapsed[user_id] = max(lapsed.get(user_id, 0), self.forget(user_id, session_id))
        return lapsed

    def forget(self, user_id: UUID, session_id: UUID) -> int:
        """The device, whose last socket has gone, does not come back. When it was last active."""
        del self._going[user_id, session_id]
        devices = self._people[user_id]
        device = devices.pop(session_id)
        if not devices:
            del self._people[user_id]
        return device.last_active_at

    @property
    def people(self) -> Collection[UUID]:
        return self._people.keys()
