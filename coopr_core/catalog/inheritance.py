"""Templates merged with their parents and partial templates (section 10 of the original's semantics, rule D10).

The line of a template is, recursively: its parent's line, the lines of what it includes, itself. Merged along it:

* services, compatibility lists, links, keys of config and must/cant groups are united, in the order of the line;
* config is overridden by top-level key, service constraints by service;
* scalars (the size's too) are the last ones given, administration is the last one given;
* a config key of an immutable partial template is locked: a later template or partial setting it is an error.

Missing parents and cycles are errors that name the way there. Cost: linear in the lengths of the lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from coopr_core.catalog.entities import (
    ClusterTemplate,
    Compatibility,
    Constraints,
    Defaults,
    LayoutConstraint,
    PartialTemplate,
    SizeConstraint,
)
from coopr_core.catalog.places import Finding, Step
from coopr_core.suggestions import did_you_mean

Line = list[ClusterTemplate]
"""What a template is merged from, in merge order."""

DEEPEST = 100
"""Nobody's templates inherit through more steps than this."""


class Inheritance(NamedTuple):
    """What came of merging: the merged templates, the lines they were merged from, what is wrong with the others."""

    templates: dict[str, ClusterTemplate]
    lines: dict[str, Line]
    flaws: list[Finding]


def merge_templates(templates: Mapping[str, ClusterTemplate], partials: Mapping[str, PartialTemplate]) -> Inheritance:
    """Merge every template; one with something wrong in its line is left out."""
    lines = _Lines(templates, partials)
    merged: dict[str, ClusterTemplate] = {}
    sound: dict[str, Line] = {}
    for partial in partials.values():
        lines.of(partial)
    for name, template in templates.items():
        line = lines.of(template)
        if line is None:
            continue
        broken = _broken_locks(line)
        lines.flaws += [flaw for flaw in broken if flaw not in lines.flaws]
        if not broken:
            merged[name] = merge(line)
            sound[name] = line
    return Inheritance(merged, sound, lines.flaws)


class _Lines:
    """The lines of all templates, each worked out once, and the flaws met on the way."""

    def __init__(self, templates: Mapping[str, ClusterTemplate], partials: Mapping[str, PartialTemplate]) -> None:
        self.flaws: list[Finding] = []
        self._templates = templates
        self._partials = partials
        self._known: dict[int, Line | None] = {}
        self._way: list[ClusterTemplate] = []

    def of(self, template: ClusterTemplate) -> Line | None:
        """Everything the template is merged from, in merge order, itself last; None when something is wrong with it.

        What is inherited on several ways stands in the line at its first place, which orders unions, and at its last,
        which overrides.
        """
        if id(template) in self._known:
            return self._known[id(template)]
        if any(step is template for step in self._way):
            self._note_cycle(template)
            return None
        if len(self._way) >= DEEPEST:
            self.flaws.append(Finding(template, (), f"is inherited through more than {DEEPEST} templates"))
            return None
        self._way.append(template)
        steps = [(("parent",), template.parent)] if template.parent else []
        lines = [
            self._above(template, path, name)
            for path, name in [*steps, *((("includes", i), name) for i, name in enumerate(template.includes))]
        ]
        self._way.pop()
        sound = [line for line in lines if line is not None]
        whole = len(sound) == len(lines)
        self._known[id(template)] = _ends([*(step for line in sound for step in line), template]) if whole else None
        return self._known[id(template)]

    def _above(self, template: ClusterTemplate, path: tuple[Step, ...], name: str) -> Line | None:
        is_parent = path == ("parent",)
        wanted = (self._templates.get(name) if is_parent else None) or self._partials.get(name)
        if wanted is not None:
            return self.of(wanted)
        meant = did_you_mean(name, {**self._templates, **self._partials} if is_parent else self._partials)
        noun = "template" if is_parent else "partial template"
        self.flaws.append(Finding(template, path, f'no {noun} "{name}"' + (f": {meant}" if meant else "")))
        return None

    def _note_cycle(self, template: ClusterTemplate) -> None:
        start = next(index for index, step in enumerate(self._way) if step is template)
        cycle = self._way[start:]
        first = min(range(len(cycle)), key=lambda index: cycle[index].name)
        cycle = cycle[first:] + cycle[:first]
        names = [step.name for step in (*cycle, cycle[0])]
        at = "parent" if cycle[0].parent == names[1] else "includes"
        flaw = Finding(cycle[0], (at,), f"inherits from itself: {' -> '.join(names)}")
        if flaw not in self.flaws:
            self.flaws.append(flaw)


def _ends(line: Line) -> Line:
    """Return the line without the places of a template between its first and its last."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for index, template in enumerate(line):
        first.setdefault(id(template), index)
        last[id(template)] = index
    return [t for index, t in enumerate(line) if index in (first[id(t)], last[id(t)])]


def merge(line: Line) -> ClusterTemplate:
    """One template from a line in merge order; name, parent and includes are those of the last."""
    own = line[-1]
    services: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for template in line:
        services |= template.constraints.services
        config |= template.defaults.config

    def last(value: Callable[[ClusterTemplate], Any]) -> Any:
        return next((value(template) for template in reversed(line) if value(template) not in ("", None)), "")

    def united(values: Callable[[ClusterTemplate], tuple[Any, ...]]) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(value for template in line for value in values(template)))

    constraints = Constraints(
        layout=LayoutConstraint(
            mustcoexist=_distinct_groups(united(lambda t: t.constraints.layout.mustcoexist)),
            cantcoexist=_distinct_groups(united(lambda t: t.constraints.layout.cantcoexist)),
        ),
        services=services,
        size=SizeConstraint(
            min=last(lambda t: t.constraints.size.min) or None,
            max=last(lambda t: t.constraints.size.max) or None,
        ),
    )
    return own.model_copy(
        update={
            "description": last(lambda t: t.description),
            "label": last(lambda t: t.label),
            "icon": last(lambda t: t.icon),
            "defaults": Defaults(
                services=united(lambda t: t.defaults.services),
                provider=last(lambda t: t.defaults.provider),
                hardwaretype=last(lambda t: t.defaults.hardwaretype),
                imagetype=last(lambda t: t.defaults.imagetype),
                dnsSuffix=last(lambda t: t.defaults.dnsSuffix),
                config=config,
            ),
            "compatibility": Compatibility(
                hardwaretypes=united(lambda t: t.compatibility.hardwaretypes),
                imagetypes=united(lambda t: t.compatibility.imagetypes),
                services=united(lambda t: t.compatibility.services),
            ),
            "constraints": constraints,
            "administration": next(
                (t.administration for t in reversed(line) if "administration" in t.model_fields_set),
                own.administration,
            ),
            "config": "any" if any(t.config == "any" for t in line) else united(lambda t: tuple(t.config)),
            "links": tuple({(link.label, link.url): link for t in line for link in t.links}.values()),
        }
    )


def _broken_locks(line: Line) -> list[Finding]:
    locks: dict[str, ClusterTemplate] = {}
    flaws = []
    for template in line:
        for key in template.defaults.config:
            owner = locks.get(key)
            if owner is not None and owner is not template:
                message = f'must not set "{key}": the immutable partial template {owner.name} has set it'
                flaws.append(Finding(template, ("defaults", "config", key), message))
        if isinstance(template, PartialTemplate) and template.immutable:
            locks |= {key: template for key in template.defaults.config if key not in locks}
    return flaws


def _distinct_groups(groups: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """Return the groups without those that are another one in another order."""
    return tuple({frozenset(group): group for group in reversed(groups)}.values())[::-1]
