"""Where the reference material of the original lies; tests that need it skip where it is not there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(os.environ.get("COOPR_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def reference(*parts: str) -> Path:
    """The path of a reference file or folder, or a skip that says what is missing."""
    path = SHARED.joinpath("reference", *parts)
    if not path.exists():
        pytest.skip(f"reference material not found: {'/'.join(('reference', *parts))}")
    return path


def vectors(name: str) -> dict[str, Any]:
    """The sample vectors of ``reference/vectors/<name>.json``."""
    value: dict[str, Any] = json.loads(reference("vectors", f"{name}.json").read_text())
    return value
