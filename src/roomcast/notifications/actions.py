"""Registering and unregistering push subscriptions."""

from dataclasses import dataclass
from datetime import datetime

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
    """A subscription as the browser reported it."""

    endpoint: str
    p256dh: str
    auth: str


async def register_subscription(work: Work, actor: Actor, browser: NewSubscription) -> None:
    """Store the subscription for the actor's session. It ends with the session. A browser belongs to one user at a
    time: another user's subscription with this endpoint is replaced, and nobody learns that there was one. Raises
    ValidationFailed."""
    host = check_endpoint(browser.endpoint)
    p256dh = base64url_encode(check_key(browser.p256dh, 65, "p256dh"))
    auth = base64url_encode(check_key(browser.auth, 16, "auth"))
    normalized = NewSubscription(browser.endpoint, p256dh, auth)
    while not await _store_subscription(work, actor, normalized, host):
        pass  # A concurrent request inserted this endpoint first. Now its row is visible and can be replaced.
    newest = (
        select(PushSubscription.id)
        .where(PushSubscription.user_id == actor.user_id)
        .order_by(col(PushSubscription.created_at).desc(), col(PushSubscription.id))
        .limit(MAX_SUBSCRIPTIONS)
    )
    older = sa.delete(PushSubscription).where(
        col(PushSubscription.user_id) == actor.user_id, col(PushSubscription.id).not_in(newest)
    )
    await work.session.exec(older.execution_options(synchronize_session=False))


async def _store_subscription(work: Work, actor: Actor, browser: NewSubscription, host: str) -> bool:
    """Whether the row is stored. False when a concurrent request inserted the same endpoint."""
    column, id_ = col(PushSubscription.id), subscription_id_of(browser.endpoint)
    values = {"session_id": actor.session_id, "p256dh": browser.p256dh, "auth": browser.auth}
    own = sa.update(PushSubscription).where(column == id_, col(PushSubscription.user_id) == actor.user_id)
    if (await work.session.exec(own.values(values).execution_options(synchronize_session=False))).rowcount:
        return True
    # Another user's subscription goes, and by cascade the pushes that were pending for it.
    await work.session.exec(
        sa.delete(PushSubscription).where(column == id_).execution_options(synchronize_session=False)
    )
    new = {"id": id_, "user_id": actor.user_id, "endpoint": browser.endpoint, "host": host, "created_at": now()}
    try:
        async with work.session.begin_nested():
            await work.session.exec(sa.insert(PushSubscription).values(new | values))
    except IntegrityError:
        return False
    return True


async def unregister_subscription(work: Work, actor: Actor, endpoint: str) -> None:
    """Delete the actor's subscription with this endpoint, if there is one."""
    own = sa.and_(
        col(PushSubscription.id) == subscription_id_of(endpoint), col(PushSubscription.user_id) == actor.user_id
    )
    await work.session.exec(sa.delete(PushSubscription).where(own))


async def delete_subscription(work: Work, subscription_id: str) -> None:
    """Delete a subscription that the push service does not know any more."""
    await work.session.exec(sa.delete(PushSubscription).where(col(PushSubscription.id) == subscription_id))


async def delete_expired_subscriptions(work: Work, moment: datetime) -> None:
    """Delete the subscriptions of ended sessions. No push is sent to them from the end of the session on."""
    ended = select(Session.id).where(sa.or_(col(Session.revoked_at).is_not(None), col(Session.expires_at) <= moment))
    await work.session.exec(sa.delete(PushSubscription).where(col(PushSubscription.session_id).in_(ended)))
