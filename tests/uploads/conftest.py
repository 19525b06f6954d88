"""Fixtures of the tests of uploads: a bucket on a real server."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import servers
from tests.children import free_port

BUCKETS = [{"name": "files"}]
FOLDER = Path(__file__).parent
START = 'import S3rver from "s3rver"; new S3rver(JSON.parse(process.argv[1])).run().then(() => console.log("ready"));'


@pytest.fixture(scope="session")
def bucket_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a bucket: ROOMCAST_TEST_S3_URL, or one on a server started for these tests."""
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


@pytest.fixture
def bucket_url(bucket_server: str) -> str:
    """The URL of an empty part of the bucket."""
    parts = urlsplit(bucket_server)
    return parts._replace(path=f"{parts.path}/{uuid.uuid4().hex}").geturl()
