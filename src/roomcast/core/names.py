"""When two names are the same: regardless of case, accents, width, spacing, what cannot be seen and look-alikes."""

import unicodedata

_LOOK_ALIKES = str.maketrans(
    "аеорсухіјѕԁԛԝһկոսցօӏαβεικνορτυχгкмнтвıɡɑ0153|i",
    "aeopcyxljsdqwhqnugolabelknoptuxrkmhtblgaolsell",
)
"""Cyrillic, Greek, Armenian and phonetic letters and the digits drawn like a Latin one; i, l and 1 are so in one
case or the other. Both sides of a comparison are folded: it only matters that look-alikes end on the same letter."""

_UNSEEN = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10)))
"""What draws nothing although its category is a letter's, a symbol's or a mark's."""


def fold(name: str) -> str:
    """The key under which a name is unique. Empty for a name that shows nothing."""
    return plain(name).translate(_LOOK_ALIKES)


def plain(text: str) -> str:
    """What a search compares: regardless of case, accents, width, spacing and what cannot be seen."""
    if text.isascii():  # nothing to take apart; every message that is sent passes here
        return " ".join(text.lower().split())
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return " ".join("".join(map(_seen, decomposed)).split())


def _seen(char: str) -> str:
    """The character as it counts: nothing for marks and what is invisible, one dash for all dashes."""
    if unicodedata.combining(char) or unicodedata.category(char) == "Cf" or char in _UNSEEN:
        return ""
    return "-" if unicodedata.category(char) == "Pd" else char


def is_printable(text: str, *, lines: bool = False) -> bool:
    """No control or invisible formatting characters; line breaks and tabs only where `lines` allows them.

    Zero-width joiners stay: emoji and several scripts need them.
    """
    if text.isprintable():  # stricter than we are, and asked in one call; nearly every text passes here
        return True
    return not any(
        unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn")
        or (
            unicodedata.category(char) == "Cf"
            and char not in "\u200c\u200d\ufe0f"
            and not 0xE0020 <= ord(char) <= 0xE007F
        )
        for char in text
        if not (lines and char in "\n\t\r")
    )
