"""A plan as a picture: nodes with the same steps drawn once, the critical path marked.

``draw(plan, path)`` writes ``.svg``, ``.dot`` or ``.mmd``; ``render(plan, format)`` gives the text. Graphviz, which
comes inside the pygraphviz package, lays out and draws; it is imported on first use.
"""

from __future__ import annotations

from coopr_core.planner.drawing.formats import FORMATS, draw, render
from coopr_core.planner.drawing.picture import Picture, picture

__all__ = ["FORMATS", "Picture", "draw", "picture", "render"]
