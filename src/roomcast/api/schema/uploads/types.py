"""GraphQL types of uploads."""

from typing import ClassVar
from uuid import UUID

import strawberry

from roomcast.api.context import Context, Info
from roomcast.api.schema.node import Node
from roomcast.api.schema.scalars import URL
from roomcast.core.clock import now
from roomcast.core.errors import NotFound
from roomcast.messages import queries as messages
from roomcast.uploads import models
from roomcast.uploads import queries as files
from roomcast.uploads.links import Purpose


@strawberry.type
class Attachment(Node):
    row: ClassVar = models.File
    filename: str
    content_type: str = strawberry.field(description="What its bytes are, where they say so; else what it was called.")
    byte_size: int = strawberry.field(description="Of what is served: pictures are stored without their metadata.")
    width: int | None = strawberry.field(description="Of a picture, in pixels, as it is shown.")
    height: int | None
    sha256: str = strawberry.field(description="Of the bytes that are served, hexadecimal.")

    @strawberry.field(
        description="Signed, short-lived, and good only while the viewer may read it; select it again to renew."
    )
    def url(self, file: strawberry.Parent[models.File], info: Info) -> URL:
        return _address(info.context, "files", file)

    @strawberry.field(description="A small WebP without metadata. Null for what is no picture.")
    def thumbnail_url(self, file: strawberry.Parent[models.File], info: Info) -> URL | None:
        return _address(info.context, "thumbnails", file) if file.has_thumbnail else None


def _address(context: Context, purpose: Purpose, file: models.File) -> URL:
    return URL(context.base_url + context.backend.links.reading(purpose, file.id, now(), reader=context.actor.user_id))


@strawberry.type
class HttpHeader:
    name: str
    value: str


async def attachment_or_none(context: Context, file_id: UUID | None) -> models.File | None:
    """The file, if it goes with a message that the viewer may read."""
    actor = context.actor
    try:
        async with context.snapshot.session() as session:
            file = (await files.files_by_id(session, [file_id])).get(file_id) if file_id else None
            await messages.readable_message(session, actor, file.message_id if file else None)
    except NotFound:
        return None
    return file
