"""The config keys that a cluster of a template can be given, and those of a request that nobody would read.

Known are the keys of the template's defaults, what its services say they read, what ``%config.KEY%`` asks for in
config, links and actions, and what the template names besides. A service that does not say what it reads may read
everything, and then every key is known. Cost: linear in the config, and one comparison per known key for each of the
first keys that are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from coopr_core.catalog.entities import ClusterTemplate, Service
from coopr_core.errors import Problem
from coopr_core.macros.checks import uses
from coopr_core.macros.forms import CONFIG
from coopr_core.suggestions import near

_MOST_NAMED = 3
_SHORTEST_WORD = 3
_MOST_COMPARED = 50


@dataclass(frozen=True, slots=True)
class UnreadKey:
    """A key of a request that nobody would read, and the known ones that may be meant."""

    key: str
    template: str
    meant: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    @property
    def is_a_slip(self) -> bool:
        """Whether a known key is meant."""
        return bool(self.meant or self.parts)

    @property
    def problem(self) -> Problem:
        """The key as an error with its path."""
        if self.parts:
            why = f"is a map, of {_listed(self.parts)}: no service of template {self.template} reads it as one value"
        else:
            why = f"no service of template {self.template} reads it"
            shown = f": `coopr catalog show {self.template}` shows the keys of its config"
            why += f": did you mean {_listed(self.meant, 'or')}?" if self.meant else shown
        return Problem(why, path=f"config.{self.key}")


HINT = "a template that takes more keys names them, config: [KEY], or says config: any"
"""What to do about a key that a script reads all the same."""


def unread_keys(
    config: Mapping[str, Any],
    template: ClusterTemplate,
    services: Iterable[Service],
    present: Mapping[str, Any] | None = None,
) -> list[UnreadKey]:
    """Return the keys of ``config`` that nobody would read on a cluster of the template with these services.

    ``present`` is config that is on record already: its keys are known, whoever reads them.
    """
    known = known_keys(template, list(services))
    if known is None:
        return []
    known |= dict.fromkeys(key for key, _ in _leaves(present or {}))
    beginnings = {key[:place] for key in known for place in _dots(key)}
    found: list[UnreadKey] = []
    for key, value in _leaves(config):
        if any(key[:place] in known for place in (*_dots(key), len(key))):
            continue
        if key not in beginnings:
            found.append(UnreadKey(key, template.name, _meant(key, known) if len(found) < _MOST_COMPARED else ()))
        elif not isinstance(value, Mapping):
            below = tuple(one for one in known if one.startswith(f"{key}."))
            found.append(UnreadKey(key, template.name, parts=below))
    return found


def known_keys(template: ClusterTemplate, services: Iterable[Service]) -> dict[str, None] | None:
    """Return the dotted keys a cluster with these services knows, each with all below it; None when it takes any."""
    services = list(services)
    if template.config == "any" or not all(service.config for service in services):
        return None
    known = dict.fromkeys(key for key, _ in _leaves(template.defaults.config))
    known |= dict.fromkeys(template.config)
    for service in services:
        known |= dict.fromkeys((*service.config, *service.reloads))
    fields = [action.fields for service in services for action in service.actions.values()]
    links = [link.url for link in (*template.links, *(link for service in services for link in service.links))]
    for use in (*uses([template.defaults.config, links]), *uses(fields, loose=True)):
        if use.name is not None and use.name.form is CONFIG:
            known[use.name.key] = None
    return known


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no map, and every empty map, under its dotted key."""
    for name, value in tree.items():
        key = f"{above}{name}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value


def _dots(key: str) -> Iterator[int]:
    return (place for place, letter in enumerate(key) if letter == ".")


def _meant(key: str, known: Iterable[str]) -> tuple[str, ...]:
    last = key.rpartition(".")[2].casefold()
    alike = near(key, known, _MOST_NAMED)
    if not alike and len(last) >= _SHORTEST_WORD:
        alike = [one for one in known if last in one.rpartition(".")[2].casefold()]
    return tuple(alike[:_MOST_NAMED])


def _listed(keys: Iterable[str], word: str = "and") -> str:
    quoted = [f'"{key}"' for key in keys]
    more = [f"{len(quoted) - _MOST_NAMED} more"] if len(quoted) > _MOST_NAMED else []
    return f" {word} ".join([*quoted[:_MOST_NAMED], *more])
