"""Builds the package as a wheel with nothing but Python, for a machine without setuptools and without a network."""

from __future__ import annotations

import tomllib
import zipfile
from pathlib import Path
from typing import Any


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: Any = None) -> str:
    """Write the wheel; its file's name."""
    declared = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    name, version = declared["name"].replace("-", "_"), declared["version"]
    about = f"{name}-{version}.dist-info"
    points = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
        for group, entries in declared["entry-points"].items()
    ]
    file = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory) / file, "w") as wheel:
        for path in sorted(Path().glob("coopr_acme/*.py")):
            wheel.writestr(str(path), path.read_text())
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {declared['name']}\nVersion: {version}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/entry_points.txt", "\n".join(points))
        wheel.writestr(f"{about}/RECORD", "")
    return file
