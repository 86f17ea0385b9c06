"""The grammar of macros: text is cut at its ``%`` and what lies between two becomes a small tree, once per text.

::

    text      = (literal | quoted | "%" macro "%")*     "%%" is literal and stays, a lone "%" is literal
    quoted    = "%literal(" string ")%"                 the text in the quotes as it stands, any "%" in it too
    macro     = join | list
    join      = "join(" list "," string ")"
    list      = map | name
    map       = "map(" name "," string ")"          in the string "$" is the element, "$$" a "$"
    name      = what the table of ``forms`` has, such as host.service.S, with an optional "[i]"
    string    = "'" ... "'" | '"' ... '"'

There are no blanks between the parts. ``quoted`` is the escape: the original accepts no text with it. Texts of another
language (the shell of an action's fields) are read loosely: what between two ``%`` is no macro and is not meant as one
stays as it is. Cost: linear in the text; what was parsed is remembered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from coopr_core.macros.forms import BadMacro, Name, name_from, words

DEFAULT_SEPARATOR = ","
"""What stands between the elements of a list without ``join``."""


@dataclass(frozen=True, slots=True)
class Macro:
    """One macro as it is written, its name, and how the elements are written and put together.

    ``pattern`` are the pieces between the places of the element, None without ``map``.
    """

    source: str
    name: Name
    pattern: tuple[str, ...] | None = None
    separator: str = DEFAULT_SEPARATOR


@lru_cache(maxsize=8192)
def parse(text: str, loose: bool = False) -> tuple[str | Macro, ...]:
    """Return the text as literal pieces and macros.

    Raises ``BadMacro``; when ``loose``, only for what is meant as a macro.
    """
    pieces: list[str | Macro] = []
    for is_macro, part in cut(text, loose):
        if is_macro:
            try:
                pieces.append(_Parser(part).macro())
            except BadMacro as error:
                error.source, error.meant = f"%{part}%", _is_meant(part)
                raise
        elif part:
            pieces.append(part)
    return tuple(pieces)


def cut(text: str, loose: bool = False) -> Iterator[tuple[bool, str]]:
    """Yield the text's pieces in order: False and a literal, or True and what lies between two ``%``."""
    escapes = _Escapes(text)
    start = position = 0
    while (opening := _lone_percent(text, position)) >= 0:
        if quoted := escapes.at(opening):
            yield False, text[start:opening]
            inside, start = quoted
            yield False, inside
            position = start
            continue
        closing = _closing(text, opening + 1, escapes)
        if closing < 0:
            break
        if escapes.at(closing) or (loose and not _is_meant(text[opening + 1 : closing])):
            position = opening + 1
            continue
        yield False, text[start:opening]
        yield True, text[opening + 1 : closing]
        start = position = closing + 1
    yield False, text[start:]


def literal(text: str) -> str:
    """Return the notation that gives ``text`` as it stands, whatever is in it."""
    quote = '"' if "')%" in text and '")%' not in text else "'"
    begin, end = f"%literal({quote}", f"{quote})%"
    return begin + f"{quote}{end}{begin})%".join(text.split(end)) + end


def with_escapes(text: str) -> str:
    """Return the text with its macros as they are and the escape around the rest that has ``%``."""
    try:
        pieces = parse(text, loose=True)
    except BadMacro:
        return literal(text)
    return "".join(
        piece.source if isinstance(piece, Macro) else literal(piece) if "%" in piece else piece for piece in pieces
    )


def unreadable(error: BadMacro, text: str, secret: bool, where: str = "") -> str:
    """Return what is wrong with a text, and how it is written when it is meant as it stands.

    ``secret``: it is not shown.
    """
    if error.meant:
        return f"macro {error.source} cannot be read{where}: {error}"
    if secret:
        return f"what stands between two % is no macro{where}: {ESCAPE}"
    meant = json.dumps(with_escapes(text), ensure_ascii=False) if len(text) < _LONGEST_SHOWN else ""
    advice = f"for the text as it stands write {meant}" if meant else ESCAPE
    return f"macro {error.source} cannot be read{where}: {error}; {advice}"


ESCAPE = "text with % that is no macro goes into %literal('...')%"
"""The escape, as hints name it."""

