"""Changes to where people can be reached."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from roomcast.accounts.models import Session
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Work
from roomcast.notifications.models import PushSubscription
from roomcast.notifications.policy import (
    MAX_SUBSCRIPTIONS,
    base64url_encode,
    check_endpoint,
    check_key,
    subscription_id_of,
)


@dataclass(frozen=True, slots=True)
class NewSubscription:
    """What a browser says of itself, as it says it."""

    endpoint: str
    p256dh: str
    auth: str


async def register_subscription(work: Work, actor: Actor, browser: NewSubscription) -> None:
    """The browser is the actor's, and goes with their session. Whoever had it before has it no more: a browser has one
    person at a time, and nobody is told whether it had another. Raises ValidationFailed."""
    host = check_endpoint(browser.endpoint)
    p256dh = base64url_encode(check_key(browser.p256dh, 65, "p256dh"))
    auth = base64url_encode(check_key(browser.auth, 16, "auth"))
    plain = NewSubscription(browser.endpoint, p256dh, auth)
    while not await _is_written(work, actor, plain, host):
        pass  # somebody else was quicker: their row is there now, and is next
    await _keep_newest(work, actor.user_id)


async def _is_written(work: Work, actor: Actor, browser: NewSubscription, host: str) -> bool:
    """Whether the row is the actor's now. Not where another one with this endpoint came at the same moment."""
    row, id_ = col(PushSubscription.id), subscription_id_of(browser.endpoint)
    values = {"session_id": actor.session_id, "p256dh": browser.p256dh, "auth": browser.auth}
    mine = sa.update(PushSubscription).where(row == id_, col(PushSubscription.user_id) == actor.user_id)
    if (await work.session.exec(mine.values(values).execution_options(synchronize_session=False))).rowcount:
        return True
    # With what was pending for whoever had it.
    await work.session.exec(sa.delete(PushSubscription).where(row == id_).execution_options(synchronize_session=False))
    new = {"id": id_, "user_id": actor.user_id, "endpoint": browser.endpoint, "host": host, "created_at": now()}
    try:
        async with work.session.begin_nested():
            await work.session.exec(sa.insert(PushSubscription).values(new | values))
    except IntegrityError:
        return False
    return True


async def _keep_newest(work: Work, user_id: UUID) -> None:
    newest = (
        select(PushSubscription.id)
        .where(PushSubscription.user_id == user_id)
        .order_by(col(PushSubscription.created_at).desc(), col(PushSubscription.id))
        .limit(MAX_SUBSCRIPTIONS)
    )
    older = sa.delete(PushSubscription).where(
        col(PushSubscription.user_id) == user_id, col(PushSubscription.id).not_in(newest)
    )
    await work.session.exec(older.execution_options(synchronize_session=False))


async def unregister_subscription(work: Work, actor: Actor, endpoint: str) -> None:
    """The browser is not the actor's, whether it was or not."""
    mine = sa.and_(
        col(PushSubscription.id) == subscription_id_of(endpoint), col(PushSubscription.user_id) == actor.user_id
    )
    await work.session.exec(sa.delete(PushSubscription).where(mine))


async def delete_subscription(work: Work, subscription_id: str) -> None:
    """The browser is gone."""
    await work.session.exec(sa.delete(PushSubscription).where(col(PushSubscription.id) == subscription_id))


async def delete_expired_subscriptions(work: Work, moment: datetime) -> None:
    """Forget the browsers of sessions that are over. They are told nothing from the end of the session on."""
    over = select(Session.id).where(sa.or_(col(Session.revoked_at).is_not(None), col(Session.expires_at) <= moment))
    await work.session.exec(sa.delete(PushSubscription).where(col(PushSubscription.session_id).in_(over)))
