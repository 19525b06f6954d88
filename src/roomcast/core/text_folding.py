"""When two names are the same: regardless of case, accents, width, spacing, what cannot be seen and look-alikes."""

import re
import unicodedata

from roomcast.core.errors import BadUserInput

MAX_FILTER = 200
"""Characters of a text that lists are filtered by."""

_LOOK_ALIKES = str.maketrans(
    "аеорсухіјѕԁԛԝһկոսցօӏαβεικνορτυχгкмнтвıɡɑ0153|i",
    "aeopcyxljsdqwhqnugolabelknoptuxrkmhtblgaolsell",
)
"""Cyrillic, Greek, Armenian and phonetic letters and the digits drawn like a Latin one; i, l and 1 are so in one
case or the other. Both sides of a comparison are folded: it only matters that look-alikes end on the same letter."""

_UNSEEN = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10)))
"""What draws nothing although its category is a letter's, a symbol's or a mark's."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_PICTURES = range(0x1F000, 0x1FB00)
"""Where new emoji get their place: this Python may be older than they are."""


def fold(name: str) -> str:
    """The key under which a name is unique. Empty for a name that shows nothing."""
    return search_form(name).translate(_LOOK_ALIKES)


def search_form(text: str, limit: int | None = None) -> str:
    """What a search compares: regardless of case, accents, width, spacing and what cannot be seen.

    One character can stand for eighteen. `limit`: how many of those that it all stands for are looked at.
    """
    if text.isascii():  # nothing to take apart; every message that is sent passes here
        return " ".join(text.lower().split())
    decomposed = unicodedata.normalize("NFKD", text).casefold()[:limit]
    return " ".join("".join(map(_seen, decomposed)).split())


def search_key(text: str, field: str) -> str:
    """The text as a filter of lists looks for it. Raises BadUserInput for one that is too long, also taken apart."""
    key = search_form(text, MAX_FILTER + 1) if len(text) <= MAX_FILTER else text
    if len(key) > MAX_FILTER:
        raise BadUserInput(f"this filter has at most {MAX_FILTER} characters", path=["filter", field])
    return key


def _seen(char: str) -> str:
    """The character as it counts: nothing for marks and what is invisible, one dash for all dashes."""
    if _is_accent(char) or unicodedata.category(char) == "Cf" or char in _UNSEEN:
        return ""
    return "-" if unicodedata.category(char) == "Pd" else char


def _is_accent(char: str) -> bool:
    """A mark that leaves its letter the same letter. Those of kana, Thai, Lao and Tibetan, which have classes of their
    own, make another one of it: パパ is not ハハ."""
    kind = unicodedata.combining(char)
    return kind != 0 and kind != 8 and not 84 <= kind <= 132


def is_printable(text: str, *, lines: bool = False) -> bool:
    """No control or invisible formatting characters; line breaks and tabs only where `lines` allows them.

    Zero-width joiners stay: emoji and several scripts need them.
    """
    if text.isprintable():  # stricter than we are, and asked in one call; nearly every text passes here
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
    """What people write, in any script and with the invisible marks that it needs: all but control characters."""
    return not _CONTROL.search(text)


def has_visible_text(text: str) -> bool:
    """Whether it shows anything at all."""
    return any(_seen(char) and not char.isspace() for char in text)
