"""The forms of macros: one table of how each is written and what it stands for; packages may bring more.

A form is written as words with dots, of which those in capitals stand for something: SERVICE, SECRET and KEY for all
that follows, ADDRESS for one word. A form of another package is found by the entry point of the group ``coopr.macros``
that is called like its first word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from coopr_core.plug_ins import load_plug_in

if TYPE_CHECKING:
    from coopr_core.macros.context import MacroContext, MacroNode

GROUP = "coopr.macros"
"""The group of entry points of other packages' forms."""

DEFAULT_ADDRESS = "bind_v4"
"""The address ``ip.self`` and ``ip.service.S`` mean."""


class BadMacro(ValueError):
    """A macro that does not follow the grammar; the message says what and where in the macro ``source``."""

    source = ""
    meant = True
    """Whether it looks like a macro with a slip, rather than like text that has ``%``."""


class NoValue(Exception):
    """A macro cannot be resolved, and why."""


class NotForThisNode(Exception):
    """A macro is about a service that other nodes of the cluster have and this one does not."""


@dataclass(frozen=True, slots=True)
class Name:
    """A value of the cluster, as a macro names it.

    ``service`` is the service whose nodes are meant, "" for the node itself (or the cluster); ``address`` is the type
    of address, "" the default; ``secret`` the secret's name; ``key`` the dotted path of a config value; ``index`` picks
    one element. ``is_own``: the value depends on the node the macro is expanded for.
    """

    form: Form
    service: str = ""
    address: str = ""
    secret: str = ""
    key: str = ""
    index: int | None = None
    is_own: bool = False

    @property
    def needs(self) -> str:
        """The service without which the macro has no value, or ""."""
        return "" if self.form.counts else self.service

    def elements(self, context: MacroContext) -> list[str]:
        """Return the values it stands for. Raises ``NoValue`` or ``NotForThisNode``."""
        return self.form.elements(self, context)


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of macro: how it is written, in order of preference, and the values a name of it stands for.

    What is written with the word ``self`` depends on the node. ``counts``: it has a value also where no node has its
    service. ``elements`` raises ``NoValue`` with the reason when there is none.
    """

    patterns: tuple[str, ...]
    elements: Callable[[Name, MacroContext], list[str]]
    counts: bool = False

    @property
    def word(self) -> str:
        """Its first word, which no other form has."""
        return self.patterns[0].partition(".")[0]

    def read(self, dotted: str) -> Name | None:
        """Return the name that is written so; None when it is not of this form. Raises ``BadMacro``."""
        for pattern in self.patterns:
            written = pattern.split(".")
            found = _match(written, dotted)
            if found is not None:
                service, address, secret, key = (found.get(w, "") for w in ("service", "address", "secret", "key"))
                return Name(self, service, address, secret, key, is_own="self" in written)
        return None


def name_from(dotted: str) -> Name:
    """Return the name that is written so. Raises ``BadMacro`` when no form is."""
    form = form_of(dotted.partition(".")[0])
    name = form.read(dotted) if form else None
    if name is None:
        raise BadMacro(f'"{dotted}" is no macro')
    return name


@cache
def form_of(word: str) -> Form | None:
    """Return the form whose first word this is, ours or another package's. Raises ``CooprError`` for a broken one."""
    for form in FORMS:
        if form.word == word:
            return form
    for entry in entry_points(group=GROUP, name=word):
        form = load_plug_in(entry, f"macro {word!r}")
        return form if isinstance(form, Form) and form.word == word else None
    return None


@cache
def words() -> tuple[str, ...]:
    """Return the first words of all forms there are."""
    return (*(form.word for form in FORMS), *sorted(entry_points(group=GROUP).names))


def nodes_of(name: Name, context: MacroContext) -> list[MacroNode]:
    """Return the nodes a name is about: those with its service, of which an index picks one, else the node itself.

    Raises ``NoValue``.
    """
    if not name.service:
        return [_self(context)]
    nodes = _nodes_with(name.service, context)
    if name.index is None:
        return nodes
    if name.index >= len(nodes):
        raise NoValue(f"the cluster has fewer than {name.index + 1} nodes with {name.service}")
    return [nodes[name.index]]


def _match(words: list[str], dotted: str) -> dict[str, str] | None:
    """Return what the words in capitals stand for in a text; None when it is written otherwise."""
    found: dict[str, str] = {}
    rest = dotted
    for place, word in enumerate(words):
        if word in _REST:
            if not rest and word == "SERVICE":
                after = ".".join(words[1 if words[1].islower() else 2 : place])
                raise BadMacro(f'a service\'s name is missing after "{after}."')
            return {**found, word.lower(): rest} if rest else None
        first, dot, rest = rest.partition(".")
        if word == "ADDRESS" and first:
            found["address"] = first
        elif word != first:
            return None
        if bool(dot) != (place < len(words) - 1):
            return None
    return found


_REST = ("SERVICE", "SECRET", "KEY")


def _host_names(name: Name, context: MacroContext) -> Iterator[str]:
    for node in nodes_of(name, context):
        if not node.host_name:
            raise NoValue(f"node {node.number} has no host name")
        yield node.host_name


def _addresses(name: Name, context: MacroContext) -> Iterator[str]:
    kind = name.address or DEFAULT_ADDRESS
    for node in nodes_of(name, context):
        if not (address := node.addresses.get(kind, "")):
            raise NoValue(f"node {node.number} has no address {kind}")
        yield address


def _instance(name: Name, context: MacroContext) -> list[str]:
    number = _self(context).number
    _nodes_with(name.service, context)
    if (name.service, number) not in context.cluster.instance:
        raise NotForThisNode
    return [str(context.cluster.instance[name.service, number])]


def _secret(name: Name, context: MacroContext) -> list[str]:
    if context.secret is None:
        raise NoValue("secrets are known only on the way to a node")
    return [context.secret(name.secret)]


def _config(name: Name, context: MacroContext) -> list[str]:
    try:
        return [context.config_value(name.key)]
    except LookupError as error:
        raise NoValue(error.args[0]) from None


def _count(name: Name, context: MacroContext) -> list[str]:
    return [str(len(context.cluster.by_service.get(name.service, ())))]


def _self(context: MacroContext) -> MacroNode:
    if context.self_number is None:
        raise NoValue("there is no node that is meant by self")
    node = context.cluster.by_number.get(context.self_number)
    if node is None:
        raise NoValue(f"the cluster has no node {context.self_number}")
    return node


def _nodes_with(service: str, context: MacroContext) -> list[MacroNode]:
    nodes = context.cluster.by_service.get(service)
    if not nodes:
        raise NoValue(f"no node of the cluster has the service {service}")
    return nodes


IP = Form(
    ("ip.self", "ip.service.SERVICE", "ip.ADDRESS.self", "ip.ADDRESS.service.SERVICE"),
    lambda name, context: list(_addresses(name, context)),
)
CONFIG = Form(("config.KEY",), _config)

FORMS = (
    Form(("cluster.owner",), lambda name, context: [context.owner]),
    Form(("host.self", "host.service.SERVICE"), lambda name, context: list(_host_names(name, context))),
    IP,
    Form(("num.service.SERVICE",), _count, counts=True),
    Form(("instance.self.service.SERVICE",), _instance),
    Form(("secret.SECRET",), _secret),
    CONFIG,
)
"""Our forms: the original's, ``secret`` and ``config``."""
