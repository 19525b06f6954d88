"""GraphQL inputs of uploads."""

import strawberry


@strawberry.input
class CreateUploadInput:
    filename: str
    content_type: str
    byte_size: int = strawberry.field(description="Exactly: more or fewer bytes are refused.")
