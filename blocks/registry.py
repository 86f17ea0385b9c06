"""The block types there are: ours, those of the entry-point group ``coopr.blocks``, and one for every plug-in.

A plug-in that brings no block of its own for its settings gets one generated from them. Promise: a package that cannot
be imported costs its own blocks, which is told in the log, and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points

from prefect.blocks.core import Block

from blocks.credentials import AutomatorSettingsBlock, ProviderSettingsBlock, SettingsBlock, settings_block
from blocks.http_callback import HttpCallback
from blocks.ssh_key import SshKey
from coopr_core.automators.registry import automator_class, automator_types
from coopr_core.errors import CooprError
from coopr_core.providers.registry import provider_types, settings_type
from coopr_core.providers.settings import Declared

GROUP = "coopr.blocks"
"""The entry-point group packages name their blocks in; one called like a plug-in is of that plug-in's settings."""

_log = logging.getLogger(__name__)


def block_types() -> dict[str, type[Block]]:
    """Return every block type by its slug."""
    brought = _brought()
    kinds: list[type[Block]] = [HttpCallback, SshKey, *brought.values(), *_of_providers(brought)]
    kinds += [kind for name in automator_types() if (kind := _of_automator(name, brought)) is not None]
    found: dict[str, type[Block]] = {}
    for kind in kinds:
        found.setdefault(kind.get_block_type_slug(), kind)
    return found


def credentials_types() -> list[type[Block]]:
    """Return the block types that hold settings of an installed provider, ours first."""
    return _of_providers(_brought())


def credentials_type(provider: str) -> type[Block] | None:
    """Return the block type for the settings of a provider; None for one that is not installed or has no settings."""
    return _of_provider(provider, _brought())


def key_types() -> list[type[Block]]:
    """Return the block types that hold a private key."""
    return [kind for kind in block_types().values() if callable(getattr(kind, "key_path", None))]


def _brought() -> dict[str, type[Block]]:
    """Return the blocks that packages bring, by the names of their entry points; what is wrong is told every time."""
    found = {}
    for entry in entry_points(group=GROUP):
        try:
            kind = entry.load()
        except (ImportError, AttributeError) as error:
            _log.warning("the block %s cannot be loaded from %s: %s", entry.name, entry.value, error)
            continue
        if Block.is_block_class(kind):
            found[entry.name] = kind
        else:
            _log.warning("%s, which %s names as the block %s, is no Prefect block", entry.value, GROUP, entry.name)
    return found


def _of_providers(brought: Mapping[str, type[Block]]) -> list[type[Block]]:
    names = sorted(provider_types(), key=lambda name: (name != "local", name))
    return [kind for name in names if (kind := _of_provider(name, brought)) is not None]


def _of_provider(name: str, brought: Mapping[str, type[Block]]) -> type[Block] | None:
    return _of_plugin("provider", name, settings_type, ProviderSettingsBlock, brought)


def _of_automator(name: str, brought: Mapping[str, type[Block]]) -> type[Block] | None:
    return _of_plugin(
        "automator", name, lambda automator: automator_class(automator).settings_type, AutomatorSettingsBlock, brought
    )


def _of_plugin(
    kind: str,
    name: str,
    declares: Callable[[str], type[Declared]],
    base: type[SettingsBlock],
    brought: Mapping[str, type[Block]],
) -> type[Block] | None:
    """Return the block that a package brings for a plug-in, or one made of the settings that the plug-in declares."""
    if name in brought:
        return brought[name]
    try:
        declared = declares(name)
    except CooprError as error:
        _log.warning("the %s %s has no block: %s", kind, name, error.message)
        return None
    return settings_block(base, name, declared) if declared.model_fields else None
