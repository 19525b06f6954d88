"""Mutations of accounts and sessions: sign-up, login, passwords, profiles, roles and bans."""

from collections.abc import Collection
from functools import partial
from uuid import UUID

import strawberry

from roomcast.accounts import actions, administration, models, policy, refresh_tokens
from roomcast.accounts.actions import Device, NewAccount, Profile
from roomcast.accounts.policy import SessionEndReason
from roomcast.accounts.refresh_tokens import ReusedRefreshToken, SignedIn
from roomcast.api.context import Context, Info
from roomcast.api.errors import AckPayload, MutationPayload, errors_in_payload
from roomcast.api.schema.accounts.inputs import (
    BanUserInput,
    ChangePasswordInput,
    LoginInput,
    RefreshSessionInput,
    RevokeSessionInput,
    SetUserRoleInput,
    SignupInput,
    UnbanUserInput,
    UpdateProfileInput,
    unset_to_unchanged,
)
from roomcast.api.schema.accounts.types import Session, TokenPair, User, Viewer
from roomcast.core.actor import Actor
from roomcast.core.db import Work
from roomcast.core.errors import Conflict, InvalidCredentials
from roomcast.core.ids import local_id
from roomcast.rooms import invites

PASSWORD_PATH = ("input", "currentPassword")

MAX_ATTEMPTS = 3
"""Password checks per request. A check is repeated if the stored hash changed between the check and the transaction."""

CONCURRENT_CHANGE = "The password is being changed; try again."


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


@strawberry.type
class UserPayload(MutationPayload):
    user: models.User | None = strawberry.field(graphql_type=User | None, default=None)


@strawberry.type
class ChangePasswordPayload(MutationPayload):
    viewer: Actor | None = strawberry.field(graphql_type=Viewer | None, default=None)
    tokens: TokenPair | None = strawberry.field(
        default=None,
        description="New tokens for this session. The earlier refresh token is no longer valid.",
    )