_ESCAPE = "%literal("
_BEGINNINGS = ("map(", "join(", "literal(")
_LONGEST_SLIP = 200
_LONGEST_SHOWN = 200
_LIKE_A_MACRO = re.compile(r"[a-z]+\.(?:[\w-]+\.)*(?:self|owner|service\.[\w.-]+)(?:\[[0-9]+\])?")


class _Escapes:
    """The escapes of one text; where one can end last is looked up once, for many may begin without an end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._last_ends = {quote: text.rfind(f"{quote})%") for quote in "'\""} if _ESCAPE in text else {}

    def at(self, position: int) -> tuple[str, int] | None:
        """Return the text in the escape that starts at a ``%``, and where the escape ends."""
        if not self._text.startswith(_ESCAPE, position):
            return None
        start = position + len(_ESCAPE) + 1
        quote = self._text[start - 1 : start]
        if start > self._last_ends.get(quote, -1):
            return None
        end = self._text.find(f"{quote})%", start)
        return self._text[start:end], end + 3


def _is_meant(part: str) -> bool:
    """Whether what lies between two ``%`` is a macro, or would be without a slip."""
    return part.startswith(_beginnings()) or (len(part) < _LONGEST_SLIP and _LIKE_A_MACRO.fullmatch(part) is not None)


@cache
def _beginnings() -> tuple[str, ...]:
    """Return what macros begin with."""
    return (*(f"{word}." for word in words()), *_BEGINNINGS)


def _lone_percent(text: str, start: int) -> int:
    """Return the next ``%`` that is not one of a pair, or -1."""
    position = text.find("%", start)
    while position >= 0 and text.startswith("%%", position):
        position = text.find("%", position + 2)
    return position


def _closing(text: str, start: int, escapes: _Escapes) -> int:
    """Return the ``%`` that ends a macro which started before: a lone one, or one right before the escape.

    -1 if none.
    """
    position = text.find("%", start)
    while position >= 0 and text.startswith("%%", position):
        if escapes.at(position + 1):
            return position
        position = text.find("%", position + 2)
    return position


_NAME = re.compile(r"[\w.-]*")
_INDEX = re.compile(r"\[([0-9]{1,9})\]")


class _Parser:
    """Reads one macro from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def macro(self) -> Macro:
        pattern, separator = None, DEFAULT_SEPARATOR
        joined = self._take("join(")
        mapped = self._take("map(")
        name = self._name()
        if mapped:
            pattern = _pieces(self._argument())
        if joined:
            separator = self._argument()
        if self._at < len(self._text):
            raise self._bad("nothing more can follow")
        return Macro(f"%{self._text}%", name, pattern, separator)

    def _take(self, word: str) -> bool:
        found = self._text.startswith(word, self._at)
        self._at += len(word) if found else 0
        return found

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._bad(f"{word} is expected")

    def _argument(self) -> str:
        """Read ``,'...')``; return the text in the quotes."""
        self._expect(",")
        quote = self._text[self._at : self._at + 1]
        if quote not in {"'", '"'}:
            raise self._bad("a text in quotes is expected")
        end = self._text.find(quote, self._at + 1)
        if end < 0:
            raise self._bad(f"the text in quotes has no closing {quote}")
        text = self._text[self._at + 1 : end]
        self._at = end + 1
        self._expect(")")
        return text

    def _name(self) -> Name:
        match = _NAME.match(self._text, self._at)
        dotted = match.group() if match else ""
        if not dotted:
            raise self._bad("a macro's name is expected")
        name = name_from(dotted)
        self._at += len(dotted)
        index = _INDEX.match(self._text, self._at)
        if index is None:
            return name
        self._at = index.end()
        return replace(name, index=int(index.group(1)))

    def _bad(self, what: str) -> BadMacro:
        return BadMacro(f"{what} at character {self._at + 1}")


def _pieces(pattern: str) -> tuple[str, ...]:
    """Return the pattern cut at each ``$`` that stands for the element; ``$$`` is a literal ``$``."""
    pieces = [""]
    position = 0
    while position < len(pattern):
        if pattern.startswith("$$", position):
            pieces[-1] += "$"
            position += 2
        elif pattern[position] == "$":
            pieces.append("")
            position += 1
        else:
            end = pattern.find("$", position)
            end = len(pattern) if end < 0 else end
            pieces[-1] += pattern[position:end]
            position = end
    return tuple(pieces)
