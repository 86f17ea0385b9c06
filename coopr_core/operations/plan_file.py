"""A plan saved to a file, and the check that the world is still the one it was made for.

A plan file is a whole: it holds the request, where its catalog is and a fingerprint of every part the plan was made
from, and its digest covers all of that, so nothing in it can be changed unnoticed. What people are shown is derived
from it, never read from it. `coopr apply` runs exactly that plan, or refuses and names what has changed. The file may
hold config values, so only its owner may read it.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from coopr_core.errors import InvalidInput, NameTaken, NotFound, Refused, no_room
from coopr_core.operations.confirmation import from_json, refuse_other, to_json
from coopr_core.operations.create import Preparation, prepare_create
from coopr_core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coopr_core.store import Store

FORMAT = "coopr-plan-file"
VERSION = 2

ANYBODY = str(Settings.model_fields["tenant"].default)
"""The tenant of a plan that was made for no tenant in particular."""


class SavedPlan(BaseModel):
    """What a plan file holds.

    ``catalog`` are all folders the plan was made with, absolute; ``parts`` are the parts it was made from, by name;
    ``digest`` is the fingerprint of everything else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str
    version: int
    made: datetime
    tenant: str
    request: dict[str, Any]
    catalog: tuple[str, ...]
    parts: dict[str, list[str]]
    digest: str

    @property
    def name(self) -> str:
        """The cluster's name."""
        return str(self.request["name"])


def save_plan(path: Path, prepared: Preparation, catalog: Sequence[str]) -> None:
    """Write the plan file. Raises ``InvalidInput`` when it cannot be written."""
    value: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "made": datetime.now(UTC).isoformat(),
        "tenant": prepared.tenant,
        "request": prepared.request.model_dump(mode="json", exclude_none=True),
        "catalog": list(catalog),
        "parts": to_json(prepared.world),
    }
    value["digest"] = _digest(value)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)
            file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        reason = f"plan file {path} cannot be written: {error.strerror}"
        raise no_room(error) or InvalidInput(reason) from None


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
    except RecursionError:
        raise InvalidInput(f"{path}: this is not a plan file: nested too deeply", hint=hint) from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise InvalidInput(f"{path}: this is not a plan file", hint="save one with: coopr plan ... -o FILE.plan")
    if value.get("version") != VERSION:
        found = value.get("version")
        raise InvalidInput(f"{path}: version {found} of the format; this coopr reads version {VERSION}", hint=hint)
    try:
        saved = SavedPlan.model_validate(value)
        from_json(saved.parts)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InvalidInput(f"{path}: the plan file is damaged at {place}", hint=hint) from None
    except ValueError:
        raise InvalidInput(f"{path}: the plan file is damaged at parts", hint=hint) from None
    if saved.digest != _digest(value):
        raise InvalidInput(f"{path}: the plan file was changed after it was made; its digest is another", hint=hint)
    return saved


def check_plan(saved: SavedPlan, store: Store) -> Preparation:
    """Prepare the saved request again, for the store's tenant, and return that if the answer is the same.

    A plan that was made for a tenant is for that tenant alone; any tenant may run one that was made for the default
    one. Raises ``Refused`` naming what is not as it was, ``OverQuota`` or what else ``prepare_create`` raises.
    """
    if saved.tenant not in (ANYBODY, store.tenant):
        raise Refused(
            f"the plan for cluster {saved.name!r} was made for tenant {saved.tenant!r}, not for {store.tenant!r}",
            hint=f"coopr --tenant {saved.tenant} apply FILE, or make the plan again for {store.tenant!r}",
        )
    try:
        prepared = prepare_create(saved.request, catalog=saved.catalog, store=store)
    except NameTaken as error:
        raise Refused(f"the plan cannot run any more: {error.message}", hint=error.hint) from None
    refuse_other(
        f"the plan for cluster {saved.name!r} cannot run any more, parts of it have changed since it was made",
        from_json(saved.parts),
        prepared.world,
        hint="make the plan again, look at it, and apply that",
    )
    return prepared


def _digest(value: dict[str, Any]) -> str:
    """Return the fingerprint of a plan file's values, but for the one that is this fingerprint."""
    from coopr_core.planner import fingerprint

    return fingerprint({name: part for name, part in value.items() if name != "digest"})
