"""How a request to set one's presence changes the stored status."""

from dataclasses import dataclass, replace
from uuid import UUID

from roomcast.core.unchanged import UNCHANGED, Unchanged
from roomcast.presence import policy
from roomcast.presence.registry import PresenceState, Status


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """A request from one device.

    `state`: IDLE and ACTIVE hold for that device. OFFLINE hides the user on all devices, until the same device sets
    ACTIVE or any device sets None. None is the automatic state.
    """

    state: PresenceState | None | Unchanged = UNCHANGED
    status_text: str | None | Unchanged = UNCHANGED
    status_emoji: str | None | Unchanged = UNCHANGED

    @property
    def is_idle(self) -> bool | None:
        """Whether the device becomes idle; None if the update does not concern the device."""
        if isinstance(self.state, Unchanged) or self.state is PresenceState.OFFLINE:
            return None
        return self.state is PresenceState.IDLE


def apply_status_update(status: Status, update: StatusUpdate, session_id: UUID, at: int) -> Status:
    """The status after the update, with a later `at`. Returns the same object if nothing changes.

    `session_id`: the device that sent the update. `at`: the time in Unix milliseconds. Raises ValidationFailed.
    """
    text, emoji, hidden_by = update.status_text, update.status_emoji, status.hidden_by
    if update.state is PresenceState.OFFLINE:
        hidden_by = session_id
    elif update.state is None or (update.state is PresenceState.ACTIVE and hidden_by == session_id):
        hidden_by = None
    new = replace(
        status,
        hidden_by=hidden_by,
        text=status.text if isinstance(text, Unchanged) else policy.check_status_text(text),
        emoji=status.emoji if isinstance(emoji, Unchanged) else policy.check_status_emoji(emoji),
    )
    return status if new == status else replace(new, at=max(at, status.at + 1))
