"""Finds lost changes of the open inboxes that are in no room's log.

A lost frame of a room is found by comparing with the room's log. Read positions, also in threads, preferences and new
memberships are only published on the user's own topic, which has no log. So each inbox is compared with the database
now and then.
"""

import logging
import math
from collections import OrderedDict
from itertools import islice
from typing import Protocol
from uuid import UUID

from roomcast.core.db import Database, is_outage
from roomcast.receipts import queries
from roomcast.receipts.queries import Fingerprint

STEP_SECONDS = 2.0
"""The interval between two steps. Each step checks a share of the inboxes."""

CHECK_SECONDS = 40.0
"""Each inbox is checked about once in this time."""

MAX_USERS_PER_STATEMENT = 500

logger = logging.getLogger("roomcast.inbox")


class ReconciledInbox(Protocol):
    """An open inbox. `fingerprint`: that of the user's memberships at the last full count, None before the first."""

    fingerprint: Fingerprint | None
    user_id: UUID

    def on_resync(self) -> None:
        """Count all rooms again."""


class InboxReconciler:
    """All open inboxes of the process, those first that were checked longest ago."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._inboxes: OrderedDict[ReconciledInbox, None] = OrderedDict()

    def add(self, inbox: ReconciledInbox) -> None:
        self._inboxes[inbox] = None

    def discard(self, inbox: ReconciledInbox) -> None:
        self._inboxes.pop(inbox, None)

    async def check_next(self) -> None:
        """Check the share of the inboxes that is due in this step."""
        share = math.ceil(len(self._inboxes) * STEP_SECONDS / CHECK_SECONDS)
        due = list(islice(self._inboxes, share))
        for inbox in due:
            self._inboxes.move_to_end(inbox)
        for start in range(0, len(due), MAX_USERS_PER_STATEMENT):
            await self._check(due[start : start + MAX_USERS_PER_STATEMENT])

    async def _check(self, inboxes: list[ReconciledInbox]) -> None:
        try:
            async with self._db.read() as session:
                found = await queries.fingerprints(session, {inbox.user_id for inbox in inboxes})
        except Exception as error:  # the next round checks them again
            if not is_outage(error):  # `Database` logs an outage once
                logger.warning("%d inboxes cannot be checked: %s", len(inboxes), type(error).__name__)
            return
        for inbox in inboxes:
            # An inbox may have been closed while the database answered.
            if inbox in self._inboxes and inbox.fingerprint not in (None, found.get(inbox.user_id, ())):
                inbox.on_resync()
