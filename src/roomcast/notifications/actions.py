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
from roomcast.notifications.policy import MAX_SUBSCRIPTIONS, check_endpoint, check_key, digest, encoded


@dataclass(frozen=True, slots=True)
class Browser:
    """What a browser says of itself, as it says it."""

    endpoint: str
    p256dh: str
    auth: str


async def register(work: Work, actor: Actor, browser: Browser) -> None:
    """The browser is the actor's, and goes with their session. Whoever had it before has it no more: a browser has one
    person at a time, and nobody is told whether it had another. Raises ValidationFailed."""
    host = check_endpoint(browser.endpoint)
    p256dh = encoded(check_key(browser.p256dh, 65, "p256dh"))
    auth = encoded(check_key(browser.auth, 16, "auth"))
    plain = Browser(browser.endpoint, p256dh, auth)
    try:
        async with work.session.begin_nested():
            await _write(work, actor, plain, host)
    except IntegrityError:  # two at the same moment: the second look sees the first
        await _write(work, actor, plain, host)
    await _keep_newest(work, actor.user_id)


async def _write(work: Work, actor: Actor, browser: Browser, host: str) -> None:
    id_ = digest(browser.endpoint)
    kept = await _locked(work, id_)
    if kept is not None and kept.user_id != actor.user_id:
        await work.session.delete(kept)  # with what was pending for whoever had it
        await work.session.flush()
        kept = None
    row = PushSubscription(
        id=id_,
        user_id=actor.user_id,
        session_id=actor.session_id,
        endpoint=browser.endpoint,
        host=host,
        p256dh=browser.p256dh,
        auth=browser.auth,
        created_at=kept.created_at if kept is not None else now(),
    )
    await work.session.merge(row)
    await work.session.flush()


async def _locked(work: Work, id_: str) -> PushSubscription | None:
    return (
        await work.session.exec(select(PushSubscription).where(PushSubscription.id == id_).with_for_update())
    ).first()


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


async def unregister(work: Work, actor: Actor, endpoint: str) -> None:
    """The browser is not the actor's, whether it was or not."""
    mine = sa.and_(col(PushSubscription.id) == digest(endpoint), col(PushSubscription.user_id) == actor.user_id)
    await work.session.exec(sa.delete(PushSubscription).where(mine))


async def forget(work: Work, subscription_id: str) -> None:
    """The browser is gone."""
    await work.session.exec(sa.delete(PushSubscription).where(col(PushSubscription.id) == subscription_id))


async def sweep(work: Work, moment: datetime) -> None:
    """Forget the browsers of sessions that are over. They are told nothing from the end of the session on."""
    over = select(Session.id).where(sa.or_(col(Session.revoked_at).is_not(None), col(Session.expires_at) <= moment))
    await work.session.exec(sa.delete(PushSubscription).where(col(PushSubscription.session_id).in_(over)))
