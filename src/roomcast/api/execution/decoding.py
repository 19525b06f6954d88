"""JSON as clients send it, half an emoji included."""

import json
from typing import Any

import orjson


def decode_json(text: str | bytes) -> Any:
    """Raises ValueError for what is no JSON.

    JSON may name half of a surrogate pair, which a text cut off in the middle of an emoji holds and no database stores.
    It becomes U+FFFD, as browsers make of it, so that one message is odd instead of a whole socket closed.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        return orjson.loads(_without_halves(text if isinstance(text, str) else text.decode()))


def _without_halves(text: str) -> str:
    try:
        spelled = json.dumps(json.loads(text), ensure_ascii=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return spelled.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