@strawberry.type
class Mutation:
    @strawberry.mutation
    @errors_in_payload(SignupPayload)
    async def signup(self, info: Info, input: SignupInput) -> SignupPayload:  # noqa: A002
        """Create an account and sign in."""
        context, backend = info.context, info.context.backend
        policy.check_signup_open(backend.account_rules, invited=input.invite_code is not None)
        await _check_invite(context, input.invite_code)
        actions.check_account(input.username, input.email, input.display_name)
        device = _device(context, input.device_name)
        backend.passwords.check(input.password, username=input.username, path=("input", "password"))
        hashed = await backend.credentials.hash_for_signup(input.password, device.ip_address)
        account = NewAccount(input.username, hashed, input.email, input.display_name, input.setup_token or None)
        async with backend.credentials.limit_email_probing(input.email, device.ip_address), backend.db.work() as work:
            signed_in = await actions.signup(work, account, device, backend.account_rules)
            await _redeem_invite(work, signed_in, input.invite_code)
        tokens = await _sign_in(context, signed_in)
        return SignupPayload(user=signed_in.user, session=signed_in.session, tokens=tokens)

    @strawberry.mutation
    @errors_in_payload(LoginPayload)
    async def login(self, info: Info, input: LoginInput) -> LoginPayload:  # noqa: A002
        """Sign in with a username or e-mail address. Unknown users get the same error, as late, as wrong passwords."""
        context, backend = info.context, info.context.backend
        device = _device(context, input.device_name)
        for _ in range(MAX_ATTEMPTS):
            proving = backend.credentials.verify_login(input.username_or_email, input.password, device.ip_address)
            async with proving as proof, backend.db.work() as work:
                signed_in = await actions.login(work, proof, device, backend.account_rules)
            if signed_in is not None:
                return await _login_payload(context, signed_in)
        raise Conflict(CONCURRENT_CHANGE)

    @strawberry.mutation
    @errors_in_payload(LoginPayload)
    async def refresh_session(self, info: Info, input: RefreshSessionInput) -> LoginPayload:  # noqa: A002
        """Exchange a refresh token for new tokens.

        Over a WebSocket, the connection continues with the new session expiry.
        """
        context, backend = info.context, info.context.backend
        async with backend.db.work() as work:
            outcome = await refresh_tokens.refresh_session(
                work, input.refresh_token, backend.tokens, backend.account_rules
            )
            if isinstance(outcome, ReusedRefreshToken):
                end_sessions_after_commit(context, work, [outcome.session_id], SessionEndReason.SESSION_REVOKED)
        if isinstance(outcome, ReusedRefreshToken):  # raised after the commit: the session must end
            raise outcome.error
        return await _login_payload(context, outcome)

    @strawberry.mutation
    @errors_in_payload(AckPayload)
    async def logout(self, info: Info) -> AckPayload:
        """End the session of this request. Its tokens become invalid and its WebSockets close."""
        async with info.context.backend.db.work() as work:
            ended = await actions.logout(work, info.context.actor)
            end_sessions_after_commit(info.context, work, ended, SessionEndReason.SESSION_REVOKED)
        return AckPayload()

    @strawberry.mutation
    @errors_in_payload(AckPayload)
    async def revoke_session(self, info: Info, input: RevokeSessionInput) -> AckPayload:  # noqa: A002
        """End a session of the viewer."""
        async with info.context.backend.db.work() as work:
            ended = await actions.revoke_session(work, info.context.actor, local_id("session", input.session_id))
            end_sessions_after_commit(info.context, work, ended, SessionEndReason.SESSION_REVOKED)
        return AckPayload()

    @strawberry.mutation
    @errors_in_payload(ChangePasswordPayload)
    async def change_password(self, info: Info, input: ChangePasswordInput) -> ChangePasswordPayload:  # noqa: A002
        """Change the password. All other sessions of the account end, and this one gets new tokens."""
        context, backend, actor = info.context, info.context.backend, info.context.actor
        user = await context.users.load(actor.user_id)
        name = user.username if user else ""
        backend.passwords.check(input.new_password, username=name, path=("input", "newPassword"))
        for _ in range(MAX_ATTEMPTS):
            proof = await backend.credentials.verify_password(actor, input.current_password)
            new_hash = await backend.passwords.hash(input.new_password)
            async with backend.db.work() as work:
                changed = await actions.change_password(work, actor, proof, new_hash)
                end_sessions_after_commit(
                    context, work, changed[0] if changed else (), SessionEndReason.SESSION_REVOKED
                )
            if changed is not None:
                tokens = await _sign_in(context, changed[1])
                return ChangePasswordPayload(viewer=context.viewer, tokens=tokens)
        raise Conflict(CONCURRENT_CHANGE)

    @strawberry.mutation
    @errors_in_payload(UserPayload)
    async def update_profile(self, info: Info, input: UpdateProfileInput) -> UserPayload:  # noqa: A002
        """Change the public profile of the viewer, or the e-mail address, which is private."""
        profile = Profile(
            unset_to_unchanged(input.display_name),
            unset_to_unchanged(input.bio),
            unset_to_unchanged(input.email),
            unset_to_unchanged(input.avatar_upload_id),
        )
        context, backend, actor = info.context, info.context.backend, info.context.actor
        actions.check_profile(profile)
        is_email_change = await _check_email_change(context, input)
        claimed = (input.email or None) if is_email_change else None
        claiming = backend.credentials.limit_email_probing(claimed, context.caller.ip_address, actor)
        async with claiming, backend.db.work() as work:
            user = await actions.update_profile(work, actor, profile)
        await context.reset_reads()
        return UserPayload(user=user)

    @strawberry.mutation
    @errors_in_payload(UserPayload)
    async def set_user_role(self, info: Info, input: SetUserRoleInput) -> UserPayload:  # noqa: A002
        """Administrators only. The last administrator keeps the role."""
        context, user_id = info.context, local_id("user", input.user_id)
        async with context.backend.db.work() as work:
            user = await administration.set_user_role(work, context.actor, user_id, input.role)
            work.after_commit.append(lambda: context.backend.sessions.invalidate_user(user.id))
        await context.reset_reads()
        return UserPayload(user=user)

    @strawberry.mutation
    @errors_in_payload(AckPayload)
    async def ban_user(self, info: Info, input: BanUserInput) -> AckPayload:  # noqa: A002
        """Administrators only. Block an account: its sessions, WebSockets and invites end on all servers."""
        context, user_id = info.context, local_id("user", input.user_id)
        async with context.backend.db.work() as work:
            ended = await administration.ban_user(work, context.actor, user_id, input.reason)
            await invites.revoke_invites_of(work, user_id)
            end_sessions_after_commit(context, work, ended, SessionEndReason.BANNED)
        return AckPayload()

    @strawberry.mutation
    @errors_in_payload(AckPayload)
    async def unban_user(self, info: Info, input: UnbanUserInput) -> AckPayload:  # noqa: A002
        """Administrators only. Allow a banned account to sign in again."""
        async with info.context.backend.db.work() as work:
            await administration.unban_user(work, info.context.actor, local_id("user", input.user_id))
        return AckPayload()


