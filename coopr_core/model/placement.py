"""Where a machine is made and of what kind: one value, so that it can be recorded, and changed, as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Placement:
    """The place and kind of one machine.

    ``provider`` is the catalog's name of who makes it. ``flavor`` and ``image`` are the provider's own names for
    ``hardware_type`` and ``image_type``; ``zone`` is empty where the provider may choose; ``options`` is what else the
    types say to the provider, as it stands in the catalog.
    """

    provider: str = ""
    hardware_type: str = ""
    image_type: str = ""
    flavor: str = ""
    image: str = ""
    zone: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        kind = self.hardware_type or self.flavor or "a machine"
        kind += f" (flavor {self.flavor})" if self.flavor and self.flavor != kind else ""
        where = f" in zone {self.zone}" if self.zone else ""
        return kind + where + (f" of {self.provider}" if self.provider else "")

    def to_json(self) -> dict[str, Any]:
        """Return the placement as the store keeps it."""
        return {
            "provider": self.provider,
            "hardware_type": self.hardware_type,
            "image_type": self.image_type,
            "flavor": self.flavor,
            "image": self.image,
            "zone": self.zone,
            "options": dict(self.options),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the placement that the store kept."""
        return cls(**value)
