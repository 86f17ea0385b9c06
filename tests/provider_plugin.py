"""A provider plug-in that is installed for a test: local nodes whose hardware and image types may say more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from installed_package import install_package

CODE = """
import json
from pathlib import Path

from pydantic import Field

from coopr_core.providers.local.provider import LocalProvider
from coopr_core.providers.settings import NodeOptions

ASKED = Path(__file__).with_name("asked.jsonl")


class CloudOptions(NodeOptions):
    ebs_volume_gb: int | None = Field(default=None, ge=1)
    spot: bool = False
    root_device: str = ""


class CloudProvider(LocalProvider):
    options_type = CloudOptions

    def create_machine(self, request):
        CloudOptions.model_validate(request.placement.options)
        with ASKED.open("a") as file:
            file.write(json.dumps([request.node, dict(request.placement.options)]) + "\\n")
        return super().create_machine(request)
"""


def install_cloud(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the provider type ``test-cloud`` as pip would; the file with what its machines were asked for."""
    points = {"coopr.providers": {"test-cloud": "test_cloud_plugin:CloudProvider"}}
    install_package(folder, "test-cloud", points, monkeypatch, modules={"test_cloud_plugin": CODE})
    return folder / "asked.jsonl"


def asked(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """Which machines were asked for, in the order of the nodes, with what options."""
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return sorted(((node, options) for node, options in rows), key=lambda row: row[0])
