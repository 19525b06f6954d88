"""The door of uploads: tickets for files, and the files of messages. The bytes go through `files.py`."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

import strawberry

from roomcast.api.context import Context, Info
from roomcast.api.errors import MutationPayload, refusable
from roomcast.api.schema.node import Node
from roomcast.api.schema.scalars import URL
from roomcast.core.clock import now
from roomcast.core.errors import NotFound
from roomcast.core.ids import global_id
from roomcast.messages import queries as messages
from roomcast.uploads import actions, models, policy
from roomcast.uploads import queries as files
from roomcast.uploads.actions import NewFile, SizeLimits
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
    return URL(context.address + context.backend.links.reading(purpose, file.id, now(), reader=context.actor.user_id))


@strawberry.type
class HttpHeader:
    name: str
    value: str


@strawberry.type(description="PUT the bytes to uploadUrl, then name uploadId in attachmentIds.")
class CreateUploadPayload(MutationPayload):
    upload_id: strawberry.ID | None = None
    upload_url: URL | None = None
    headers: list[HttpHeader] | None = strawberry.field(default=None, description="To send with the PUT.")
    expires_at: datetime | None = strawberry.field(default=None, description="How long the address takes bytes.")


@strawberry.input
class CreateUploadInput:
    filename: str
    content_type: str
    byte_size: int = strawberry.field(description="Exactly: more or fewer bytes are refused.")


@strawberry.type
class Mutation:
    @strawberry.mutation
    @refusable(CreateUploadPayload)
    async def create_upload(self, info: Info, input: CreateUploadInput) -> CreateUploadPayload:  # noqa: A002
        """A ticket for one file. What is not used within a day is removed.

        QUOTA_EXCEEDED when all files of this person would take more bytes than a person may store.
        """
        context, backend = info.context, info.context.backend
        new = NewFile(input.filename, input.content_type, input.byte_size)
        limits = SizeLimits(backend.max_upload_bytes, backend.upload_quota_bytes)
        async with backend.db.work() as work:
            file = await actions.create_upload(work, context.actor, new, limits)
        expires_at = file.created_at + policy.TICKET
        return CreateUploadPayload(
            upload_id=strawberry.ID(global_id("file", file.id)),
            upload_url=URL(context.address + backend.links.path("uploads", file.id, expires_at)),
            headers=[HttpHeader(name="Content-Type", value=file.declared_type)],
            expires_at=expires_at,
        )


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
