"""When two names are the same: regardless of case, accents, width, spacing and letters that only look alike."""

import unicodedata

_LOOK_ALIKES = str.maketrans(
    "аеорсухіјѕԁԛԝһկոսցօӏαβεικνορτυχгкмнтв0153|",
    "aeopcyxijsdqwhqnugolabeiknoptuxrkmhtboisel",
)
"""Cyrillic, Greek and Armenian letters and the digits drawn like a Latin one. Both sides of a comparison are folded,
so it only matters that look-alikes end on the same letter."""


def fold(name: str) -> str:
    """The key under which a name is unique."""
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return " ".join(bare.translate(_LOOK_ALIKES).split())


def is_printable(text: str, *, lines: bool = False) -> bool:
    """No control or invisible formatting characters; line breaks and tabs only where `lines` allows them.

    Zero-width joiners stay: emoji and several scripts need them.
    """
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
