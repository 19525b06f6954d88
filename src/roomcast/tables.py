"""Imports all tables, for Alembic and the tests."""

from sqlmodel import SQLModel

from roomcast.accounts import models as accounts
from roomcast.core import audit, event_log
from roomcast.messages import models as messages
from roomcast.moderation import models as moderation
from roomcast.notifications import models as notifications
from roomcast.rooms import models as rooms
from roomcast.uploads import models as uploads

metadata = SQLModel.metadata

__all__ = ["accounts", "audit", "event_log", "messages", "metadata", "moderation", "notifications", "rooms", "uploads"]
