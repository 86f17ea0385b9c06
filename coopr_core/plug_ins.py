"""Loading what an entry point of another package names; one that cannot be imported is told as one clear error."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

from coopr_core.errors import CooprError


def load_plug_in(entry: EntryPoint, what: str) -> Any:
    """Return what the entry point names; ``what`` is what messages call it.

    Raises ``CooprError`` when the package cannot be imported, lacks the name, or refuses what it declares itself
    (``ValueError``).
    """
    try:
        return entry.load()
    except (ImportError, AttributeError, ValueError) as error:
        raise CooprError(
            f"{what} cannot be loaded from {entry.value}: {error}",
            hint="Install what it needs, or reinstall the package that has it.",
        ) from error
