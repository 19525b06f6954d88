"""Mutations of accounts and sessions: sign-up, login, passwords, profiles, roles and bans."""

from collections.abc import Collection
from functools import partial
from typing import Annotated
from uuid import UUID

import strawberry

from roomcast.accounts import actions, administration, models, policy, refresh_tokens
from roomcast.accounts.actions import Device, NewAccount, Profile
from roomcast.accounts.policy import SessionEndReason
from roomcast.accounts.refresh_tokens import ReusedRefreshToken, SignedIn
from roomcast.api.context import Context, Info
from roomcast.api.errors import MutationPayload
from roomcast.api.schema.accounts.types import Session, TokenPair, User, Viewer
from roomcast.api.schema.mutation import Clearable, Omittable, Reason, UserId, describe, mutation
from roomcast.core.actor import Actor
from roomcast.core.db import Work
from roomcast.core.errors import Conflict, InvalidCredentials
from roomcast.core.ids import local_id
from roomcast.core.unchanged import UNCHANGED, Unchanged
from roomcast.rooms import invites

PASSWORD_PATH = ("input", "currentPassword")

MAX_ATTEMPTS = 3
"""Password checks per request. A check is repeated if the stored hash changed between the check and the transaction."""

CONCURRENT_CHANGE = "The password is being changed; try again."


Username = Annotated[str, describe("2 to 32 characters. It cannot look like that of another account.")]
NewPassword = Annotated[str, describe("8 to 128 characters. Common passwords and the username are too weak.")]
DeviceName = Annotated[str | None, describe("The name of the new session in the list of sessions.")]
InviteCode = Annotated[
    str | None,
    describe("An invite to a room, which the new account joins. Required if the signup mode is INVITE_ONLY."),
]
SetupToken = Annotated[
    str | None,
    describe("Required for the first account in production. The server logs it when it starts without accounts."),
]


@strawberry.type
class SignInResult(MutationPayload):
    user: models.User | None = strawberry.field(
        graphql_type=User | None, default=None, description="The user who has signed in."
    )
    session: models.Session | None = strawberry.field(
        graphql_type=Session | None, default=None, description="The session of this device."
    )
    tokens: TokenPair | None = strawberry.field(default=None, description="The tokens of the session.")


@strawberry.type
class SessionResult(MutationPayload):
    session: models.Session | None = strawberry.field(
        graphql_type=Session | None, default=None, description="The session, which has ended."
    )


@strawberry.type
class ChangedPassword(MutationPayload):
    viewer: Actor | None = strawberry.field(graphql_type=Viewer | None, default=None, description="The viewer.")
    tokens: TokenPair | None = strawberry.field(
        default=None, description="New tokens for this session. The earlier refresh token is no longer valid."
    )


@strawberry.type
class UserResult(MutationPayload):
    user: models.User | None = strawberry.field(
        graphql_type=User | None, default=None, description="The user after the change."
    )


@strawberry.type
class ProfileResult(UserResult):
    viewer: Actor | None = strawberry.field(
        graphql_type=Viewer | None, default=None, description="The viewer after the change."
    )


