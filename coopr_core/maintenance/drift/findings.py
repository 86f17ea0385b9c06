"""What looking for drift found, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from coopr_core.model.records import ClusterRecord


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference: ``kind`` is stable, ``node`` is None for what concerns the whole cluster.

    The kinds are ``machine-gone``, ``unreachable``, ``wrong-host-key``, ``unhealthy``, ``config``, ``no-record``,
    ``extra-machine`` and ``no-secrets``.
    """

    kind: str
    message: str
    node: int | None = None
    host_name: str = ""
    service: str = ""
    paths: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Drift:
    """What looking at a cluster found; ``checked`` counts health checks, ``unchecked`` names what is not known."""

    cluster: ClusterRecord
    findings: tuple[Finding, ...]
    nodes: int
    checked: int
    unchecked: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the drift as ``-o json`` prints it."""
        return {
            "cluster": self.cluster.name,
            "id": self.cluster.id,
            "state": self.cluster.state.value,
            "drift": bool(self.findings),
            "findings": [asdict(finding) for finding in self.findings],
            "nodes": self.nodes,
            "health_checks": self.checked,
            "not_checked": list(self.unchecked),
        }
