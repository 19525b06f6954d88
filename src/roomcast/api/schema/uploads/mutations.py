"""The mutation that starts an upload."""

from datetime import datetime

import strawberry

from roomcast.api.context import Info
from roomcast.api.errors import MutationPayload, errors_in_payload
from roomcast.api.schema.scalars import URL
from roomcast.api.schema.uploads.inputs import CreateUploadInput
from roomcast.api.schema.uploads.types import HttpHeader
from roomcast.core.ids import global_id
from roomcast.uploads import actions, policy
from roomcast.uploads.actions import NewFile, SizeLimits


@strawberry.type(
    description="Send the bytes to uploadUrl with PUT, then use uploadId in `attachmentIds` or `avatarUploadId`."
)
class CreateUploadPayload(MutationPayload):
    upload_id: strawberry.ID | None = None
    upload_url: URL | None = None
    headers: list[HttpHeader] | None = strawberry.field(
        default=None, description="Headers that the PUT request must have."
    )
    expires_at: datetime | None = strawberry.field(default=None, description="The URL accepts bytes until this time.")


@strawberry.type
class Mutation:
    @strawberry.mutation
    @errors_in_payload(CreateUploadPayload)
    async def create_upload(self, info: Info, input: CreateUploadInput) -> CreateUploadPayload:  # noqa: A002
        """Reserve an upload of one file. It is removed if it is not used within a day.

        QUOTA_EXCEEDED if the files of this user would exceed the user's quota.
        """
        context, backend = info.context, info.context.backend
        new = NewFile(input.filename, input.content_type, input.byte_size)
        limits = SizeLimits(backend.max_upload_bytes, backend.upload_quota_bytes)
        async with backend.db.work() as work:
            file = await actions.create_upload(work, context.actor, new, limits)
        expires_at = file.created_at + policy.TICKET_LIFETIME
        return CreateUploadPayload(
            upload_id=strawberry.ID(global_id("file", file.id)),
            upload_url=URL(context.base_url + backend.links.path("uploads", file.id, expires_at)),
            headers=[HttpHeader(name="Content-Type", value=file.declared_type)],
            expires_at=expires_at,
        )
