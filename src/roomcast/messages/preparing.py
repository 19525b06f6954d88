"""Prepares the text of a message in a worker thread, before the message joins a batch."""

from collections.abc import Hashable

from roomcast.core.offload import offload
from roomcast.messages.markdown import MAX_INLINE_LENGTH
from roomcast.messages.mentions import find_mentions
from roomcast.messages.policy import MAX_BODY
from roomcast.messages.search import searchable_text


async def warm_text_caches(owner: Hashable, body: str) -> None:
    """Fill the caches that storing this body reads. A batch blocks the event loop for all of its messages, and 4,000
    characters can be written so that they take forty milliseconds."""
    if MAX_INLINE_LENGTH < len(body) <= MAX_BODY and ("@" in body or not body.isascii()):
        await offload(owner, _compute, body)


def _compute(body: str) -> None:
    find_mentions(body)
    searchable_text(body)
