"""Files in an S3 bucket, tested on a real server: they are stored, served and deleted as in a folder."""

from pathlib import Path

from roomcast.doctor import run_checks
from roomcast.uploads import cleanup, ownership
from roomcast.uploads.bucket import Bucket
from tests.api_clients import sign_up
from tests.conftest import MakeApp
from tests.messages.documents import DELETE
from tests.running_app import settings_for
from tests.uploads.documents import code, fetch, picture, post, put, ticket


async def names(url: str) -> list[str]:
    found = [blob.name async for page in Bucket(url).list_blobs() for blob in page]
    return sorted(name for name in found if name != ownership.MARKER)


async def test_files_are_stored_served_and_deleted_in_a_bucket(make_app: MakeApp, bucket_url: str) -> None:
    app = await make_app(storage_url=bucket_url)
    async with await sign_up(app, "ann") as ann:
        room_id = await ann.create_room("den")
        content = picture(600, 400, "png", compress_level=0)
        file = await post(ann, room_id, content, "big.png", "image/png")
        assert len(await names(bucket_url)) == 2
        assert (await fetch(file["url"])).content == content
        part = await fetch(file["url"], range="bytes=100000-300000")
        assert (part.status_code, part.content) == (206, content[100000:300001])
        assert (await fetch(file["thumbnailUrl"])).headers["content-type"] == "image/webp"
        upload_ticket = await ticket(ann, 5)
        assert code(await put(ann, upload_ticket, b"12345678")) == (413, "FILE_TOO_LARGE")
        await ann.mutate(DELETE, messageId=file["message"])
        await cleanup.delete_unused_files(app.roomcast.db, app.roomcast.storage)
        assert await names(bucket_url) == []
    assert not any((app.roomcast.settings.data_dir / "uploads" / "incoming").iterdir())


async def test_the_doctor_checks_the_bucket(bucket_url: str, tmp_path: Path) -> None:
    async def finding_of(url: str) -> str:
        settings = settings_for(f"sqlite:///{tmp_path}/x.db", tmp_path, storage_url=url)
        [found] = [finding for finding in await run_checks(settings) if finding.subject == "files"]
        return found.text

    assert await finding_of(bucket_url) == "in a bucket"
    problem = await finding_of(bucket_url.replace("/files/", "/nowhere/"))
    assert problem.startswith("ROOMCAST_STORAGE_URL: a test file could not be stored")