def end_sessions_after_commit(
    context: Context, work: Work, session_ids: Collection[UUID], reason: SessionEndReason
) -> None:
    """End these sessions and their WebSockets in this process after the commit.

    Other processes notice it themselves.
    """
    if session_ids:
        work.after_commit.append(partial(context.backend.sessions.mark_ended, dict.fromkeys(session_ids, reason)))


async def _check_email_change(context: Context, profile: UpdateProfileInput) -> bool:
    """Whether the input changes the e-mail address. A change requires the current password.

    Raises InvalidCredentials and RateLimited.
    """
    if profile.email is strawberry.UNSET:
        return False
    user = await context.users.load(context.actor.user_id)
    if user is not None and (profile.email or None) == user.email:
        return False
    if not profile.current_password:
        raise InvalidCredentials("Changing the e-mail address requires the current password.", path=PASSWORD_PATH)
    await context.backend.credentials.verify_password(context.actor, profile.current_password, PASSWORD_PATH)
    return True


async def _check_invite(context: Context, code: str | None) -> None:
    """Raise InviteInvalid before the expensive hashing of the password."""
    if code is not None:
        async with context.backend.db.read() as session:
            await invites.valid_invite(session, code)


async def _redeem_invite(work: Work, signed_in: SignedIn, code: str | None) -> None:
    """Join the room of the invite. If that fails, the whole sign-up is rolled back."""
    if code is not None:
        user, session = signed_in.user, signed_in.session
        actor = Actor(user.id, session.id, user.role == models.UserRole.ADMIN, session.expires_at)
        await invites.redeem_invite(work, actor, code)


def _device(context: Context, name: str | None) -> Device:
    if name is not None:
        policy.check_device_name(name)
    return Device(name, context.caller.ip_address)


async def _login_payload(context: Context, signed_in: SignedIn) -> LoginPayload:
    tokens = await _sign_in(context, signed_in)
    return LoginPayload(user=signed_in.user, session=signed_in.session, tokens=tokens)


async def _sign_in(context: Context, signed_in: SignedIn) -> TokenPair:
    """The tokens of the session. The rest of this operation, and its WebSocket, act for the user who has signed in."""
    user, session = signed_in.user, signed_in.session
    token, expires_at = context.backend.tokens.issue_access_token(user.id, session.id)
    is_admin = user.role == models.UserRole.ADMIN
    context.viewer = Actor(user.id, session.id, is_admin, expires_at, context.caller.ip_address)
    if context.caller.on_sign_in is not None:
        context.caller.on_sign_in(context.viewer)
    await context.reset_reads()
    return TokenPair(
        access_token=token,
        access_token_expires_at=expires_at,
        refresh_token=signed_in.refresh_token,
        refresh_token_expires_at=signed_in.refresh_token_expires_at,
    )
