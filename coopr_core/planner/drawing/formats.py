"""A picture as Graphviz text, as SVG and as Mermaid text."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from coopr_core.errors import CooprError, InvalidInput, TimedOut
from coopr_core.model.courses import Action
from coopr_core.planner.drawing.picture import Cell, Picture, picture

if TYPE_CHECKING:
    from coopr_core.planner.estimate import Durations
    from coopr_core.planner.plans import Plan

FORMATS = ("svg", "dot", "mmd")
"""SVG to look at, Graphviz text, Mermaid text."""

_FILLS: dict[str, str] = {
    Action.INSTALL: "#dbeafe",
    Action.CONFIGURE: "#e0e7ff",
    Action.INITIALIZE: "#fef3c7",
    Action.START: "#dcfce7",
    Action.STOP: "#ffedd5",
    Action.REMOVE: "#fed7aa",
    Action.DELETE: "#fecaca",
}
_PLAIN = "#e5e7eb"
_INK = "#1f2937"
_PAPER = "#f9fafb"
_FRAME = "#d1d5db"
_QUIET = "#9ca3af"
_EVERYWHERE = "#3b82f6"
_CRITICAL = "#dc2626"
_FONT = "Helvetica,Arial,sans-serif"
_PATIENCE = 120
"""Seconds Graphviz may take for a drawing."""

_LAY_OUT = (
    "import sys, pygraphviz; "
    "sys.stdout.buffer.write(pygraphviz.AGraph(string=sys.stdin.read()).draw(format='svg', prog='dot'))"
)


def draw(plan: Plan, path: Path, durations: Durations | None = None, *, hosts: Mapping[int, str] | None = None) -> None:
    """Draw ``plan`` into the file ``path``, whose ending says how. Raises InvalidInput for another ending.

    ``hosts`` are the host names of nodes by number, where they are to be shown.
    """
    text = render(plan, path.suffix.removeprefix(".").lower(), durations, hosts=hosts)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}", hint="choose a folder you may write to") from error


def render(
    plan: Plan, format: str, durations: Durations | None = None, *, hosts: Mapping[int, str] | None = None
) -> str:
    """Return the drawing of ``plan`` as text of one of FORMATS, with the nodes' host names if they are given."""
    if format not in FORMATS:
        raise InvalidInput(
            f"cannot draw a plan as {format!r}", hint=f"end the file's name with {', '.join('.' + f for f in FORMATS)}"
        )
    drawn = picture(plan, durations, hosts)
    if format == "mmd":
        return _mermaid(drawn)
    text = _dot(drawn)
    return text if format == "dot" else _svg(text)


def _dot(drawn: Picture) -> str:
    """Return the picture as Graphviz text."""
    try:
        import pygraphviz
    except ImportError as error:
        raise CooprError(
            f"the library that draws cannot be used here: {error}",
            hint="python -m pip install pygraphviz, or write a .mmd file, which needs no library",
        ) from error
    graph = pygraphviz.AGraph(directed=True, strict=True, name="plan")
    graph.graph_attr.update(
        rankdir="LR",
        label=f"<<b>{escape(drawn.title)}</b><br/>{_LEGEND}>",
        labelloc="t",
        fontname=_FONT,
        fontsize="16",
        fontcolor=_INK,
        nodesep="0.12",
        ranksep="0.35",
        bgcolor="white",
        compound="true",
        newrank="true",
    )
    graph.node_attr.update(
        shape="box", style="rounded,filled", fontname=_FONT, fontsize="11", fontcolor=_INK, color=_QUIET, height="0.4"
    )
    graph.edge_attr.update(color=_QUIET, arrowsize="0.6", penwidth="1.0")
    for place, box in enumerate(drawn.boxes):
        for cell in box.cells:
            graph.add_node(cell.id, **_cell_style(cell))
        graph.add_subgraph(
            [cell.id for cell in box.cells],
            name=f"cluster_{place}",
            label=f"<<b>{escape(box.title)}</b>>",
            labeljust="l",
            style="rounded,filled",
            fillcolor=_PAPER,
            color=_FRAME,
            fontsize="13",
            margin="12",
        )
    for meeting in drawn.meetings:
        graph.add_node(
            meeting.id, shape="point", width="0.08", color=_EVERYWHERE, tooltip=f"all: {meeting.name}", label=""
        )
    for arrow in drawn.arrows:
        color = _CRITICAL if arrow.critical else _EVERYWHERE if arrow.everywhere else _QUIET
        graph.add_edge(arrow.tail, arrow.head, color=color, penwidth="2.4" if arrow.critical else "1.0")
    return str(graph.to_string())


