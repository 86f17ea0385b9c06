"""A provider plug-in that is installed for a test: local nodes whose hardware and image types may say more."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

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
    (folder / "test_cloud_plugin.py").write_text(CODE)
    about = folder / "test_cloud-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: test-cloud\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[coopr.providers]\ntest-cloud = test_cloud_plugin:CloudProvider\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "test_cloud_plugin", raising=False)
    return folder / "asked.jsonl"


def asked(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """Which machines were asked for, in the order of the nodes, with what options."""
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return sorted(((node, options) for node, options in rows), key=lambda row: row[0])
