"""The solver: a template and a request in, the most preferred layout out, or the reasons why there is none.

``solve`` is a pure function: no I/O, the same answer for the same input, and complete: when a layout exists it is
found. The way of a request through the modules:

* ``choice``: services, hardware and image types, size (section 1 of the original's semantics).
* ``constraints``: what the user wrote, one by one; ``question``: the same as something that can be asked again.
* ``search``: the layout in numbers. ``problem`` poses it, ``counting`` says how many nodes of which layout, asking
  ``preference`` for the next service set and ``packing`` whether the rest still fits.
* ``assembly``: numbered nodes with names, prices and ``zones``.
* ``explanation`` and ``unsatisfiable``: why nothing fits, and what would.
* ``changing``: all that for a cluster that runs already; ``validity`` checks whether it still obeys its template.

docs/how-it-solves.md explains the algorithm.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coopr_core.solver.entry import solve as solve
    from coopr_core.solver.unsatisfiable import Unsatisfiable as Unsatisfiable
    from coopr_core.solver.validity import renewed as renewed

__all__ = ["Unsatisfiable", "renewed", "solve"]

_HOMES = {
    "renewed": "coopr_core.solver.validity",
    "solve": "coopr_core.solver.entry",
    "Unsatisfiable": "coopr_core.solver.unsatisfiable",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
