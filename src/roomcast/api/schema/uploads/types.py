"""GraphQL types of uploads."""

from typing import ClassVar
from uuid import UUID

import strawberry

from roomcast.api.context import Context, Info
from roomcast.api.schema.node import Node
from roomcast.api.schema.scalars import URL, Long
from roomcast.core.clock import now
from roomcast.core.errors import NotFound
from roomcast.messages import queries as messages
from roomcast.uploads import models
from roomcast.uploads import queries as files
from roomcast.uploads.links import Purpose


@strawberry.type(description="A file that is attached to a message.")
class Attachment(Node):
    row: ClassVar = models.File, models.FileRecord
    filename: str = strawberry.field(description="The name to show and to save as, without a path.")
    content_type: str = strawberry.field(
        description="The type detected from the bytes, or else the type that the sender declared."
    )
    byte_size: Long = strawberry.field(
        description="The size of the stored file. Pictures are stored without metadata, so it may differ from the "
        "upload."
    )
    width: int | None = strawberry.field(description="In pixels, as displayed. Null if the file is not a picture.")
    height: int | None = strawberry.field(description="In pixels, as displayed. Null if the file is not a picture.")
    sha256: str = strawberry.field(description="The SHA-256 hash of the stored file, in hexadecimal.")

    @strawberry.field(
        description="A signed URL that expires soon. It works only for as long as the viewer may read the message. "
        "Query it again for a new one."
    )
    def url(self, file: strawberry.Parent[models.File], info: Info) -> URL:
        return _signed_url(info.context, "files", file)

    @strawberry.field(description="A small WebP picture. Null if the file is not a picture.")
    def thumbnail_url(self, file: strawberry.Parent[models.File], info: Info) -> URL | None:
        return _signed_url(info.context, "thumbnails", file) if file.has_thumbnail else None


def _signed_url(context: Context, purpose: Purpose, file: models.File) -> URL:
    return URL(
        context.base_url + context.backend.links.read_path(purpose, file.id, now(), reader=context.actor.user_id)
    )


@strawberry.type(description="A header that a request must have.")
class HttpHeader:
    name: str = strawberry.field(description="The name of the header, e.g. `Content-Type`.")
    value: str = strawberry.field(description="Its value.")


async def attachment_or_none(context: Context, file_id: UUID | None) -> models.File | None:
    """The file, if it is attached to a message that the viewer may read."""
    actor = context.actor
    try:
        async with context.snapshot.session() as session:
            file = (await files.files_by_id(session, [file_id])).get(file_id) if file_id else None
            await messages.readable_record(session, actor, file.message_id if file else None)
    except NotFound:
        return None
    return file
