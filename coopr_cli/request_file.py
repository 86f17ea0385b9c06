"""A request read from a file: what `coopr show CLUSTER -o yaml` prints, or just the fields of a request."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from coopr_core.errors import InvalidInput

STANDARD_INPUT = "-"


def read_request(file: str) -> dict[str, Any]:
    """The fields of a request, and ``catalog`` with folders as they are meant from where the file is.

    What a cluster's description has beside its ``request`` is left aside. Raises ``InvalidInput`` for what cannot be
    read or is no request; whether its fields are right is for ``ClusterRequest`` to say.
    """
    from coopr_core.catalog.documents import parse, read

    if file == STANDARD_INPUT:
        document, folder = parse(sys.stdin.read(), "standard input"), Path.cwd()
    else:
        document, folder = read(Path(file)), Path(file).absolute().parent
    value = document.value
    found = value.get("request", value) if isinstance(value, dict) else None
    if not isinstance(found, dict) or "template" not in found:
        raise InvalidInput(
            f"{document.file} is no request: it has no 'template', nor a 'request' with one",
            hint="for one to start from: coopr show CLUSTER -o yaml > FILE",
        )
    request = dict(found)
    catalog = request.get("catalog") or []
    if not isinstance(catalog, list) or not all(isinstance(path, str) for path in catalog):
        raise InvalidInput(f"{document.file}: 'catalog' must be a list of folders")
    config = request.get("config")
    if config is not None and not isinstance(config, dict):
        raise InvalidInput(f"{document.file}: 'config' must be a map of keys")
    return {**request, "catalog": [str(folder / path) for path in catalog]}
