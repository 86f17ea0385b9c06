"""Which automators are installed, and how one is made: by the name of its entry point, with its settings.

Promise: only the plug-in asked for is imported; an unknown type is refused with the known ones, and with the service
and action that asked for it when they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretStr

from coopr_core.automators.contract import Automator
from coopr_core.errors import CooprError, NotFound
from coopr_core.plug_ins import load_plug_in
from coopr_core.settings import load_settings
from coopr_core.suggestions import did_you_mean

if TYPE_CHECKING:
    from coopr_core.vault import Vault

GROUP = "coopr.automators"
"""The entry-point group plug-ins register in."""


def automator_types() -> tuple[str, ...]:
    """Return the names of the installed automators, sorted."""
    return tuple(sorted(entry_points(group=GROUP).names))


def automator_class(kind: str, *, service: str = "", action: str = "") -> type[Automator[Any]]:
    """Return the plug-in called ``kind``. Raises ``NotFound`` for one that is not installed."""
    found = tuple(entry_points(group=GROUP, name=kind))
    if not found:
        known = automator_types()
        asking = f"service {service!r}, action {action!r}: " if service else ""
        raise NotFound(
            f"{asking}there is no automator {kind!r}; installed are: {', '.join(known) or 'none'}",
            hint=did_you_mean(kind, known, f"An automator is a package with an entry point in {GROUP}.", form="{!r}"),
        )
    plug = load_plug_in(found[0], f"automator {kind!r}")
    if not (isinstance(plug, type) and issubclass(plug, Automator)):
        raise CooprError(
            f"automator {kind!r} cannot be used: {found[0].value} is no Automator",
            hint="A plug-in is a class derived from coopr_core.automators.contract.Automator.",
        )
    return plug


def automator_resources(kind: str) -> tuple[str, ...]:
    """Return the resources that every service with actions of this type needs; none for one that cannot be used."""
    try:
        return automator_class(kind).resources
    except CooprError:
        return ()


def load_automator(
    kind: str,
    *,
    vault: Vault | None = None,
    hide: Callable[[str], None] | None = None,
    service: str = "",
    action: str = "",
) -> Automator[Any]:
    """Return the automator called ``kind``, which is the ``type`` of a service's action, with this installation's word.

    Its settings are those of ``coopr.yaml``, overlaid by its block's, which ``vault`` has; without a vault they are
    left out, which is enough to check actions. ``hide`` is told every secret among them. Raises ``NotFound`` for an
    unknown automator or block, ``InvalidInput`` for settings that are not its own.
    """
    plug = automator_class(kind, service=service, action=action)
    given = dict(load_settings().automators.get(kind, {}))
    block = str(given.pop("credentials", ""))
    if block and vault is None:
        settings = plug.settings_type.model_construct()
    else:
        given.update(vault.settings(block) if block and vault is not None else {})
        settings = plug.settings_type.checked(given, kind)
    if hide is not None:
        for secret in _secrets(settings):
            hide(secret)
    automator = plug(settings)
    automator.name = kind
    return automator


def _secrets(value: object) -> Iterator[str]:
    """Yield every secret in settings, however deep."""
    if isinstance(value, SecretStr):
        yield from filter(None, [value.get_secret_value()])
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name, None))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _secrets(each)
    elif isinstance(value, list | tuple | set):
        for each in value:
            yield from _secrets(each)
