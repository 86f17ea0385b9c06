"""Tables for people: as wide as the terminal, and nothing in them is broken that somebody would copy.

Promise: ids, names, addresses and host names stand whole, on one line. Where the terminal is too narrow, sentences are
wrapped between words first, then columns are left out, those first that matter least, and where even what matters has
no room each row is a list of its cells; ``-o wide`` has all columns, each row on one line. What is no terminal gets
everything, unless COLUMNS says how wide it is. Letters that take two places count as two. Costs one look at every cell.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.text import Text

_GAP = 2
_WIDE = "coopr.wide"
_LEAST_WRAPPED = 16
"""How narrow a wrapped column may become before a column is left out for it."""

STATE_STYLES = {
    "ACTIVE": "green",
    "SUCCEEDED": "green",
    "RUNNING": "yellow",
    "RETRYING": "bold yellow",
    "PAUSED": "yellow",
    "ABORTING": "yellow",
    "PENDING": "yellow",
    "FAILED": "bold red",
    "ROLLED_BACK": "red",
    "INCOMPLETE": "red",
    "INCONSISTENT": "red",
    "INTERRUPTED": "magenta",
    "TERMINATED": "dim",
}


def want_all(ctx: click.Context) -> None:
    """Leave nothing out of the tables that the running command prints."""
    ctx.meta[_WIDE] = True


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str = "",
    empty: str = "",
    wrap: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> None:
    """Print rows under upper-case column heads, without lines; a cell that is a known state is coloured.

    A column whose name begins with ``>`` is set to the right. ``wrap`` are those that may be wrapped between words,
    ``drop`` those that may be left out, in that order.
    """
    from rich.text import Text

    from coopr_cli.streams import console

    cells = [[_text(value) for value in row] for row in rows]
    if not cells:
        if empty:
            click.echo(empty, err=True)
        return
    names = [column.lstrip(">") for column in columns]
    found = [
        _Column(name, column.startswith(">"), name in wrap, [row[index] for row in cells])
        for index, (name, column) in enumerate(zip(names, columns, strict=True))
    ]
    room = _room()
    kept = found if room is None else _fitting(found, room, drop)
    lines = [Text(title, style="bold")] if title else []
    if room is not None and _least(kept) > room and len(found) > 1:
        kept = found
        lines += _records(found, room)
    else:
        widths = [column.natural for column in kept] if room is None else _widths(kept, room)
        lines += _row([column.name.upper() for column in kept], kept, widths, style="bold")
        for index in range(len(cells)):
            lines += _row([column.cells[index] for column in kept], kept, widths)
    shown = console()
    for line in lines:
        line.rstrip()
        shown.print(line, soft_wrap=True)
    left_out = [column.name for column in found if column not in kept]
    if left_out:
        click.secho(f"Left out for want of room: {', '.join(left_out)}; -o wide shows all.", dim=True, err=True)


@dataclass(frozen=True, eq=False)
class _Column:
    """One column with all its cells; widths count places of a terminal."""

    name: str
    right: bool
    wraps: bool
    cells: list[str]

    @property
    def natural(self) -> int:
        return max(_length(line) for cell in (self.name, *self.cells) for line in cell.split("\n"))

    @property
    def least(self) -> int:
        """How narrow it can be with no word broken."""
        if not self.wraps:
            return self.natural
        words = max(_length(word) for cell in (self.name, *self.cells) for word in cell.split() or [""])
        return max(words, min(self.natural, _LEAST_WRAPPED))


def _fitting(columns: list[_Column], room: int, drop: Sequence[str]) -> list[_Column]:
    """Return the columns there is room for."""
    kept = list(columns)
    for name in drop:
        if _least(kept) <= room:
            break
        kept = [column for column in kept if column.name != name]
    return kept


def _least(columns: list[_Column]) -> int:
    return sum(column.least for column in columns) + _GAP * (len(columns) - 1)


def _records(columns: list[_Column], room: int) -> list[Text]:
    """Each row as lines of their own, one a column."""
    from rich.text import Text

    heads = _Column("", False, False, [column.name.upper() for column in columns])
    rows: list[Text] = []
    for index in range(len(columns[0].cells)):
        values = _Column("", False, True, [column.cells[index] for column in columns])
        widths = [heads.natural, max(values.least, room - heads.natural - _GAP)]
        rows += [Text()] if rows else []
        for head, value in zip(heads.cells, values.cells, strict=True):
            rows += _row([head, value], [heads, values], widths)
    return rows


def _widths(columns: list[_Column], room: int) -> list[int]:
    """How wide each column becomes: what is too much is taken from the widest of those that wrap."""
    widths = [column.natural for column in columns]
    over = sum(widths) + _GAP * (len(columns) - 1) - room
    while over > 0:
        able = [index for index, column in enumerate(columns) if widths[index] > column.least]
        if not able:
            break
        widest = max(able, key=lambda index: widths[index])
        widths[widest] -= 1
        over -= 1
    return widths


def _row(cells: Sequence[str], columns: Sequence[_Column], widths: Sequence[int], *, style: str = "") -> list[Text]:
    """Return the lines of one row."""
    from rich.text import Text

    wrapped = [_wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
    lines = []
    for number in range(max(map(len, wrapped))):
        line = Text(style=style)
        for position, (cell, column, width) in enumerate(zip(wrapped, columns, widths, strict=True)):
            part = cell[number] if number < len(cell) else ""
            blank = " " * (width - _length(part))
            line.append(" " * _GAP if position else "")
            line.append(blank if column.right else "")
            line.append(part, style=STATE_STYLES.get(part, ""))
            line.append("" if column.right else blank)
        lines.append(line)
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a cell, none longer than ``width`` unless a single word is."""
    lines = []
    for paragraph in text.split("\n"):
        if _length(paragraph) <= width:
            lines.append(paragraph)
            continue
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if line and _length(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


def _text(value: object) -> str:
    text = "-" if value is None or value == "" else str(value)
    return "\n".join(text.expandtabs(4).splitlines()) or "-"


def _length(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _room() -> int | None:
    """How many places a line may have; None: as many as it needs."""
    ctx = click.get_current_context(silent=True)
    if ctx is not None and ctx.meta.get(_WIDE):
        return None
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None if sys.stdout.isatty() else None
    except (OSError, ValueError):
        return None
