"""The sweep deletes sessions and refresh tokens that ended long ago, and no others."""

from datetime import timedelta

import sqlalchemy as sa
from sqlmodel import func, select

from roomcast.accounts import refresh_tokens
from roomcast.accounts.models import RefreshToken, Session
from roomcast.core.clock import now
from roomcast.core.ids import uuid7
from tests.accounts.documents import LOGOUT, ME, codes
from tests.api_clients import REFRESH, AnonymousClient, UserClient
from tests.running_app import RunningApp


async def rows(app: RunningApp) -> tuple[int, int]:
    """The numbers of sessions and refresh tokens."""
    async with app.roomcast.db.read() as session:
        sessions = (await session.exec(select(func.count()).select_from(Session))).one()
        tokens = (await session.exec(select(func.count()).select_from(RefreshToken))).one()
    return sessions, tokens


async def sweep_after(app: RunningApp, passed: timedelta) -> None:
    async with app.roomcast.db.work() as work:
        assert await refresh_tokens.delete_expired(work, now() + passed) is False


async def test_an_ended_session_is_deleted_after_a_month(ann: UserClient, bob: UserClient) -> None:
    await bob.execute(LOGOUT)
    await sweep_after(ann.app, timedelta(days=29))
    assert await rows(ann.app) == (2, 2)
    async with ann.app.roomcast.db.work() as work:
        await work.session.exec(sa.update(Session).values(expires_at=now() + timedelta(days=90)))
        await work.session.exec(sa.update(RefreshToken).values(expires_at=now() + timedelta(days=90)))
    await sweep_after(ann.app, timedelta(days=31))
    assert await rows(ann.app) == (1, 1)
    assert (await ann.execute(ME))["me"]["role"] == "ADMIN"


async def test_an_expired_session_is_deleted_after_another_month(ann: UserClient) -> None:
    await sweep_after(ann.app, timedelta(days=59))
    assert await rows(ann.app) == (1, 0)
    await sweep_after(ann.app, timedelta(days=61))
    assert await rows(ann.app) == (0, 0)


async def test_used_refresh_tokens_are_deleted_and_the_newest_remain_valid(
    ann: UserClient, anonymous: AnonymousClient
) -> None:
    tokens = [ann.refresh_token]
    for _ in range(3):
        tokens.append((await anonymous.mutate(REFRESH, refreshToken=tokens[-1]))["tokens"]["refreshToken"])
    await sweep_after(ann.app, timedelta(days=8))
    assert await rows(ann.app) == (1, 2)
    assert codes(await anonymous.mutate(REFRESH, refreshToken=tokens[0])) == ["INVALID_CREDENTIALS"]
    lost = (await anonymous.mutate(REFRESH, refreshToken=tokens[2]))["tokens"]["refreshToken"]
    assert lost == tokens[3]
    assert codes(await anonymous.mutate(REFRESH, refreshToken=lost)) == []


async def test_a_sweep_deletes_in_batches_until_nothing_is_left(ann: UserClient) -> None:
    past = now() - timedelta(days=1)
    async with ann.app.roomcast.db.work() as work:
        session_id = (await work.session.exec(select(Session.id))).one()
        token = {"session_id": session_id, "secret_hash": "", "created_at": past, "expires_at": past}
        tokens = [{"id": uuid7(), **token} for _ in range(refresh_tokens.DELETE_BATCH + 1)]
        await work.session.exec(sa.insert(RefreshToken), params=tokens)
    async with ann.app.roomcast.db.work() as work:
        assert await refresh_tokens.delete_expired(work, now()) is True
    await ann.app.roomcast.delete_expired_sessions()
    assert await rows(ann.app) == (1, 1)
