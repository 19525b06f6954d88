"""The door of accounts: people, sessions, signing up and in."""

from datetime import datetime
from typing import ClassVar, NamedTuple

import strawberry

from roomcast.accounts import actions, models, policy
from roomcast.accounts import queries as accounts
from roomcast.accounts.actions import Device, NewAccount, SignedIn
from roomcast.api.context import Context, Info
from roomcast.api.errors import MutationPayload, refusable
from roomcast.api.node import Node
from roomcast.core.actor import Actor
from roomcast.core.db import Work
from roomcast.core.errors import InvalidCredentials, Refused
from roomcast.core.ids import local_id
from roomcast.rooms import invites

strawberry.enum(models.UserRole)
strawberry.enum(policy.SignupMode)


@strawberry.type
class User(Node):
    row: ClassVar = models.User
    username: str
    display_name: str
    bio: str | None
    role: models.UserRole
    created_at: datetime


@strawberry.type(description="One sign-in of one device.")
class Session(Node):
    row: ClassVar = models.Session
    device_name: str | None
    created_at: datetime
    last_seen_at: datetime
    ip_address: str | None

    @strawberry.field
    def current(self, session: strawberry.Parent[models.Session], info: Info) -> bool:
        viewer = info.context.viewer
        return viewer is not None and viewer.session_id == session.id


@strawberry.type(description="The signed-in account, with what only its owner may see.")
class Viewer(Node):
    row: ClassVar = Actor

    @strawberry.field(graphql_type=User)
    async def user(self, actor: strawberry.Parent[Actor], info: Info) -> models.User | None:
        return await info.context.users.load(actor.user_id)

    @strawberry.field
    async def email(self, actor: strawberry.Parent[Actor], info: Info) -> str | None:
        user = await info.context.users.load(actor.user_id)
        return user.email if user else None

    @strawberry.field(graphql_type=models.UserRole)
    async def role(self, actor: strawberry.Parent[Actor]) -> models.UserRole:
        return models.UserRole.ADMIN if actor.is_admin else models.UserRole.MEMBER

    @strawberry.field(description="In all rooms together; a capped room counts as its cap.")
    async def total_unread(self, actor: strawberry.Parent[Actor], info: Info) -> int:
        totals = await info.context.totals.load(actor.user_id)
        return totals.unread if totals else 0

    @strawberry.field
    async def total_mentions(self, actor: strawberry.Parent[Actor], info: Info) -> int:
        totals = await info.context.totals.load(actor.user_id)
        return totals.mentions if totals else 0


@strawberry.type
class TokenPair:
    access_token: str
    access_token_expires_at: datetime
    refresh_token: str
    refresh_token_expires_at: datetime
    token_type: str = "Bearer"  # noqa: S105 (the word of RFC 6750)


@strawberry.type
class SignupPayload(MutationPayload):
    user: models.User | None = strawberry.field(graphql_type=User | None, default=None)
    session: models.Session | None = strawberry.field(graphql_type=Session | None, default=None)
    tokens: TokenPair | None = None


@strawberry.type
class LoginPayload(MutationPayload):
    user: models.User | None = strawberry.field(graphql_type=User | None, default=None)
    session: models.Session | None = strawberry.field(graphql_type=Session | None, default=None)
    tokens: TokenPair | None = None


@strawberry.input
class SignupInput:
    username: str
    password: str
    email: str | None = None
    display_name: str | None = None
    invite_code: str | None = strawberry.field(
        default=None, description="An invite to a room: it also admits where signup is by invitation, and is joined."
    )
    device_name: str | None = None


@strawberry.input
class LoginInput:
    username_or_email: str
    password: str
    device_name: str | None = None


@strawberry.input
class RefreshSessionInput:
    refresh_token: str


@strawberry.type
class Query:
    @strawberry.field(graphql_type=Viewer | None, description="The signed-in account; null without credentials.")
    def me(self, info: Info) -> Actor | None:
        return info.context.viewer

    @strawberry.field(graphql_type=User | None)
    async def user(self, info: Info, id: strawberry.ID) -> models.User | None:  # noqa: A002 (the contract's word)
        _ = info.context.actor
        user_id = local_id("user", id)
        return await info.context.users.load(user_id) if user_id else None


