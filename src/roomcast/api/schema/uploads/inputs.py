"""GraphQL inputs of uploads."""

import strawberry

from roomcast.api.schema.scalars import Long


@strawberry.input
class CreateUploadInput:
    filename: str
    content_type: str
    byte_size: Long = strawberry.field(description="The exact size. An upload of more or fewer bytes is refused.")