@strawberry.type
class Mutation:
    @mutation(signed_out=True)
    async def signup(
        self,
        info: Info,
        username: Username,
        password: NewPassword,
        email: Annotated[str | None, describe("For signing in. Only the user and the server know it.")] = None,
        display_name: Annotated[
            str | None, describe("The name that other users see. Without it, it is the username.")
        ] = None,
        invite_code: InviteCode = None,
        device_name: DeviceName = None,
        setup_token: SetupToken = None,
    ) -> SignInResult:
        """Create an account and sign in. Needs no sign-in.

        With an invite it announces MemberChanged in the room. Errors: VALIDATION_FAILED, PASSWORD_TOO_WEAK,
        USERNAME_TAKEN, EMAIL_TAKEN, SIGNUP_CLOSED, INVITE_INVALID, ROOM_ARCHIVED, FORBIDDEN (no set-up token),
        RATE_LIMITED.
        """
        context, backend = info.context, info.context.backend
        policy.check_signup_open(backend.account_rules, invited=invite_code is not None)
        if invite_code is not None:  # refused before the expensive hashing of the password
            async with backend.db.read() as session:
                await invites.valid_invite(session, invite_code)
        actions.check_account(username, email, display_name)
        device = _device(context, device_name)
        backend.passwords.check(password, username=username, path=("input", "password"))
        hashed = await backend.credentials.hash_for_signup(password, device.ip_address)
        account = NewAccount(username, hashed, email, display_name, setup_token)
        async with backend.credentials.limit_email_probing(email, device.ip_address), backend.db.work() as work:
            signed_in = await actions.signup(work, account, device, backend.account_rules)
            await _redeem_invite(work, signed_in, invite_code)
        return await _sign_in_result(context, signed_in)

    @mutation(signed_out=True)
    async def login(
        self,
        info: Info,
        username_or_email: Annotated[str, describe("The username or the e-mail address, in any case.")],
        password: Annotated[str, describe("The password.")],
        device_name: DeviceName = None,
    ) -> SignInResult:
        """Sign in with a username or e-mail address. Needs no sign-in.

        Unknown users get the same error, as late, as wrong passwords. Announces nothing. Errors: INVALID_CREDENTIALS,
        BANNED, VALIDATION_FAILED, RATE_LIMITED, CONFLICT (the password is being changed).
        """
        context, backend = info.context, info.context.backend
        device = _device(context, device_name)
        for _ in range(MAX_ATTEMPTS):
            proving = backend.credentials.verify_login(username_or_email, password, device.ip_address)
            async with proving as proof, backend.db.work() as work:
                signed_in = await actions.login(work, proof, device, backend.account_rules)
            if signed_in is not None:
                return await _sign_in_result(context, signed_in)
        raise Conflict(CONCURRENT_CHANGE)

    @mutation(signed_out=True)
    async def refresh_session(
        self, info: Info, refresh_token: Annotated[str, describe("The newest refresh token of the session.")]
    ) -> SignInResult:
        """Exchange a refresh token for new tokens. Needs no sign-in.

        Over a WebSocket, the connection continues with the new session expiry. A token that was used before ends the
        session. Announces nothing. Errors: SESSION_REVOKED, REFRESH_TOKEN_REUSED, BANNED.
        """
        context, backend = info.context, info.context.backend
        async with backend.db.work() as work:
            outcome = await refresh_tokens.refresh_session(work, refresh_token, backend.tokens, backend.account_rules)
            if isinstance(outcome, ReusedRefreshToken):
                end_sessions_after_commit(context, work, [outcome.session_id], SessionEndReason.SESSION_REVOKED)
        if isinstance(outcome, ReusedRefreshToken):  # raised after the commit: the session must end
            raise outcome.error
        return await _sign_in_result(context, outcome)

    @mutation
    async def logout(self, info: Info) -> None:
        """End the session of this request. Its tokens become invalid and its WebSockets close.

        Its streams end with StreamEnded, reason SESSION_REVOKED. It has no errors of its own.
        """
        async with info.context.backend.db.work() as work:
            ended = await actions.logout(work, info.context.actor)
            end_sessions_after_commit(info.context, work, ended, SessionEndReason.SESSION_REVOKED)

    @mutation
    async def revoke_session(
        self, info: Info, session_id: Annotated[strawberry.ID, describe("One of `Viewer.sessions`.")]
    ) -> SessionResult:
        """End a session of the viewer. If it has ended, nothing changes.

        Its streams end with StreamEnded, reason SESSION_REVOKED. Errors: NOT_FOUND.
        """
        async with info.context.backend.db.work() as work:
            session, ended = await actions.revoke_session(work, info.context.actor, local_id("session", session_id))
            end_sessions_after_commit(info.context, work, ended, SessionEndReason.SESSION_REVOKED)
        await info.context.reset_reads()
        return SessionResult(session=session)

    @mutation
    async def change_password(
        self,
        info: Info,
        current_password: Annotated[str, describe("The password until now.")],
        new_password: NewPassword,
    ) -> ChangedPassword:
        """Change the password. All other sessions of the account end, and this one gets new tokens.

        The streams of the other sessions end with StreamEnded, reason SESSION_REVOKED. Errors: INVALID_CREDENTIALS,
        PASSWORD_TOO_WEAK, VALIDATION_FAILED, RATE_LIMITED, CONFLICT (the password is being changed).
        """
        context, backend, actor = info.context, info.context.backend, info.context.actor
        user = await context.users.load(actor.user_id)
        name = user.username if user else ""
        backend.passwords.check(new_password, username=name, path=("input", "newPassword"))
        for _ in range(MAX_ATTEMPTS):
            proof = await backend.credentials.verify_password(actor, current_password)
            new_hash = await backend.passwords.hash(new_password)
            async with backend.db.work() as work:
                changed = await actions.change_password(work, actor, proof, new_hash)
                ended = changed[0] if changed else ()
                end_sessions_after_commit(context, work, ended, SessionEndReason.SESSION_REVOKED)
            if changed is not None:
                tokens = await _sign_in(context, changed[1])
                return ChangedPassword(viewer=context.viewer, tokens=tokens)
        raise Conflict(CONCURRENT_CHANGE)

    @mutation
    async def update_profile(
        self,
        info: Info,
        display_name: Annotated[
            Clearable[str], describe("The name that other users see. Null makes it the username.")
        ] = UNCHANGED,
        bio: Annotated[Clearable[str], describe("A text about the user. Null removes it.")] = UNCHANGED,
        email: Annotated[
            Clearable[str], describe("The e-mail address, which is private. Null removes it.")
        ] = UNCHANGED,
        current_password: Annotated[Omittable[str], describe("Required to change `email`.")] = None,
        avatar_upload_id: Annotated[
            Clearable[strawberry.ID],
            describe("A completed upload of the viewer: a PNG, JPEG, GIF or WebP picture. Null removes the avatar."),
        ] = UNCHANGED,
    ) -> ProfileResult:
        """Change the public profile of the viewer, or the e-mail address. Fields that are left out stay as they are.

        Announces nothing. Errors: VALIDATION_FAILED, EMAIL_TAKEN, INVALID_CREDENTIALS, RATE_LIMITED, NOT_FOUND,
        CONFLICT, ATTACHMENT_NOT_READY, UNSUPPORTED_MEDIA_TYPE (the avatar).
        """
        profile = Profile(display_name, bio, email, avatar_upload_id)
        context, backend, actor = info.context, info.context.backend, info.context.actor
        actions.check_profile(profile)
        claimed = await _check_email_change(context, email, current_password)
        claiming = backend.credentials.limit_email_probing(claimed, context.caller.ip_address, actor)
        async with claiming, backend.db.work() as work:
            user = await actions.update_profile(work, actor, profile)
        await context.reset_reads()
        context.users.prime(user.id, user)
        return ProfileResult(viewer=actor, user=user)

    @mutation
    async def set_user_role(
        self, info: Info, user_id: UserId, role: Annotated[models.UserRole, describe("The new role.")]
    ) -> UserResult:
        """Change the role of an account on this server. Administrators only.

        The last administrator keeps the role. Announces nothing. Errors: NOT_FOUND, FORBIDDEN, CONFLICT (the last
        administrator).
        """
        context = info.context
        async with context.backend.db.work() as work:
            user = await administration.set_user_role(work, context.actor, local_id("user", user_id), role)
            work.after_commit.append(lambda: context.backend.sessions.invalidate_user(user.id))
        await context.reset_reads()
        return UserResult(user=user)

    @mutation
    async def ban_user(self, info: Info, user_id: UserId, reason: Reason = None) -> UserResult:
        """Block an account: its sessions, WebSockets and invites end on all servers. Administrators only.

        Its streams end with StreamEnded, reason BANNED. Errors: NOT_FOUND, FORBIDDEN, VALIDATION_FAILED, CONFLICT (the
        last administrator).
        """
        context, id_ = info.context, local_id("user", user_id)
        async with context.backend.db.work() as work:
            user, ended = await administration.ban_user(work, context.actor, id_, reason)
            await invites.revoke_invites_of(work, id_)
            end_sessions_after_commit(context, work, ended, SessionEndReason.BANNED)
        await context.reset_reads()
        return UserResult(user=user)

    @mutation
    async def unban_user(self, info: Info, user_id: UserId) -> UserResult:
        """Allow a banned account to sign in again. Administrators only.

        Announces nothing. Errors: NOT_FOUND, FORBIDDEN.
        """
        context = info.context
        async with context.backend.db.work() as work:
            user = await administration.unban_user(work, context.actor, local_id("user", user_id))
        await context.reset_reads()
        return UserResult(user=user)


def end_sessions_after_commit(
    context: Context, work: Work, session_ids: Collection[UUID], reason: SessionEndReason
) -> None:
    """End these sessions and their WebSockets in this process after the commit.

    Other processes notice it themselves.
    """
    if session_ids:
        work.after_commit.append(partial(context.backend.sessions.mark_ended, dict.fromkeys(session_ids, reason)))


async def _check_email_change(context: Context, email: Clearable[str], password: str | None) -> str | None:
    """The new e-mail address of the profile, None if it stays or is removed. A change requires the current password.

    Raises InvalidCredentials and RateLimited.
    """
    if isinstance(email, Unchanged):
        return None
    user = await context.users.load(context.actor.user_id)
    if user is not None and (email or None) == user.email:
        return None
    if not password:
        raise InvalidCredentials("Changing the e-mail address requires the current password.", path=PASSWORD_PATH)
    await context.backend.credentials.verify_password(context.actor, password, PASSWORD_PATH)
    return email or None


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


async def _sign_in_result(context: Context, signed_in: SignedIn) -> SignInResult:
    tokens = await _sign_in(context, signed_in)
    return SignInResult(user=signed_in.user, session=signed_in.session, tokens=tokens)


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
