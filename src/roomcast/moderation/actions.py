"""Moderation: muting members and reporting messages."""

from uuid import UUID

from sqlalchemy.exc import IntegrityError

from roomcast.core import audit
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.core.ids import global_id
from roomcast.messages import queries as messages
from roomcast.moderation import policy
from roomcast.moderation.models import Report
from roomcast.rooms import members
from roomcast.rooms.membership_changes import RoomChange


async def mute_member(
    work: Work, actor: Actor, room_id: UUID | None, user_id: UUID | None, seconds: int, reason: str | None
) -> RoomChange:
    """Mute this member for so many seconds; 0 lifts the mute. Announces MemberChanged.

    Raises ValidationFailed, NotFound, NotAMember, Forbidden.
    """
    until, checked_reason = policy.check_mute(seconds, now()), audit.check_reason(reason)
    return await members.mute_member(work, actor, room_id, user_id, until, checked_reason)


async def report_message(work: Work, actor: Actor, message_id: UUID | None, reason: str) -> None:
    """Write the report to the audit log, where administrators find it. A second report by the same user adds nothing.

    Raises ValidationFailed, and NotFound when the actor cannot read the message.
    """
    checked_reason = policy.check_report(reason)
    message = await messages.readable_message(work.session, actor, message_id)
    try:
        async with work.session.begin_nested():  # A savepoint: after a conflict the transaction is still usable.
            work.session.add(Report(message_id=message.id, reporter_id=actor.user_id, at=now()))
    except IntegrityError:
        return
    audit.record_audit_entry(
        work, actor, "MESSAGE_REPORTED", global_id("msg", message.id), checked_reason, message.room_id
    )
