"""What a cluster was made with and needs as long as it lives, whatever the catalog says later; nothing is secret."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from coopr_core.catalog.entities import Provider

_BLOCK = re.compile(r"([a-z0-9-]+/)?[a-z0-9-]+")


def block_problem(name: str) -> str:
    """Return what is wrong with the name of a block, ``SLUG/NAME`` or ``NAME``; empty when nothing is."""
    if _BLOCK.fullmatch(name):
        return ""
    return f'"{name}" is no name of a block: SLUG/NAME or NAME, of lower-case letters, digits and "-"'


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """A provider as it was when the cluster was made.

    ``type`` names the plug-in, ``settings`` are the catalog's; ``credentials`` is the block, ``SLUG/NAME``, that holds
    the other settings and the secrets, empty when there is none.
    """

    name: str
    type: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    credentials: str = ""

    @classmethod
    def of(cls, entity: Provider, credentials: str = "") -> Self:
        """Return the facts of a catalog's provider with the block that is used with it, else the one that it names."""
        return cls(entity.name, entity.providertype, dict(entity.provisioner), credentials or entity.credentials)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return what ``to_json`` made; the entity as older versions kept it has the same names."""
        provisioner = value.get("provisioner", {})
        return cls(value["name"], value.get("providertype", ""), provisioner, value.get("credentials", ""))

    def to_json(self) -> dict[str, Any]:
        """Return the facts as the store keeps them, by the catalog's own names."""
        return {
            "name": self.name,
            "providertype": self.type,
            "provisioner": dict(self.settings),
            "credentials": self.credentials,
        }


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """The facts of a cluster.

    ``providers`` are those its machines come from, ``ssh_key`` is the block of the key that opens its nodes (empty for
    coopr's own), ``catalog`` are the folders its entities came from beside those of the settings.
    """

    providers: Sequence[ProviderFacts] = ()
    ssh_key: str = ""
    catalog: Sequence[str] = ()

    def provider(self, name: str) -> ProviderFacts | None:
        """Return the facts of the provider of that name; None when the cluster has nothing from it."""
        return next((provider for provider in self.providers if provider.name == name), None)

    @property
    def needs_vault(self) -> bool:
        """Whether the vault must be asked before the cluster's machines can be reached."""
        return bool(self.ssh_key or any(provider.credentials for provider in self.providers))
