"""Where a machine is made and of what kind: one value, so that it can be recorded, and changed, as one.

A place may be full when the machine is asked for; a node has ``Alternative`` placements for that, within what its
template and its request allow.
"""

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


NOWHERE = Placement()
"""The placement of what was not placed."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Where a node's machine may be made instead, and its price there per hour, None when the catalog does not say."""

    placement: Placement
    price: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the alternative as the store keeps it."""
        return {"placement": self.placement.to_json(), "price": self.price}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the alternative that the store kept."""
        return cls(Placement.from_json(value["placement"]), value["price"])


class Placed:
    """What has a placement, and is asked for its parts."""

    __slots__ = ()

    placement: Placement

    @property
    def hardware_type(self) -> str:
        """The catalog's name of the kind of machine."""
        return self.placement.hardware_type

    @property
    def image_type(self) -> str:
        """The catalog's name of what the machine starts from."""
        return self.placement.image_type

    @property
    def flavor(self) -> str:
        """The provider's name of the kind of machine."""
        return self.placement.flavor

    @property
    def image(self) -> str:
        """The provider's name of what the machine starts from."""
        return self.placement.image

    @property
    def zone(self) -> str:
        """The zone, empty where the provider may choose."""
        return self.placement.zone

    @property
    def options(self) -> Mapping[str, Any]:
        """What else the types say to the provider."""
        return self.placement.options
