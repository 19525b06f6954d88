"""GraphQL documents of message operations."""

MESSAGE = (
    "id seq body revision editedAt deletedAt replyTo { id body } viewerCanEdit viewerCanDelete pinnedAt mentionsRoom "
    "mentions { username } reactions { emoji count viewerHasReacted users(first: 5) { totalCount nodes { username } } }"
)
PAYLOAD = "{ errors { code path } cursor message { " + MESSAGE + " } }"


def mutation(name: str) -> str:
    """The document of a mutation whose payload has a message."""
    return f"mutation Do($input: {name[0].upper()}{name[1:]}Input!) {{ {name}(input: $input) {PAYLOAD} }}"


EDIT = mutation("editMessage")
DELETE = mutation("deleteMessage")
REACT = mutation("addReaction")
REMOVE_REACTION = mutation("removeReaction")
PIN = mutation("pinMessage")
UNPIN = mutation("unpinMessage")
REVISIONS = (
    "query Revisions($id: ID!) { message(id: $id) { body revision "
    "revisions(first: 50) { nodes { revision body editedAt editedBy { username } } pageInfo { hasNextPage } } } }"
)
MESSAGE_BY_ID = "query MessageById($id: ID!) { message(id: $id) { " + MESSAGE + " } }"


def codes(payload: dict[str, object]) -> list[str]:
    """The codes of a payload's errors."""
    errors = payload["errors"]
    assert isinstance(errors, list)
    return [error["code"] for error in errors]
