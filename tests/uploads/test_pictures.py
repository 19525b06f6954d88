"""Pictures are processed in child processes with limits: none delays other requests or leaves a process or file."""

import asyncio
import hashlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from PIL import Image

from roomcast.core.errors import RequestTimedOut, UnsupportedMediaType
from roomcast.uploads.pictures import Job, Picture, PictureLimits, PicturePool
from tests.api_clients import UserClient, sign_up
from tests.conftest import MakeApp
from tests.uploads import pictures
from tests.uploads.documents import code, fetch, picture, post, put, ticket, upload
from tests.uploads.pictures import MARK

ANN, BOB = uuid4(), uuid4()
ENDLESS = PictureLimits(cpu_seconds=600, wall_seconds=600)

needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[PicturePool]:
    opened = PicturePool()
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that takes half a minute to decode."""
    path = tmp_path_factory.mktemp("slow") / "slow.jpg"
    path.write_bytes(pictures.slow_jpeg())
    return path


def job(path: Path, content_type: str = "image/png", content: bytes | None = None) -> Job:
    if content is not None:
        path.write_bytes(content)
    small, stripped = path.with_suffix(".small"), path.with_suffix(".stripped")
    return Job(path, content_type, path.stat().st_size, stripped, small)


def workers() -> list[int]:
    """The picture workers of this process, zombies included."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields, command = stat.read_text().rpartition(")")[2].split(), stat.with_name("cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):  # the process has just ended
            continue
        if int(fields[1]) == os.getpid() and (fields[0] == "Z" or b"picture_worker" in command):
            found.append(int(stat.parent.name))
    return found


def inherited(pid: int) -> tuple[bytes, set[str]]:
    """The environment of a process, and its open files."""
    process = Path(f"/proc/{pid}")
    return (process / "environ").read_bytes(), {str(link.readlink()) for link in (process / "fd").iterdir()}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.02)


# ------------------------------------------------------------------ through the server


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_slow_picture_is_refused_and_does_not_delay_others(
    ann: UserClient, bob: UserClient, slow: Path
) -> None:
    pool = ann.app.roomcast.upload_receiver.pictures
    pool.limits = replace(pool.limits, cpu_seconds=1)
    room_id = await bob.create_room("den")
    bomb = await asyncio.to_thread(slow.read_bytes)
    upload_ticket = [await ticket(ann, len(bomb), "a.jpg", "image/jpeg") for _ in range(2)]
    async with asyncio.TaskGroup() as tasks:
        slow_ones = [tasks.create_task(put(ann, one, bomb)) for one in upload_ticket]
        file = await post(bob, room_id, picture(90, 60), "b.png", "image/png")
        assert not all(task.done() for task in slow_ones)
    assert (file["width"], file["height"]) == (90, 60)
    assert {code(task.result()) for task in slow_ones} == {(415, "UNSUPPORTED_MEDIA_TYPE")}
    assert await upload(ann, picture(9, 9), "a.png", "image/png")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_stored_pictures_have_no_location_and_the_hash_of_the_stripped_file(ann: UserClient) -> None:
    room_id = await ann.create_room("den")
    for name, content, kind in (
        ("a.jpg", pictures.jpeg(), "image/jpeg"),
        ("a.png", pictures.png(), "image/png"),
        ("a.gif", pictures.gif(), "image/gif"),
        ("a.webp", pictures.webp(), "image/webp"),
        ("a.avif", pictures.avif(), "image/avif"),
        ("a.heic", pictures.heic(), "image/heic"),
        ("a.txt", pictures.jpeg(), "text/plain"),  # the declared type does not matter
    ):
        upload_ticket = await ticket(ann, len(content), name, kind)
        first, again = await put(ann, upload_ticket, content), await put(ann, upload_ticket, content)
        assert first.status_code == 200, (name, first.text)
        assert first.json() == again.json()
        file = await ann.mutate(
            "mutation ($input: SendMessageInput!) { sendMessage(input: $input) { errors { code } message { "
            "attachments { url byteSize sha256 contentType } } } }",
            roomId=room_id,
            body="",
            attachmentIds=[upload_ticket["uploadId"]],
        )
        [shown] = file["message"]["attachments"]
        served = (await fetch(shown["url"])).content
        assert MARK not in served
        assert (shown["byteSize"], shown["sha256"]) == (len(served), hashlib.sha256(served).hexdigest())
        assert (first.json()["byteSize"], first.json()["sha256"]) == (shown["byteSize"], shown["sha256"])
        assert (await put(ann, upload_ticket, content)).json() == first.json()
    stored = list((ann.app.roomcast.settings.data_dir / "uploads").glob("??/*"))
    assert len(stored) == 7 + 5  # AVIF and HEIC have no thumbnails
    assert not [path for path in stored if MARK in path.read_bytes()]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_setting_keep_originals_stores_pictures_unchanged(make_app: MakeApp) -> None:
    app = await make_app(keep_originals=True)
    async with await sign_up(app, "ann") as ann:
        room_id = await ann.create_room("den")
        content = pictures.jpeg()
        file = await post(ann, room_id, content, "a.jpg", "image/jpeg")
        assert (await fetch(file["url"])).content == content
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert MARK not in (await fetch(file["thumbnailUrl"])).content


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_picture_whose_metadata_cannot_be_found_is_refused(ann: UserClient) -> None:
    for content, kind in (
        (pictures.heic(main=b"jpeg"), "image/heic"),
        (b"\0\0\0\x1cftypavif" + bytes(40), "image/avif"),
    ):
        answer = await put(ann, await ticket(ann, len(content), "a", kind), content)
        assert code(answer) == (415, "UNSUPPORTED_MEDIA_TYPE")


