"""The block types there are: ours, those of the entry-point group ``coopr.blocks``, and one for every plug-in.

A plug-in that brings no block of its own for its settings gets one generated from them. Promise: a package that cannot
be imported costs its own blocks, which is told in the log, and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.metadata import entry_points

from prefect.blocks.core import Block

from blocks.credentials import AutomatorSettingsBlock, ProviderSettingsBlock, settings_block
from blocks.http_callback import HttpCallback
from blocks.ssh_key import SshKey
from coopr_core.automators.registry import automator_class, automator_types
from coopr_core.errors import CooprError
from coopr_core.providers.registry import provider_types, settings_type

GROUP = "coopr.blocks"
"""The entry-point group packages name their blocks in; one called like a plug-in is of that plug-in's settings."""

_log = logging.getLogger(__name__)


def block_types() -> dict[str, type[Block]]:
    """Return every block type by its slug."""
    found: dict[str, type[Block]] = {}
    kinds: list[type[Block]] = [HttpCallback, SshKey, *_brought().values(), *_generated()]
    for kind in kinds:
        found.setdefault(kind.get_block_type_slug(), kind)
    return found


def credentials_types() -> list[type[Block]]:
    """Return the block types that hold settings of an installed provider, ours first."""
    names = sorted(provider_types(), key=lambda name: (name != "local", name))
    return [kind for name in names if (kind := credentials_type(name)) is not None]


def credentials_type(provider: str) -> type[Block] | None:
    """Return the block type for the settings of a provider; None for one that is not installed or has no settings."""
    brought = _brought()
    if provider in brought:
        return brought[provider]
    try:
        declared = settings_type(provider)
    except CooprError as error:
        _log.warning("the provider %s has no block: %s", provider, error.message)
        return None
    return settings_block(ProviderSettingsBlock, provider, declared) if declared.model_fields else None


def key_types() -> list[type[Block]]:
    """Return the block types that hold a private key."""
    return [kind for kind in block_types().values() if callable(getattr(kind, "key_path", None))]


def _brought() -> dict[str, type[Block]]:
    """Return the blocks that packages bring, by the names of their entry points."""
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


def automator_block(automator: str) -> type[Block] | None:
    """Return the block type for the settings of an automator; None for one that is not installed or has no settings."""
    brought = _brought()
    if automator in brought:
        return brought[automator]
    try:
        declared = automator_class(automator).settings_type
    except CooprError as error:
        _log.warning("the automator %s has no block: %s", automator, error.message)
        return None
    return settings_block(AutomatorSettingsBlock, automator, declared) if declared.model_fields else None


def _generated() -> Iterator[type[Block]]:
    yield from credentials_types()
    yield from (kind for name in automator_types() if (kind := automator_block(name)) is not None)
