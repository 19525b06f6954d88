"""Decodes the JSON that clients send, lone surrogates included."""

import json
from typing import Any

import orjson


def decode_json(text: str | bytes) -> Any:
    """Decode JSON. Raises ValueError if the text is not JSON.

    JSON can express half of a surrogate pair, e.g. when a client truncates a text in the middle of an emoji. orjson
    refuses it, and databases cannot store it. Each lone surrogate becomes U+FFFD, as browsers replace it, so that only
    one message looks odd and the connection stays open.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        return orjson.loads(_replace_lone_surrogates(text if isinstance(text, str) else text.decode()))


def _replace_lone_surrogates(text: str) -> str:
    try:
        unescaped = json.dumps(json.loads(text), ensure_ascii=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return unescaped.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
