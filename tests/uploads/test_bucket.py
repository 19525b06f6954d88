"""Files in an S3 bucket, tested on a real server: they are stored, served and deleted as in a folder."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from roomcast.doctor import run_checks
from roomcast.uploads import cleanup
from roomcast.uploads.bucket import Bucket
from tests import servers
from tests.api_clients import sign_up
from tests.children import free_port
from tests.conftest import MakeApp
from tests.messages.documents import DELETE
from tests.running_app import settings_for
from tests.uploads.documents import code, fetch, picture, post, put, ticket

BUCKETS = [{"name": "files"}]
FOLDER = Path(__file__).parent
START = 'import S3rver from "s3rver"; new S3rver(JSON.parse(process.argv[1])).run().then(() => console.log("ready"));'


@pytest.fixture(scope="session")
def bucket_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty bucket: ROOMCAST_TEST_S3_URL, or one on a server started for these tests."""
    if configured := os.environ.get("ROOMCAST_TEST_S3_URL"):
        yield configured
        return
    if shutil.which("node") is None or not (FOLDER / "node_modules" / "s3rver").is_dir():
        servers.skip("no S3 here: run make test, or npm ci in tests/uploads, or set ROOMCAST_TEST_S3_URL")
    port = free_port()
    data = tmp_path_factory.mktemp("s3")
    options = {"port": port, "address": "127.0.0.1", "silent": True, "directory": str(data)}
    command = ["node", "--input-type=module", "--eval", START, json.dumps({**options, "configureBuckets": BUCKETS})]
    with subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == b"ready\n"
            yield f"s3+http://S3RVER:S3RVER@127.0.0.1:{port}/files/of%20chat"
        finally:
            server.kill()


async def names(url: str) -> list[str]:
    return sorted([blob.name async for page in Bucket(url).list_blobs() for blob in page])


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
        return found.problem or found.note

    assert await finding_of(bucket_url) == "in a bucket"
    problem = await finding_of(bucket_url.replace("/files/", "/nowhere/"))
    assert problem.startswith("ROOMCAST_STORAGE_URL: a test file could not be stored")
