"""Which installation a storage belongs to.

The database has the id of the installation, and so has an object in the storage. A server that is started with another
database beside the storage (a mistyped address, a test server on the bucket of the real one) would otherwise delete all
files as stray bytes, because its database knows none of them.
"""

from uuid import UUID

from roomcast.core import event_log
from roomcast.core.db import Database
from roomcast.core.ids import uuid7
from roomcast.uploads import queries
from roomcast.uploads.models import file_id
from roomcast.uploads.storage import Storage

MARKER = "installation"
"""The name of the object with the id. It has no dash, so a folder has it beside its subfolders, and no sweep lists it
as the bytes of a file."""

SAMPLE_SIZE = 2_000
"""How many stored objects are looked at, at least, to decide whether a database knows them."""

ADVICE = (
    "Correct ROOMCAST_DATABASE_URL, ROOMCAST_DATA_DIR or ROOMCAST_STORAGE_URL. If this database and these files belong "
    "together, run `roomcast adopt-storage`; files that the database does not know are deleted a day later"
)


class ForeignStorage(Exception):
    """The storage belongs to another installation. The message says what to do."""


async def claim(db: Database, storage: Storage) -> None:
    """Check that the storage belongs to this installation. Raises ForeignStorage, and the errors of the storage.

    If one of database and storage has no id, it gets that of the other; if both have none, they get a new one. Before
    that, the database has to know some of the stored files, or nothing is stored.
    """
    known, marked = await check(db, storage)
    if known is None or marked != known:
        await _mark(db, storage, marked)


async def check(db: Database, storage: Storage) -> tuple[UUID | None, UUID | None]:
    """As `claim`, without changing anything. Returns the ids of the database and of the storage."""
    # The storage is read first: a process that starts at the same time writes to the database first.
    marked = await marked_id(storage)
    async with db.read() as session:
        known = await event_log.installation_id(session)
    if marked is not None and marked == known:
        return known, marked
    if marked is not None and known is not None:
        raise ForeignStorage(f"the stored files belong to installation {marked}, and the database to {known}. {ADVICE}")
    knows = await _knows_stored_files(db, storage)
    if knows is False or (marked is not None and knows is None):
        raise ForeignStorage(f"the database knows none of the stored files, so they are of another one. {ADVICE}")
    return known, marked


async def is_own(db: Database, storage: Storage) -> bool:
    """Whether database and storage have the same id."""
    async with db.read() as session:
        known = await event_log.installation_id(session)
    return known is not None and await marked_id(storage) == known


async def adopt(db: Database, storage: Storage) -> UUID:
    """Make the storage that of this database, whatever it was before. Returns the id of the installation."""
    await storage.remove(MARKER)
    return await _mark(db, storage, None)


async def marked_id(storage: Storage) -> UUID | None:
    """The id in the storage. Raises ForeignStorage if the object with the id holds something else."""
    try:
        size = await storage.size(MARKER)
        content = b"".join([chunk async for chunk in await storage.open(MARKER, 0, size)])
    except FileNotFoundError:
        return None
    try:
        return UUID(content.decode().strip())
    except ValueError:
        raise ForeignStorage(f"the object `{MARKER}` beside the stored files holds no id. {ADVICE}") from None


async def _mark(db: Database, storage: Storage, marked: UUID | None) -> UUID:
    async with db.work() as work:
        stored = await event_log.set_installation_id(work.session, marked or uuid7())
    await storage.create(MARKER, f"{stored}\n".encode())
    if (found := await marked_id(storage)) != stored:
        raise ForeignStorage(f"installation {found} has just been started on these files. {ADVICE}")
    return stored


async def _knows_stored_files(db: Database, storage: Storage) -> bool | None:
    """Whether the database knows one of the stored files; None if there are no files."""
    seen = 0
    async for page in storage.list_blobs():
        names = [found.name for found in page if file_id(found.name) is not None]
        async with db.read() as session:
            if await queries.known_blobs(session, names):
                return True
        seen += len(names)
        if seen >= SAMPLE_SIZE:
            return False
    return False if seen else None
