"""Avatars: own pictures, shown to all users without metadata, and deleted when they are replaced."""

import io

from PIL import Image

from tests.api_clients import UserClient
from tests.uploads.documents import PROFILE, SEND, codes, fetch, picture, post, upload

USER = "query ($id: ID!) { user(id: $id) { avatarUrl } }"


async def test_an_avatar_is_public_scaled_down_and_without_metadata(ann: UserClient, bob: UserClient) -> None:
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    file = await upload(ann, picture(800, 400, "jpeg", exif=exif), "me.jpg", "image/jpeg")
    changed = await ann.mutate(PROFILE, avatarUploadId=file)
    assert changed["errors"] == []
    url = (await bob.execute(USER, id=ann.id))["user"]["avatarUrl"]
    assert url == changed["user"]["avatarUrl"]
    answer = await fetch(url)
    assert b"taken at home" not in answer.content
    with Image.open(io.BytesIO(answer.content)) as small:
        assert small.size == (480, 240)
    assert (await bob.execute(USER, id=bob.id))["user"]["avatarUrl"] is None


async def test_a_new_avatar_replaces_the_old_one_and_null_removes_it(ann: UserClient) -> None:
    files = [await upload(ann, picture(size, size), "me.png", "image/png") for size in (10, 20)]
    old, new = [(await ann.mutate(PROFILE, avatarUploadId=file))["user"]["avatarUrl"] for file in files]
    assert (await fetch(old)).status_code == 404
    assert (await fetch(new)).status_code == 200
    assert (await ann.mutate(PROFILE, displayName="Ann"))["user"]["avatarUrl"] == new
    assert (await ann.mutate(PROFILE, avatarUploadId=None))["user"]["avatarUrl"] is None
    assert (await fetch(new)).status_code == 404
    await ann.app.roomcast.delete_unused_files()
    folder = ann.app.roomcast.settings.data_dir / "uploads"
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["installation"]


async def test_only_an_own_unused_picture_becomes_an_avatar(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den")
    text, other = await upload(ann, b"no picture"), await upload(bob, picture(9, 9), "b.png", "image/png")
    sent = (await post(ann, room_id, picture(9, 9), "c.png", "image/png"))["id"]
    for file, refusal in (
        (text, "UNSUPPORTED_MEDIA_TYPE"),
        (other, "NOT_FOUND"),
        ("file_x", "NOT_FOUND"),
        (sent, "CONFLICT"),
    ):
        payload = await ann.mutate(PROFILE, avatarUploadId=file)
        assert payload["errors"] == [{"code": refusal, "path": ["input", "avatarUploadId"]}]
    assert (await ann.execute(USER, id=ann.id))["user"]["avatarUrl"] is None
    avatar = await upload(ann, picture(9, 9), "d.png", "image/png")
    assert codes(await ann.mutate(PROFILE, avatarUploadId=avatar)) == []
    assert codes(await ann.mutate(SEND, roomId=room_id, body="", attachmentIds=[avatar])) == ["CONFLICT"]
