"""Trials of the mutations of accounts, sessions, presence, pushes and files."""

import base64

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.api_clients import PASSWORD, AnonymousClient
from tests.faults.lanes import Lane
from tests.faults.trials import Trial, do, people, shared_room, trial_of, uid


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


POINT = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
BROWSER = {"p256dh": encoded(POINT), "auth": encoded(bytes(16))}


@trial_of("signup")
async def signup(lane: Lane) -> Trial:
    await people(lane)
    name = lane.name("new")
    effect = "SELECT count(*) FROM users JOIN sessions ON user_id = users.id WHERE username = $1"
    return Trial(lane.anonymous_client(), {"username": name, "password": PASSWORD}, effect, (name,))


@trial_of("login")
async def login(lane: Lane) -> Trial:
    _, bob = await people(lane)
    device = lane.name("device")
    effect = "SELECT count(*) FROM sessions WHERE device_name = $1"
    variables = {"usernameOrEmail": bob.name, "password": PASSWORD, "deviceName": device}
    return Trial(lane.anonymous_client(), variables, effect, (device,))


async def signed_in(lane: Lane) -> tuple[AnonymousClient, str, str]:
    """Sign in to an existing account. Returns its client, its refresh token and its device."""
    _, bob = await people(lane)
    device = lane.name("device")
    anonymous = lane.anonymous_client()
    payload = await do(anonymous, "login", usernameOrEmail=bob.name, password=PASSWORD, deviceName=device)
    return lane.client_with_token(payload["tokens"]["accessToken"]), payload["tokens"]["refreshToken"], device


@trial_of("refreshSession")
async def refresh_session(lane: Lane) -> Trial:
    _, token, device = await signed_in(lane)
    effect = (
        "SELECT count(*) FROM refresh_tokens JOIN sessions ON sessions.id = session_id "
        "WHERE device_name = $1 AND parent_id IS NOT NULL"
    )
    return Trial(lane.anonymous_client(), {"refreshToken": token}, effect, (device,))


ENDED = "SELECT count(*) FROM sessions WHERE device_name = $1 AND revoked_at IS NOT NULL"


@trial_of("logout")
async def logout(lane: Lane) -> Trial:
    anonymous, _, device = await signed_in(lane)
    return Trial(anonymous, {}, ENDED, (device,))


@trial_of("revokeSession")
async def revoke_session(lane: Lane) -> Trial:
    _, bob = await people(lane)
    _, _, device = await signed_in(lane)
    id_ = await lane.admin.fetchval("SELECT id FROM sessions WHERE device_name = $1", device)
    return Trial(bob, {"sessionId": f"session_{id_}"}, ENDED, (device,))


@trial_of("changePassword")
async def change_password(lane: Lane) -> Trial:
    person = await lane.person("changing")
    before = await lane.admin.fetchval("SELECT password_hash FROM users WHERE id = $1", uid(person.id))
    variables = {"currentPassword": PASSWORD, "newPassword": PASSWORD + " anew"}
    effect = "SELECT count(*) FROM users WHERE id = $1 AND password_hash <> $2"
    return Trial(person, variables, effect, (uid(person.id), before))


@trial_of("updateProfile")
async def update_profile(lane: Lane) -> Trial:
    _, bob = await people(lane)
    bio = lane.name("bio ")
    return Trial(bob, {"bio": bio}, "SELECT count(*) FROM users WHERE bio = $1", (bio,))


@trial_of("setUserRole")
async def set_user_role(lane: Lane) -> Trial:
    ann, _ = await people(lane)
    other = await lane.person("other")
    effect = "SELECT count(*) FROM users WHERE id = $1 AND role = 'ADMIN'"
    return Trial(ann, {"userId": other.id, "role": "ADMIN"}, effect, (uid(other.id),))


@trial_of("banUser")
async def ban_user(lane: Lane) -> Trial:
    ann, _ = await people(lane)
    other = await lane.person("other")
    effect = "SELECT count(*) FROM users WHERE id = $1 AND banned_at IS NOT NULL"
    return Trial(ann, {"userId": other.id}, effect, (uid(other.id),))


@trial_of("unbanUser")
async def unban_user(lane: Lane) -> Trial:
    ann, _ = await people(lane)
    other = await lane.person("other")
    await do(ann, "banUser", userId=other.id)
    effect = "SELECT count(*) FROM users WHERE id = $1 AND banned_at IS NULL"
    return Trial(ann, {"userId": other.id}, effect, (uid(other.id),))


@trial_of("setPresence")
async def set_presence(lane: Lane) -> Trial:
    """Kept in memory only, in no table."""
    _, bob = await people(lane)
    return Trial(bob, {"state": "ACTIVE", "statusText": lane.name("status ")}, None)


@trial_of("setTyping")
async def set_typing(lane: Lane) -> Trial:
    """Kept in memory only, in no table."""
    _, bob = await people(lane)
    return Trial(bob, {"roomId": await shared_room(lane), "typing": True}, None)


@trial_of("createUpload")
async def create_upload(lane: Lane) -> Trial:
    _, bob = await people(lane)
    name = lane.name("file")
    variables = {"filename": name, "contentType": "text/plain", "byteSize": 5}
    return Trial(bob, variables, "SELECT count(*) FROM files WHERE filename = $1", (name,))


@trial_of("registerPushSubscription")
async def register_push_subscription(lane: Lane) -> Trial:
    _, bob = await people(lane)
    endpoint = f"https://127.0.0.1:9/{lane.name('browser')}"
    effect = "SELECT count(*) FROM push_subscriptions WHERE endpoint = $1"
    return Trial(bob, {"endpoint": endpoint, **BROWSER}, effect, (endpoint,), is_keyed=True)


@trial_of("unregisterPushSubscription")
async def unregister_push_subscription(lane: Lane) -> Trial:
    _, bob = await people(lane)
    endpoint = f"https://127.0.0.1:9/{lane.name('browser')}"
    await do(bob, "registerPushSubscription", endpoint=endpoint, **BROWSER)
    effect = "SELECT 1 - count(*) FROM push_subscriptions WHERE endpoint = $1"
    return Trial(bob, {"endpoint": endpoint}, effect, (endpoint,), is_keyed=True)
