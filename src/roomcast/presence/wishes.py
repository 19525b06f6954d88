"""How a person wants to be shown, and what becomes of their card by it."""

from dataclasses import dataclass

from roomcast.accounts.actions import UNCHANGED, Unchanged
from roomcast.presence import policy
from roomcast.presence.people import Card, PresenceState


@dataclass(frozen=True, slots=True)
class Wish:
    """A state of None is the automatic one. OFFLINE hides the person, on all their devices; IDLE is said of one
    device, and who is hidden stays hidden by it."""

    state: PresenceState | None | Unchanged = UNCHANGED
    status_text: str | None | Unchanged = UNCHANGED
    status_emoji: str | None | Unchanged = UNCHANGED

    @property
    def is_idle(self) -> bool | None:
        """What is said of the device; None for nothing."""
        if isinstance(self.state, Unchanged) or self.state is PresenceState.OFFLINE:
            return None
        return self.state is PresenceState.IDLE


def wished(card: Card, wish: Wish, at: int) -> Card:
    """The card after the wish, later than the one before; that one itself where nothing of it changes.

    `at`: the time in milliseconds. Raises ValidationFailed.
    """
    text, emoji, hidden = wish.status_text, wish.status_emoji, card.hidden
    new = Card(
        card.at,
        hidden if wish.state is UNCHANGED else wish.state is PresenceState.OFFLINE or (hidden and bool(wish.is_idle)),
        card.text if isinstance(text, Unchanged) else policy.check_status_text(text),
        card.emoji if isinstance(emoji, Unchanged) else policy.check_status_emoji(emoji),
    )
    return card if new == card else Card(max(at, card.at + 1), new.hidden, new.text, new.emoji)
