"""Text folding: when two names count as equal. Ignores case, accents, width, spacing, invisible characters and
look-alikes."""

import re
import unicodedata
from itertools import pairwise

from roomcast.core.errors import BadUserInput

MAX_FILTER = 200
"""Characters of the search text in a filter of a list."""

FIRST_WITHOUT_SPACES = "\u0e00"
"""Thai, and above it the other scripts that write words without spaces in between, up to kana and Han."""

_LOOK_ALIKES = str.maketrans(
    "аеорсухіјѕԁԛԝһկոսցօӏαβεικνορτυχгкмнтвıɡɑ0153|i",
    "aeopcyxljsdqwhqnugolabelknoptuxrkmhtblgaolsell",
)
"""Cyrillic, Greek, Armenian and phonetic letters and digits that look like a Latin letter; i, l and 1 do so in one case
or the other. Both sides of a comparison are folded, so it only matters that look-alikes map to the same letter."""

_UNSEEN = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10)))
"""Characters that draw nothing although their category is that of a letter, a symbol or a mark."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_PICTURES = range(0x1F000, 0x1FB00)
"""Code points of new emoji, which the Unicode data of this Python may not know yet."""


def fold(name: str) -> str:
    """The key under which a name is unique. Empty for a name without visible characters."""
    return search_form(name).translate(_LOOK_ALIKES)


def search_form(text: str, limit: int | None = None) -> str:
    """The form of a text that a search compares. Ignores case, accents, width, spacing and invisible characters.

    One character can expand to eighteen. `limit`: how many characters of the expansion are used.
    """
    if text.isascii():  # nothing to expand; every message that is sent passes here
        return " ".join(text.lower().split())
    decomposed = unicodedata.normalize("NFKD", text).casefold()[:limit]
    return " ".join("".join(map(_visible_form, decomposed)).split())


def letter_pairs(text: str) -> str:
    """The pairs of adjacent characters with a character of FIRST_WITHOUT_SPACES or higher, as words in ASCII.

    A word is two hexadecimal code points: SQLite's tokenizers would split or fold the characters themselves.
    """
    pairs = {f"{ord(one):x}z{ord(other):x}" for one, other in pairwise(text) if max(one, other) >= FIRST_WITHOUT_SPACES}
    return " ".join(pairs)


def search_key(text: str, field: str) -> str:
    """The search text of a filter in its search form. Raises BadUserInput if it is too long, before or after
    expansion."""
    key = search_form(text, MAX_FILTER + 1) if len(text) <= MAX_FILTER else text
    if len(key) > MAX_FILTER:
        raise BadUserInput(f"This filter has at most {MAX_FILTER} characters.", path=["filter", field])
    return key


def _visible_form(char: str) -> str:
    """The character for comparison: nothing for accents and invisible characters, the same dash for all dashes."""
    # An accent is a mark that does not change its letter. The marks of kana, Thai, Lao and Tibetan, with combining
    # classes of their own, do change it: パパ is not ハハ.
    kind = unicodedata.combining(char)
    is_accent = kind != 0 and kind != 8 and not 84 <= kind <= 132
    if is_accent or unicodedata.category(char) == "Cf" or char in _UNSEEN:
        return ""
    return "-" if unicodedata.category(char) == "Pd" else char


def is_printable(text: str, *, lines: bool = False) -> bool:
    """Whether a text has no control or invisible formatting characters. `lines` allows line breaks and tabs.

    Zero-width joiners are allowed, because emoji and several scripts need them.
    """
    if text.isprintable():  # stricter than the check below and fast; nearly every text passes here
        return True
    return not any(
        (unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") and ord(char) not in _PICTURES)
        or (
            unicodedata.category(char) == "Cf"
            and char not in "\u200c\u200d\ufe0f"
            and not 0xE0020 <= ord(char) <= 0xE007F
        )
        for char in text
        if not (lines and char in "\n\t\r")
    )


def is_text(text: str) -> bool:
    """Whether a text has no control characters. Any script and the invisible marks that it needs are allowed."""
    return not _CONTROL.search(text)


def has_visible_text(text: str) -> bool:
    """Whether the text has any visible character."""
    return any(_visible_form(char) and not char.isspace() for char in text)


def contains_pattern(text: str) -> str:
    """The pattern of LIKE, with `/` as the escape character, for values that contain this text."""
    escaped = re.sub(r"[/%_]", r"/\g<0>", text)
    return f"%{escaped}%"
