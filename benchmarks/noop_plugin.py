"""A provider and an automator that do nothing, or only take their time: what is left is the cost of orchestration.

``installed`` makes them known as pip would, and writes a catalog with one template, ``noop``, of seven tasks a node.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from coopr_core.automators.context import TaskContext
from coopr_core.automators.contract import ActionFields, Automator, Result
from coopr_core.providers.contract import Machine, MachineRequest, MachineState, Status
from coopr_core.providers.scope import Scope
from coopr_core.providers.simple import SimpleProvider

if TYPE_CHECKING:
    from coopr_core.remote.session import Session

ACTIONS = ("CREATE", "CONFIRM", "BOOTSTRAP", "INSTALL", "CONFIGURE", "INITIALIZE", "START")
"""What happens to each node, in this order."""

ENTRY_POINTS = """
[coopr.providers]
noop = noop_plugin:NoopProvider

[coopr.automators]
noop = noop_plugin:NoopAutomator
"""

DURATIONS = "COOPR_BENCHMARK_DURATIONS"
"""The environment's variable with seconds, share of stragglers, and how many times as long those take."""


def duration(node: int, action: str) -> float:
    """Return the seconds a task takes, the same in every process that has the same environment."""
    text = os.environ.get(DURATIONS, "")
    if not text:
        return 0.0
    seconds, share, times = (float(part) for part in text.split())
    return seconds * (times if Random(f"{node} {action}").random() < share else 1.0)


def work(node: int, action: str) -> None:
    """Take as long as the task takes."""
    if seconds := duration(node, action):
        time.sleep(seconds)


class NoopProvider(SimpleProvider):
    """Machines that exist as soon as they are asked for, and nowhere."""

    def create_machine(self, request: MachineRequest) -> Machine:
        """Accept the machine."""
        work(request.node, "CREATE")
        return Machine(
            request.token, request.token, request.cluster_id, request.node, ssh_user="nobody", reached_by="none"
        )

    def machine_status(self, machine: Machine) -> Status:
        """Give the machine an address."""
        work(machine.node, "CONFIRM")
        address = f"10.{machine.node >> 16}.{machine.node >> 8 & 255}.{machine.node & 255}"
        ready = replace(machine, addresses={"access_v4": address, "bind_v4": address})
        return Status(ready, MachineState.READY)

    def delete_machine(self, machine: Machine) -> None:
        """Forget the machine."""

    def find_machines(self, scope: Scope) -> list[Machine]:
        """Find nothing."""
        return []


class NoopAutomator(Automator[ActionFields]):
    """Actions that succeed at once, without a connection."""

    fields_type = ActionFields

    def bootstrap(self, context: TaskContext, session: Session) -> Result:
        """Do nothing."""
        work(context.number, context.action)
        return Result()

    def run(self, context: TaskContext, session: Session) -> Result:
        """Do nothing."""
        work(context.number, context.action)
        return Result()


def installed(folder: Path) -> Path:
    """Make provider and automator known to this process and return the catalog's folder; may be repeated."""
    about = folder / "coopr_noop-1.dist-info"
    catalog = folder / "catalog"
    if not catalog.exists():
        about.mkdir(parents=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: coopr-noop\nVersion: 1\n")
        (about / "entry_points.txt").write_text(ENTRY_POINTS)
        _write_catalog(catalog)
    sys.path[:0] = [str(folder), str(Path(__file__).parent)]
    return catalog


def _write_catalog(folder: Path) -> None:
    actions = {action.lower(): {"type": "noop", "fields": {}} for action in ACTIONS[3:]}
    chosen = {"provider": "noop", "hardwaretype": "noop", "imagetype": "noop", "services": ["noop"]}
    entities: Mapping[str, dict[str, Any]] = {
        "providers": {"providertype": "noop", "provisioner": {}},
        "hardwaretypes": {"providermap": {"noop": {"flavor": "noop"}}},
        "imagetypes": {"providermap": {"noop": {"image": "noop", "sshuser": "nobody"}}},
        "services": {"provisioner": {"actions": actions}},
        "clustertemplates": {"defaults": {**chosen, "config": {"a": {"b": "c"}}}},
    }
    for kind, entity in entities.items():
        (folder / kind).mkdir(parents=True)
        (folder / kind / "noop.json").write_text(json.dumps({"name": "noop", **entity}))
