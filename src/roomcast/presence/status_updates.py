"""How a person wants to be shown, and what becomes of their card by it."""

from dataclasses import dataclass, replace
from uuid import UUID

from roomcast.accounts.actions import UNCHANGED, Unchanged
from roomcast.presence import policy
from roomcast.presence.people import PresenceState, Status


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """A state of None is the automatic one. IDLE and ACTIVE are said of one device; OFFLINE hides the person, on all
    their devices, until that device says ACTIVE or any of them None."""

    state: PresenceState | None | Unchanged = UNCHANGED
    status_text: str | None | Unchanged = UNCHANGED
    status_emoji: str | None | Unchanged = UNCHANGED

    @property
    def is_idle(self) -> bool | None:
        """What is said of the device; None for nothing."""
        if isinstance(self.state, Unchanged) or self.state is PresenceState.OFFLINE:
            return None
        return self.state is PresenceState.IDLE


def apply_status_update(card: Status, wish: StatusUpdate, session_id: UUID, at: int) -> Status:
    """The card after the wish of that device, later than the one before; that one itself where nothing of it changes.

    `at`: the time in milliseconds. Raises ValidationFailed.
    """
    text, emoji = wish.status_text, wish.status_emoji
    new = replace(
        card,
        hidden_by=_hidden_by(card.hidden_by, wish, session_id),
        text=card.text if isinstance(text, Unchanged) else policy.check_status_text(text),
        emoji=card.emoji if isinstance(emoji, Unchanged) else policy.check_status_emoji(emoji),
    )
    return card if new == card else replace(new, at=max(at, card.at + 1))


def _hidden_by(before: UUID | None, wish: StatusUpdate, session_id: UUID) -> UUID | None:
    if wish.state is PresenceState.OFFLINE:
        return session_id
    is_lifted = wish.state is None or (wish.state is PresenceState.ACTIVE and before == session_id)
    return None if is_lifted else before