@strawberry.type
class Mutation:
    @strawberry.mutation
    @refusable(SignupPayload)
    async def signup(self, info: Info, input: SignupInput) -> SignupPayload:  # noqa: A002
        """Open an account and sign in to it."""
        context, rules = info.context, info.context.backend.account_rules
        policy.check_signup_open(rules, invited=input.invite_code is not None)
        await _check_invite(context, input.invite_code)
        actions.check_account(input.username, input.email, input.display_name)
        device = _device(context, input.device_name)
        passwords = context.backend.passwords
        passwords.check(input.password, username=input.username, path=("input", "password"))
        hashed = await passwords.hash(input.password)
        account = NewAccount(input.username, hashed, input.email, input.display_name)
        async with context.backend.db.work() as work:
            signed_in = await actions.signup(work, account, device, rules)
            await _enter(work, signed_in, input.invite_code)
        welcome = await _welcome(context, signed_in)
        return SignupPayload(user=welcome.user, session=welcome.session, tokens=welcome.tokens)

    @strawberry.mutation
    @refusable(LoginPayload)
    async def login(self, info: Info, input: LoginInput) -> LoginPayload:  # noqa: A002
        """Sign in with username or e-mail. An unknown person gets the same answer, as late, as a wrong password."""
        context, backend = info.context, info.context.backend
        device = _device(context, input.device_name)
        async with backend.db.read() as session:
            user = await accounts.user_by_login(session, input.username_or_email)
        good, newer_hash = await backend.passwords.verify(input.password, user.password_hash if user else None)
        if user is None or not good:
            raise InvalidCredentials("this is not the password of such an account")
        async with backend.db.work() as work:
            signed_in = await actions.login(work, user.id, newer_hash, device, backend.account_rules)
        return await _login_payload(context, signed_in)

    @strawberry.mutation
    @refusable(LoginPayload)
    async def refresh_session(self, info: Info, input: RefreshSessionInput) -> LoginPayload:  # noqa: A002
        """Rotates the refresh token. Sent over a WebSocket, it also extends that open connection in place."""
        context, backend = info.context, info.context.backend
        async with backend.db.work() as work:
            outcome = await actions.refresh_session(work, input.refresh_token, backend.tokens, backend.account_rules)
        if isinstance(outcome, Refused):  # committed, and refused: a spent token has ended its session
            raise outcome
        return await _login_payload(context, outcome)


async def _check_invite(context: Context, code: str | None) -> None:
    """Refused before a password is hashed for it."""
    if code is not None:
        async with context.backend.db.read() as session:
            await invites.open_invite(session, code)


async def _enter(work: Work, signed_in: SignedIn, code: str | None) -> None:
    """Into the room that the newcomer was invited to. Without it there is no account either."""
    if code is not None:
        user, session = signed_in.user, signed_in.session
        newcomer = Actor(user.id, session.id, user.role == models.UserRole.ADMIN, session.expires_at)
        await invites.redeem_invite(work, newcomer, code)


def _device(context: Context, name: str | None) -> Device:
    if name is not None:
        policy.check_device_name(name)
    return Device(name, context.caller.ip_address)


class Welcome(NamedTuple):
    user: models.User
    session: models.Session
    tokens: TokenPair


async def _login_payload(context: Context, signed_in: SignedIn) -> LoginPayload:
    welcome = await _welcome(context, signed_in)
    return LoginPayload(user=welcome.user, session=welcome.session, tokens=welcome.tokens)


async def _welcome(context: Context, signed_in: SignedIn) -> Welcome:
    """The rest of this operation, and the socket it came over, act for the person who has just signed in."""
    user, session = signed_in.user, signed_in.session
    token, expires_at = context.backend.tokens.access(user.id, session.id)
    context.viewer = Actor(user.id, session.id, user.role == models.UserRole.ADMIN, expires_at)
    if context.caller.adopt is not None:
        context.caller.adopt(context.viewer)
    await context.changed()
    pair = TokenPair(
        access_token=token,
        access_token_expires_at=expires_at,
        refresh_token=signed_in.refresh_token,
        refresh_token_expires_at=signed_in.refresh_token_expires_at,
    )
    return Welcome(user, session, pair)
