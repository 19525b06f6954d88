"""The mutation that starts an upload."""

from datetime import datetime
from typing import Annotated

import strawberry

from roomcast.api.context import Info
from roomcast.api.errors import MutationPayload
from roomcast.api.schema.mutation import describe, mutation
from roomcast.api.schema.scalars import URL, Long
from roomcast.api.schema.uploads.types import HttpHeader
from roomcast.core.ids import global_id
from roomcast.uploads import actions, policy
from roomcast.uploads.actions import NewFile


@strawberry.type
class UploadTicket(MutationPayload):
    upload_id: strawberry.ID | None = strawberry.field(
        default=None, description="Use it in `attachmentIds` or `avatarUploadId` when the bytes have been sent."
    )
    upload_url: URL | None = strawberry.field(default=None, description="Send the bytes to this URL with PUT.")
    headers: list[HttpHeader] | None = strawberry.field(
        default=None, description="Headers that the PUT request must have."
    )
    expires_at: datetime | None = strawberry.field(default=None, description="The URL accepts bytes until this time.")


@strawberry.type
class Mutation:
    @mutation
    async def create_upload(
        self,
        info: Info,
        filename: Annotated[str, describe("The name of the file, as other users see it.")],
        content_type: Annotated[str, describe("The media type, e.g. image/png.")],
        byte_size: Annotated[Long, describe("The exact size. An upload of more or fewer bytes is refused.")],
    ) -> UploadTicket:
        """Reserve an upload of one file. It is removed if it is not used within a day.

        Announces nothing. Errors: VALIDATION_FAILED, FILE_TOO_LARGE, QUOTA_EXCEEDED (the files of this user would
        exceed the user's quota), RATE_LIMITED (too many unused files).
        """
        context, backend = info.context, info.context.backend
        new = NewFile(filename, content_type, byte_size)
        async with backend.db.work() as work:
            file = await actions.create_upload(work, context.actor, new, backend.file_limits, backend.refusals)
        expires_at = file.created_at + policy.TICKET_LIFETIME
        return UploadTicket(
            upload_id=strawberry.ID(global_id("file", file.id)),
            upload_url=URL(context.base_url + backend.links.path("uploads", file.id, expires_at)),
            headers=[HttpHeader(name="Content-Type", value=file.declared_type)],
            expires_at=expires_at,
        )
