"""The constraints a layout must obey, one by one, each under the name the user wrote it with.

A set of constraints can be cut down at will (that is how a clash is explained): whatever is left out no longer holds.
Rule D1 is a constraint too: a requested service is on at least one node, unless ``min: 0`` or ``max: 0`` is written.
Cost: linear in the template.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from coopr_core.solver.choice import Choice
from coopr_core.solver.unsatisfiable import Clash

UNBOUNDED = 1 << 40
"""The most nodes of a service without a maximum."""


class Kind(Enum):
    """What a constraint limits."""

    LEAST = "least"
    MOST = "most"
    RATIO = "ratio"
    ON_HARDWARE = "on hardware"
    ON_IMAGES = "on images"
    TOGETHER = "together"
    APART = "apart"
    HARDWARE = "hardware"
    IMAGES = "images"
    SIZE = "size"
    LEAST_SIZE = "least size"
    MOST_SIZE = "most size"


@dataclass(frozen=True, slots=True)
class Constraint:
    """One constraint: what kind, on which services (empty: on every node), and its value.

    ``values`` are type names (HARDWARE, IMAGES, ON_HARDWARE, ON_IMAGES); ``number`` is a quantity, a size or a ratio;
    ``least`` and ``most`` hold a ratio's share; ``remedy`` is set for rule D1, which nobody wrote down: what to
    write to be rid of it.
    """

    kind: Kind
    source: str
    path: str
    written: Any
    services: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    number: int = 0
    least: int = 0
    most: int = UNBOUNDED
    remedy: Clash | None = None

    @property
    def clash(self) -> Clash:
        """The constraint as an error shows it."""
        note = "so it must be on at least one node" if self.remedy else ""
        return Clash(self.source, self.path, self.written, note)


def constraints_of(choice: Choice) -> tuple[Constraint, ...]:
    """All constraints on the layout of ``choice``."""
    services = [constraint for name in choice.services for constraint in _on_service(choice, name)]
    return (*_on_size(choice), *services, *_on_groups(choice), *_on_types(choice))


def _on_size(choice: Choice) -> list[Constraint]:
    source = f"template {choice.template.name}"
    bounds = choice.template.constraints.size
    asked = Constraint(Kind.SIZE, "request", "size", choice.size, number=choice.size)
    found = [asked] if choice.size_asked else []
    if bounds.min is not None:
        found.append(Constraint(Kind.LEAST_SIZE, source, "size.min", bounds.min, number=bounds.min))
    if bounds.max is not None:
        found.append(Constraint(Kind.MOST_SIZE, source, "size.max", bounds.max, number=bounds.max))
    return found


def _on_types(choice: Choice) -> list[Constraint]:
    template = f"template {choice.template.name}"
    compatible = choice.template.compatibility
    found = []
    if compatible.hardwaretypes:
        listed = compatible.hardwaretypes
        found.append(Constraint(Kind.HARDWARE, template, "compatibility.hardwaretypes", listed, values=listed))
    if compatible.imagetypes:
        listed = compatible.imagetypes
        found.append(Constraint(Kind.IMAGES, template, "compatibility.imagetypes", listed, values=listed))
    if wanted := choice.hardware_wanted:
        where = ("request", "hardware_type") if choice.hardware_asked else (template, "defaults.hardwaretype")
        found.append(Constraint(Kind.HARDWARE, *where, wanted, values=(wanted,)))
    if wanted := choice.image_wanted:
        where = ("request", "image_type") if choice.image_asked else (template, "defaults.imagetype")
        found.append(Constraint(Kind.IMAGES, *where, wanted, values=(wanted,)))
    return found


def _on_service(choice: Choice, name: str) -> list[Constraint]:
    template = f"template {choice.template.name}"
    where = f"services.{name}"
    asked = (template, "defaults.services") if choice.default_services else ("request", "services")
    remedy = Clash(template, f"{where}.quantities.min", None)
    placed = Constraint(Kind.LEAST, *asked, name, (name,), number=1, remedy=remedy)
    own = choice.template.constraints.services.get(name)
    if own is None:
        return [placed]
    least, most, ratio = own.quantities.min, own.quantities.max, own.quantities.ratio
    found = []
    if least:
        found.append(Constraint(Kind.LEAST, template, f"{where}.quantities.min", least, (name,), number=least))
    elif least is None and most != 0:
        found.append(placed)
    if most is not None:
        found.append(Constraint(Kind.MOST, template, f"{where}.quantities.max", most, (name,), number=most))
    if ratio is not None:
        bounds = (least or 0, UNBOUNDED if most is None else most)
        path = f"{where}.quantities.ratio"
        found.append(Constraint(Kind.RATIO, template, path, ratio, (name,), (), ratio, *bounds))
    if listed := own.hardwaretypes:
        found.append(Constraint(Kind.ON_HARDWARE, template, f"{where}.hardwaretypes", listed, (name,), listed))
    if listed := own.imagetypes:
        found.append(Constraint(Kind.ON_IMAGES, template, f"{where}.imagetypes", listed, (name,), listed))
    return found


def _on_groups(choice: Choice) -> list[Constraint]:
    template = f"template {choice.template.name}"
    layout = choice.template.constraints.layout
    found = []
    for kind, key, groups in (
        (Kind.TOGETHER, "mustcoexist", layout.mustcoexist),
        (Kind.APART, "cantcoexist", layout.cantcoexist),
    ):
        for position, group in enumerate(groups):
            if any(name in choice.services for name in group):
                found.append(Constraint(kind, template, f"layout.{key}[{position}]", group, group))
    return found
