"""The six kinds of file a catalog holds: the folders they lie in and the entities they become."""

from __future__ import annotations

from dataclasses import dataclass

from coopr_core.catalog.entities import (
    ClusterTemplate,
    Entity,
    HardwareType,
    ImageType,
    PartialTemplate,
    Provider,
    Service,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: what people call it and the folders its files lie in, the original's name first."""

    noun: str
    folders: tuple[str, ...]
    model: type[Entity]


TEMPLATE = Kind("template", ("clustertemplates", "templates"), ClusterTemplate)
PARTIAL = Kind("partial template", ("partialtemplates", "partials"), PartialTemplate)
SERVICE = Kind("service", ("services",), Service)
HARDWARE = Kind("hardware type", ("hardwaretypes",), HardwareType)
IMAGE = Kind("image type", ("imagetypes",), ImageType)
PROVIDER = Kind("provider", ("providers",), Provider)

KINDS = (TEMPLATE, PARTIAL, SERVICE, HARDWARE, IMAGE, PROVIDER)

BY_FOLDER = {folder: kind for kind in KINDS for folder in kind.folders}
