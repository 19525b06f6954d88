"""GraphQL documents of threads, and what a viewer reads with them."""

from tests.api_clients import Json, UserClient

THREAD = "id root { id } replyCount lastReply { id body } participants { username } viewerIsFollowing viewerUnreadCount"
MARK_THREAD_READ = (
    "mutation Mark($input: MarkThreadReadInput!) { markThreadRead(input: $input) "
    "{ errors { code path } thread { " + THREAD + " } } }"
)
FOLLOW = (
    "mutation Follow($input: SetThreadFollowingInput!) { setThreadFollowing(input: $input) "
    "{ errors { code path } thread { " + THREAD + " } } }"
)
THREADS = (
    "query Threads($first: Int, $after: String, $unreadOnly: Boolean! = false) "
    "{ threads(first: $first, after: $after, unreadOnly: $unreadOnly) { edges { cursor node { id } } "
    "nodes { " + THREAD + " } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"
)
MESSAGE_THREAD = "query Thread($id: ID!) { message(id: $id) { thread { " + THREAD + " } } }"


async def reply(person: UserClient, room_id: str, root: Json, body: str = "reply") -> Json:
    """Send a reply in the thread of this message and return it."""
    payload = await person.send(room_id, body, threadRootId=root["id"])
    assert payload["errors"] == []
    return dict(payload["message"])


async def thread_of(person: UserClient, root: Json) -> Json:
    """The thread of this message as the person sees it."""
    return dict((await person.execute(MESSAGE_THREAD, id=root["id"]))["message"]["thread"])


async def followed(person: UserClient, **arguments: object) -> list[tuple[str, int]]:
    """The threads that the person follows: the id of each first message, and the number of unread replies."""
    nodes = (await person.execute(THREADS, **arguments))["threads"]["nodes"]
    return [(node["root"]["id"], node["viewerUnreadCount"]) for node in nodes]
