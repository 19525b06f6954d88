"""What no room's log tells of a person, compared now and then with what their inboxes know.

A lost frame of a room is found in its log. Read marks, preferences and rooms that somebody was let into are only told
to the person's own topic, which has no log.
"""

import logging
import math
from collections import OrderedDict
from itertools import islice
from typing import Protocol
from uuid import UUID

from roomcast.core.db import Database
from roomcast.receipts import queries
from roomcast.receipts.queries import Fingerprint

STEP_SECONDS = 2.0
"""How often a share of the inboxes is checked."""

CHECK_SECONDS = 40.0
"""In about so long each inbox was checked once."""

MANY_PEOPLE = 500
"""People of one statement."""

log = logging.getLogger("roomcast.inbox")


class ReconciledInbox(Protocol):
    """An inbox. `places`: the fingerprint of what it has counted; None before the first count."""

    places: Fingerprint | None

    @property
    def user_id(self) -> UUID: ...

    def on_resync(self) -> None:
        """Count anew."""


class InboxReconciler:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._inboxes: OrderedDict[ReconciledInbox, None] = OrderedDict()

    def add(self, inbox: ReconciledInbox) -> None:
        self._inboxes[inbox] = None

    def discard(self, inbox: ReconciledInbox) -> None:
        self._inboxes.pop(inbox, None)

    async def look(self) -> None:
        """Check those that were not for longest."""
        share = math.ceil(len(self._inboxes) * STEP_SECONDS / CHECK_SECONDS)
        chosen = list(islice(self._inboxes, share))
        for inbox in chosen:
            self._inboxes.move_to_end(inbox)
        for start in range(0, len(chosen), MANY_PEOPLE):
            await self._check(chosen[start : start + MANY_PEOPLE])

    async def _check(self, inboxes: list[ReconciledInbox]) -> None:
        try:
            async with self._db.read() as session:
                found = await queries.fingerprints(session, {inbox.user_id for inbox in inboxes})
        except Exception as error:  # they are checked again
            log.warning("%d inboxes cannot be checked: %s", len(inboxes), type(error).__name__)
            return
        for inbox in inboxes:
            if inbox in self._inboxes and inbox.places not in (None, found.get(inbox.user_id, ())):
                inbox.on_resync()
