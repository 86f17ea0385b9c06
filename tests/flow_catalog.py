"""A tiny catalog of shell services for tests of flows, written where a test wants it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def service(
    *, requires: tuple[str, ...] = (), links: tuple[dict[str, str], ...] = (), **commands: str
) -> dict[str, Any]:
    """A service whose actions are shell commands: ``service(install="echo hi", start="true")``."""
    return {
        "dependencies": {"runtime": {"requires": list(requires)}},
        "links": list(links),
        "provisioner": {
            "actions": {name: {"type": "shell", "fields": {"command": text}} for name, text in commands.items()}
        },
    }


def until(flag: Path) -> str:
    """A command that ends when the test touches a file where nodes may look; after four minutes it fails."""
    return f'for _ in $(seq 2400); do test -e "{flag}" && exit 0; sleep 0.1; done; exit 1'


def write_catalog(
    folder: Path, services: Mapping[str, dict[str, Any]], *, config: Mapping[str, Any] | None = None, **template: Any
) -> str:
    """Write a catalog with these services and one template, ``tiny``, that has them all; its folder as text."""
    for kind in ("services", "clustertemplates"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for name, value in services.items():
        (folder / "services" / f"{name}.json").write_text(json.dumps({"name": name, **value}))
    tiny = {
        "name": "tiny",
        "defaults": {
            "services": list(services),
            "provider": "local",
            "hardwaretype": "local-small",
            "imagetype": "local-python",
            "config": dict(config or {}),
        },
        **template,
    }
    (folder / "clustertemplates" / "tiny.json").write_text(json.dumps(tiny))
    return str(folder)
