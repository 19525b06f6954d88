"""GraphQL inputs of uploads."""

import strawberry


@strawberry.input
class CreateUploadInput:
    filename: str
    content_type: str
    byte_size: int = strawberry.field(description="The exact size. An upload of more or fewer bytes is refused.")
