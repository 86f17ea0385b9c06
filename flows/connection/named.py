"""The Prefect server that the user has named, if any: found where Prefect finds it, without importing Prefect."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from coopr_core.errors import CooprError


def configured_api_url() -> tuple[str, str] | None:
    """Return the API URL the user chose and where it stands, or None.

    Looks where Prefect looks, in its order: the environment, ``.env``, ``prefect.toml`` and ``pyproject.toml`` of the
    working directory, then the active profile.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        return url.rstrip("/"), "PREFECT_API_URL"
    if Path(".env").is_file():
        from dotenv import dotenv_values

        if url := dotenv_values(".env").get("PREFECT_API_URL"):
            return url.rstrip("/"), "PREFECT_API_URL in .env"
    for file, keys in (("prefect.toml", ("api",)), ("pyproject.toml", ("tool", "prefect", "api"))):
        found: Any = _toml(Path(file))
        for key in keys:
            found = found.get(key, {}) if isinstance(found, dict) else {}
        if isinstance(found, dict) and found.get("url"):
            return str(found["url"]).rstrip("/"), f"api.url in {file}"
    return _profile_api_url()


def _profile_api_url() -> tuple[str, str] | None:
    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect")
    profiles = _toml(Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml"))
    active = os.environ.get("PREFECT_PROFILE") or profiles.get("active", "")
    settings = profiles.get("profiles", {}).get(active, {})
    url = settings.get("PREFECT_API_URL") if isinstance(settings, dict) else None
    return (str(url).rstrip("/"), f"the Prefect profile {active!r}") if url else None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CooprError(f"{path} is not valid TOML: {error}", hint=f"repair {path}: Prefect reads it too") from error