# ------------------------------------------------------------------ the pool


async def test_size_and_thumbnail_follow_the_orientation(pool: PicturePool, tmp_path: Path) -> None:
    upright = Image.linear_gradient("L").resize((60, 90)).convert("RGB")
    for orientation in range(1, 9):
        turned = upright
        for turn in {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}.get(orientation, []):
            turned = upright.transpose(Image.Transpose(turn))
        file = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned.save(file, "png", exif=exif)
        picture_job = job(tmp_path / "a.png", content=file.getvalue())
        assert (await pool.prepare(ANN, picture_job)).picture == Picture(60, 90)
        assert picture_job.thumbnail is not None
        with Image.open(picture_job.thumbnail) as small:
            difference = Image.blend(small.convert("RGB"), upright, 0.5).tobytes()
            assert small.size == (60, 90)
            assert max(abs(a - b) for a, b in zip(difference, upright.tobytes(), strict=True)) < 8


@needs_proc
async def test_the_first_picture_starts_a_worker_and_later_ones_share_a_few(pool: PicturePool, tmp_path: Path) -> None:
    assert workers() == []
    jobs = [job(tmp_path / f"{number}.png", content=picture(9, 9)) for number in range(5)]
    await pool.prepare(ANN, jobs[0])
    [worker] = workers()
    owners = ANN, BOB, uuid4(), ANN, BOB
    await asyncio.gather(*(pool.prepare(owner, one) for owner, one in zip(owners, jobs, strict=True)))
    assert len(workers()) <= 2
    assert worker in workers()
    pool.limits = replace(pool.limits, pictures=1)
    await asyncio.gather(*(pool.prepare(owner, one) for owner, one in zip((ANN, BOB), jobs, strict=False)))
    await until(lambda: workers() == [])


