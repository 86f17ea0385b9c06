"""The one form in which texts that people type are compared: Unicode's NFC.

``é`` may be typed as one character or as ``e`` with an accent after it (macOS does): both look alike and mean the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from unicodedata import normalize


def composed(text: str) -> str:
    """Return the text in NFC."""
    return text if text.isascii() else normalize("NFC", text)


def forms(text: str) -> tuple[str, ...]:
    """Return the text as it is written, in NFC and in NFD, each once: what it may have been recorded as."""
    return (text,) if text.isascii() else tuple(dict.fromkeys((text, composed(text), normalize("NFD", text))))


def spelt(text: str, known: Iterable[str]) -> str:
    """Return the known text that is the same as ``text``; ``text`` in NFC when none is.

    Linear, for letters beyond ASCII.
    """
    if text.isascii():
        return text
    wanted = composed(text)
    return next((each for each in known if composed(each) == wanted), wanted)