_LEGEND = '<font point-size="11">an arrow means <i>before</i>:  ' + ",  ".join(
    f'<font color="{color}" point-size="14"><b>&#8212;&#9654;</b></font> {meaning}'
    for color, meaning in (
        (_QUIET, "on the same node"),
        (_EVERYWHERE, "on every node of the box"),
        (_CRITICAL, "on the critical path</font>"),
    )
)


def _cell_style(cell: Cell) -> dict[str, str]:
    label = f"<b>{cell.action}</b>" + (f"<br/>{escape(cell.service)}" if cell.service else "")
    style = {
        "label": f"<{label}>",
        "fillcolor": _FILLS.get(cell.action, _PLAIN),
        "tooltip": f"{cell.action} {cell.service}",
    }
    if cell.critical:
        style.update(color=_CRITICAL, penwidth="2.4")
    return style


def _svg(dot: str) -> str:
    """Graphviz's drawing of ``dot``, made in a process of its own: it is native code and speaks on stderr."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _LAY_OUT],
            input=dot.encode(),
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimedOut(
            f"the drawing was not finished after {_PATIENCE} s",
            hint="write a .dot or .mmd file and draw that elsewhere",
        ) from error
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise CooprError(f"Graphviz could not draw the plan: {last[0]}", hint="write a .mmd file instead")
    return done.stdout.decode()


def _mermaid(drawn: Picture) -> str:
    """Return the picture as a Mermaid flow chart."""
    lines = ["---", f'title: "{drawn.title}"', "---", "flowchart LR"]
    for place, box in enumerate(drawn.boxes):
        lines.append(f'  subgraph b{place}["{_quoted(box.title)}"]')
        for cell in box.cells:
            service = f"<br/>{_quoted(cell.service)}" if cell.service else ""
            lines.append(f'    {cell.id}("<b>{cell.action}</b>{service}"):::{cell.action.lower()}')
        lines.append("  end")
    lines += [f'  {meeting.id}(("&nbsp;"))' for meeting in drawn.meetings]
    lines += [f"  {arrow.tail} {'==>' if arrow.critical else '-->'} {arrow.head}" for arrow in drawn.arrows]
    for color, chosen in (
        (_CRITICAL, [n for n, arrow in enumerate(drawn.arrows) if arrow.critical]),
        (_EVERYWHERE, [n for n, arrow in enumerate(drawn.arrows) if arrow.everywhere and not arrow.critical]),
    ):
        if chosen:
            lines.append(f"  linkStyle {','.join(map(str, chosen))} stroke:{color}")
    for action in sorted({cell.action for box in drawn.boxes for cell in box.cells}):
        lines.append(f"  classDef {action.lower()} fill:{_FILLS.get(action, _PLAIN)},stroke:{_QUIET},color:{_INK}")
    lines += [f"  style b{place} fill:{_PAPER},stroke:{_FRAME}" for place in range(len(drawn.boxes))]
    critical = [cell.id for box in drawn.boxes for cell in box.cells if cell.critical]
    lines += [f"  style {cell} stroke:{_CRITICAL},stroke-width:3px" for cell in critical]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return escape(text).replace("#", "#35;")