@needs_proc
async def test_a_worker_inherits_no_secrets_and_no_files(
    pool: PicturePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOMCAST_SECRET_KEY", "a secret of the server")
    await pool.prepare(ANN, job(tmp_path / "a.png", content=picture(9, 9)))
    [worker] = workers()
    environment, opened = inherited(worker)
    assert b"secret" not in environment
    assert all(name.startswith(("pipe:", "/dev/null")) for name in opened)


@needs_proc
async def test_a_killed_worker_fails_one_picture(pool: PicturePool, tmp_path: Path, slow: Path) -> None:
    pool.limits = ENDLESS
    for owner in (ANN, BOB, ANN):
        task = asyncio.create_task(pool.prepare(owner, job(slow, "image/jpeg")))
        await until(lambda: len(workers()) == 1)
        os.kill(workers()[0], signal.SIGKILL)
        with pytest.raises(UnsupportedMediaType):
            await task
        await until(lambda: workers() == [])
    assert (await pool.prepare(ANN, job(tmp_path / "a.png", content=picture(9, 6)))).picture == Picture(9, 6)


@needs_proc
async def test_a_worker_killed_between_two_pictures_is_replaced(pool: PicturePool, tmp_path: Path) -> None:
    picture_job = job(tmp_path / "a.png", content=picture(9, 6))
    await pool.prepare(ANN, picture_job)
    [worker] = workers()
    os.kill(worker, signal.SIGKILL)
    await until(lambda: Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    assert (await pool.prepare(ANN, picture_job)).picture == Picture(9, 6)
    await until(lambda: worker not in workers())


async def test_a_worker_that_cannot_start_is_an_internal_error(
    pool: PicturePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    with pytest.raises(RuntimeError, match="exit code 1"):
        await pool.prepare(ANN, job(tmp_path / "a.png", content=picture(9, 6)))


async def test_a_picture_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    pool = PicturePool(PictureLimits(memory_bytes=100 * 1024**2))
    large = job(tmp_path / "large.png", content=picture(6000, 6000))
    with pytest.raises(UnsupportedMediaType):
        await pool.prepare(ANN, large)
    assert (await pool.prepare(ANN, job(tmp_path / "a.png", content=picture(9, 6)))).picture == Picture(9, 6)
    await pool.close()


@needs_proc
async def test_the_wall_clock_limit_applies_without_a_cpu_limit(pool: PicturePool, tmp_path: Path, slow: Path) -> None:
    await pool.prepare(ANN, job(tmp_path / "a.png", content=picture(9, 6)))
    pool.limits = replace(ENDLESS, wall_seconds=0.2)
    with pytest.raises(RequestTimedOut):
        await pool.prepare(ANN, job(slow, "image/jpeg"))
    await until(lambda: workers() == [])


@needs_proc
async def test_a_cancelled_picture_ends_its_worker_and_the_next_one_succeeds(
    pool: PicturePool, tmp_path: Path, slow: Path
) -> None:
    pool.limits = ENDLESS
    for seconds in (0.0, 0.02, 0.5):
        task = asyncio.create_task(pool.prepare(ANN, job(slow, "image/jpeg")))
        await asyncio.sleep(seconds)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: workers() == [])
    assert (await pool.prepare(ANN, job(tmp_path / "a.png", content=picture(9, 6)))).picture == Picture(9, 6)


@needs_proc
async def test_closing_the_pool_during_a_picture_leaves_no_process(slow: Path) -> None:
    pool = PicturePool(ENDLESS)
    task = asyncio.create_task(pool.prepare(ANN, job(slow, "image/jpeg")))
    await until(lambda: len(workers()) == 1)
    await pool.close()
    with pytest.raises(UnsupportedMediaType):
        await task
    assert workers() == []


SERVER = """
import asyncio, sys
from pathlib import Path
from uuid import uuid4
from roomcast.uploads.pictures import Job, PicturePool

async def main():
    pool = PicturePool()
    path = Path(sys.argv[1])
    await pool.prepare(uuid4(), Job(path, "image/png", path.stat().st_size, None, path.with_suffix(".small")))
    print(*pool.pids, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@needs_proc
async def test_workers_end_when_the_server_is_killed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(9, 9))
    command = [sys.executable, "-c", SERVER, str(tmp_path / "a.png")]
    server = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert server.stdout is not None
    worker = Path("/proc") / (await server.stdout.readline()).decode().strip()
    assert b"picture_worker" in (worker / "cmdline").read_bytes()
    server.kill()
    await server.wait()
    await until(lambda: not worker.exists() or (worker / "cmdline").read_bytes() == b"")
