"""Asking a provider for this installation's machines, whether its plug-in knows of installations or not.

Cluster ids are counted per store, so the tag of a cluster alone does not say whose a machine is.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from coopr_core.providers.contract import ListsAll, Machine, Provider


def find_machines(provider: Provider, cluster_id: str, installation: str) -> list[Machine]:
    """Every machine that carries the tag of this installation's cluster."""
    return provider.find(cluster_id, **_asked(provider.find, installation))


def find_all_machines(provider: Provider, installation: str) -> list[Machine]:
    """Every machine of this installation, if the provider can name them."""
    return provider.find_all(**_asked(provider.find_all, installation)) if isinstance(provider, ListsAll) else []


def _asked(find: Callable[..., Any], installation: str) -> dict[str, str]:
    """The argument that limits ``find`` to an installation; none for a plug-in of the first contract."""
    return {"installation": installation} if "installation" in signature(find).parameters else {}
