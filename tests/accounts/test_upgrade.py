"""Migrations of accounts and memberships: existing names are kept, and old invites do not readmit removed members."""

import asyncio

import pytest
import sqlalchemy as sa
from alembic import command
from sqlmodel import select

from roomcast.accounts.models import User
from roomcast.core import migrations
from roomcast.core.db import Database
from roomcast.rooms.models import FormerMember
from tests.api_clients import PASSWORD, SIGNUP, AnonymousClient, sign_up
from tests.conftest import MakeApp
from tests.rooms.documents import change, invite, refusal

pytestmark = pytest.mark.plain_tables


async def migrate_back_and_forth(url: str) -> None:
    await asyncio.to_thread(command.downgrade, migrations.config(url), "0004")
    await migrations.upgrade(url)


async def test_existing_look_alike_accounts_keep_their_names(make_app: MakeApp, database_url: str) -> None:
    app = await make_app()
    async with await sign_up(app, "Billy") as billy, await sign_up(app, "cleo"):
        async with app.roomcast.db.work() as work:  # as the previous release would have stored it
            user = (await work.session.exec(select(User).where(User.username == "cleo"))).one()
            user.username, user.username_key = "bi11y", "bi11y"
        await migrate_back_and_forth(database_url)
        async with app.roomcast.db.read() as session:
            skeletons = {user.username: user.username_skeleton for user in await session.exec(select(User))}
        assert skeletons == {"Billy": "bllly", "bi11y": None}
        for name in ("billy", "bi11y", "bIlly"):
            [error] = (await billy.mutate(SIGNUP, username=name, password=PASSWORD))["errors"]
            assert error["code"] == "USERNAME_TAKEN"


async def test_an_invite_from_before_the_upgrade_does_not_readmit_a_removed_member(
    make_app: MakeApp, database_url: str
) -> None:
    app = await make_app()
    async with await sign_up(app, "ann") as ann, await sign_up(app, "bob") as bob, AnonymousClient(app):
        room_id = await ann.create_room("den", visibility="PRIVATE", memberIds=[bob.id])
        await change(ann, "removeMember", roomId=room_id, userId=bob.id)
        old_invite = await invite(ann, room_id)
        await migrate_back_and_forth(database_url)
        assert await refusal(bob, "joinRoom", inviteCode=old_invite) == "FORBIDDEN"
        await change(bob, "joinRoom", inviteCode=await invite(ann, room_id))
        db = Database(database_url)
        async with db.read() as session:
            assert (await session.exec(select(sa.func.count()).select_from(FormerMember))).one() == 0
        await db.close()
