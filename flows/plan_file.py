"""A plan saved to a file, and the check that the world is still the one it was made for.

The file holds the request, the layout and every task; `coopr apply` runs exactly that, or refuses and names what has
changed. The file may hold config values, so only its owner may read it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from coopr_core.errors import InvalidInput, NotFound, Refused
from flows.preparation import Preparation, prepare_create

if TYPE_CHECKING:
    from coopr_core.store import Store

FORMAT = "coopr-plan-file"
VERSION = 1


class SavedPlan(BaseModel):
    """What a plan file holds. ``fingerprints`` are those of the parts the plan was made from, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str
    version: int
    made: datetime
    request: dict[str, Any]
    catalog: tuple[str, ...]
    fingerprints: dict[str, str]
    preview: dict[str, Any]

    @property
    def name(self) -> str:
        """The cluster's name."""
        return str(self.request["name"])


@dataclass(frozen=True, slots=True)
class Applicable:
    """A saved plan that may run now: the request as it was saved, prepared again with the same answer."""

    saved: SavedPlan
    prepared: Preparation


def save_plan(path: Path, prepared: Preparation, catalog: Sequence[str]) -> None:
    """Write the plan file. Raises ``InvalidInput`` when it cannot be written."""
    saved = SavedPlan(
        format=FORMAT,
        version=VERSION,
        made=datetime.now(UTC),
        request=prepared.request.model_dump(mode="json", exclude_none=True),
        catalog=tuple(catalog),
        fingerprints=fingerprints(prepared),
        preview=prepared.to_json(),
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(saved.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise InvalidInput(f"plan file {path} cannot be written: {error.strerror}") from None


def load_plan(path: Path) -> SavedPlan:
    """Read a plan file. Raises ``NotFound`` or ``InvalidInput`` with the file and what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"there is no plan file {path}", hint="save one with: coopr plan ... -o FILE.plan") from None
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(f"plan file {path} cannot be read as text") from None
    hint = "make the plan again"
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{path}:{error.lineno}: this is not a plan file: {error.msg}", hint=hint) from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise InvalidInput(f"{path}: this is not a plan file", hint="save one with: coopr plan ... -o FILE.plan")
    if value.get("version") != VERSION:
        found = value.get("version")
        raise InvalidInput(f"{path}: version {found} of the format; this coopr reads version {VERSION}", hint=hint)
    try:
        return SavedPlan.model_validate(value)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InvalidInput(f"{path}: the plan file is damaged at {place}", hint=hint) from None


def check_plan(saved: SavedPlan, store: Store, *, tenant: str = "default") -> Applicable:
    """Prepare the saved request again and compare. Raises ``Refused`` naming what is not as it was."""
    try:
        prepared = prepare_create(saved.request, catalog=saved.catalog, store=store, tenant=tenant)
    except InvalidInput as error:
        if "is taken" in error.message:
            raise Refused(f"the plan cannot run any more: {error.message}", hint=error.hint) from None
        raise
    refuse_changes(prepared, saved.fingerprints)
    return Applicable(saved, prepared)


def refuse_changes(prepared: Preparation, before: Mapping[str, str]) -> None:
    """Raises ``Refused`` naming what is not as its fingerprint in ``before`` says; empty: nothing was saved."""
    now = fingerprints(prepared) if before else {}
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if changed:
        raise Refused(
            f"the plan for cluster {prepared.request.name!r} cannot run any more: "
            f"{', '.join(changed)} changed since it was made",
            hint="make the plan again, look at it, and apply that",
        )


def fingerprints(prepared: Preparation) -> dict[str, str]:
    """The fingerprint of each part a plan is made from, by the name a person knows it by."""
    from coopr_core.planner import fingerprint

    layout = prepared.layout
    parts: dict[str, object] = {
        f"template {prepared.template.name}": prepared.template,
        f"provider {prepared.provider.name}": prepared.provider,
        "the layout": layout.nodes,
        "the config": layout.config,
        "the tasks": prepared.plan,
        "the lease": prepared.lease,
    }
    parts |= {f"service {name}": service for name, service in layout.services.items()}
    return {name: fingerprint(part) for name, part in parts.items()}
