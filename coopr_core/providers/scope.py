"""Whose machines are meant: a cluster of an installation, the tags it puts on everything, and what is attached to it.

Cluster ids are counted per store, so the tag of a cluster alone does not say whose a machine is: things carry both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Scope:
    """A cluster, or with an empty ``cluster_id`` everything of an installation.

    An empty ``installation`` is any. ``authorized_key`` is the public key, in OpenSSH form, that all machines of the
    cluster let in; ``owner`` and ``expires_at`` are there for the people who look at the provider's own pages.
    """

    installation: str = ""
    cluster_id: str = ""
    cluster_name: str = ""
    authorized_key: str = ""
    owner: str = ""
    expires_at: datetime | None = None

    @property
    def tags(self) -> dict[str, str]:
        """What everything of the cluster is tagged with: names in lower case with dashes, nothing empty."""
        end = f"{self.expires_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if self.expires_at else ""
        tags = {
            "coopr-installation": self.installation,
            "coopr-cluster": self.cluster_id,
            "coopr-cluster-name": self.cluster_name,
            "coopr-owner": self.owner,
            "coopr-lease-end": end,
        }
        return {name: value for name, value in tags.items() if value}

    def name(self, what: str) -> str:
        """Return the name of a thing of the cluster that no other cluster of any installation has."""
        return "-".join(part for part in ("coopr", self.installation, self.cluster_id, what) if part)

    def includes(self, tags: Mapping[str, str]) -> bool:
        """Tell whether a thing with these tags is meant."""
        of_cluster = not self.cluster_id or tags.get("coopr-cluster") == self.cluster_id
        return of_cluster and (not self.installation or tags.get("coopr-installation") == self.installation)


@dataclass(frozen=True, slots=True)
class Attached:
    """A thing that is made for a cluster beside its machines: a key pair, a security group.

    ``kind`` and ``name`` are ours, and known before it is made; ``provider_id`` is the provider's, empty until then.
    ``cluster_id`` says whose it is.
    """

    kind: str
    name: str
    provider_id: str = ""
    cluster_id: str = ""
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def to_json(self) -> dict[str, Any]:
        """Return the thing as the store keeps it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "provider_id": self.provider_id,
            "cluster_id": self.cluster_id,
            "details": dict(self.details),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the thing that the store kept."""
        return cls(**value)
