"""Links that are no address of a page or a server: what a person opens with a click must be one.

A link is ``scheme://host...``; of its macros only those of the config have a value here. Web pages, ssh, tcp and nats
addresses are right, other schemes a warning; what is no address, or what a browser would run, is an error. Cost: linear
in the links.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from coopr_core.catalog.entities import ClusterTemplate, Service
from coopr_core.catalog.places import Finding
from coopr_core.macros.context import config_value
from coopr_core.macros.forms import CONFIG, BadMacro
from coopr_core.macros.syntax import Macro, parse

SCHEMES = ("http", "https", "ssh", "tcp", "nats")
"""What an address of a cluster's page or server begins with."""

_RUN_BY_BROWSERS = frozenset({"javascript", "vbscript", "data", "file", "blob"})
_ANY = "1"
"""What stands for a macro: it is a host, a port and a part of either."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BLANK = re.compile(r"[\s\0-\x1f\x7f]")


class Flaw(NamedTuple):
    """What is wrong with a link, and whether it can be shown all the same."""

    message: str
    usable: bool


def flaw_of(url: str, config: Mapping[str, Any] | None = None) -> Flaw | None:
    """Return what is wrong with a link's address, macros in it or not.

    Nothing when that depends on what is not known.
    """
    try:
        pieces = [_known(piece, config or {}) for piece in parse(url)]
    except BadMacro:
        return None
    if pieces[:1] == [None]:
        return None
    plain = "".join(_ANY if piece is None else piece for piece in pieces)
    found = _SCHEME.match(plain)
    scheme = found[1].lower() if found else ""
    if not found or scheme in _RUN_BY_BROWSERS:
        return Flaw("is no address: write http://HOST:PORT/, https://, ssh:// or tcp://", usable=False)
    if _BLANK.search(plain):
        return Flaw("is no address: it has blanks or control characters in it", usable=False)
    try:
        parts = urlsplit(plain)
        if not parts.hostname:
            return Flaw(f"is no address: no host follows {scheme}://", usable=False)
        _ = parts.port
    except ValueError as error:
        return Flaw(f"is no address: {str(error)[:1].lower()}{str(error)[1:]}", usable=False)
    if scheme not in SCHEMES:
        return Flaw(f"is no http(s), ssh or tcp address: not everybody can open {scheme}://", usable=True)
    return None


def in_links(
    entities: Iterable[Service | ClusterTemplate], *, usable: bool, config: Mapping[str, Any] | None = None
) -> Iterator[Finding]:
    """Yield the links that are wrong in such a way, each as a finding about its entity.

    ``config`` is that of the cluster; a template's own is used when it is not given.
    """
    for entity in entities:
        own = entity.defaults.config if isinstance(entity, ClusterTemplate) else None
        for link in entity.links:
            flaw = flaw_of(link.url, own if config is None else config)
            if flaw is not None and flaw.usable is usable:
                yield Finding(entity, ("links", link.url, "url"), f"{_shown(link.url)} {flaw.message}")


def _known(piece: str | Macro, config: Mapping[str, Any]) -> str | None:
    """Return a piece of a text as it will be; None for a macro without a value here."""
    if isinstance(piece, str):
        return piece
    if piece.name.form is not CONFIG:
        return None
    try:
        return config_value(config, piece.name.key)
    except LookupError:
        return None


def _shown(url: str) -> str:
    return f'"{url}"' if len(url) <= 60 else "the text"
