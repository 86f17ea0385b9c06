"""A provider plug-in for tests: local nodes, and calls that fail as a script in a file says; installed as others are.

``install`` writes a package with its entry point where this process finds it, as pip would.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from installed_package import install_package

from coopr_core.errors import CooprError
from coopr_core.providers.contract import Machine, MachineRequest, Status
from coopr_core.providers.local import LocalProvider
from coopr_core.providers.scope import Scope


class Script:
    """What goes wrong next, call by call, and the calls so far, shared by all providers of a test."""

    def __init__(self) -> None:
        self.errors: dict[str, list[CooprError]] = {}
        self.calls: list[tuple[str, str, float]] = []

    def fail(self, call: str, *errors: CooprError) -> None:
        """Let the next calls of this name end with these errors."""
        self.errors.setdefault(call, []).extend(errors)

    def called(self, call: str = "") -> list[str]:
        """The calls so far, or those of one name with what they were about."""
        return [about if call else name for name, about, _ in self.calls if call in ("", name)]

    def enter(self, call: str, about: str) -> None:
        """Note a call, and raise what it is to fail with."""
        self.calls.append((call, about, time.monotonic()))
        if self.errors.get(call):
            raise self.errors[call].pop(0)


class ShakyProvider(LocalProvider):
    """Local nodes whose provider sometimes fails."""

    script = Script()

    def create_machine(self, request: MachineRequest) -> Machine:
        self.script.enter("create", str(request.node))
        return super().create_machine(request)

    def machine_status(self, machine: Machine) -> Status:
        self.script.enter("confirm", machine.provider_id)
        return super().machine_status(machine)

    def delete_machine(self, machine: Machine) -> None:
        self.script.enter("delete", machine.provider_id)
        super().delete_machine(machine)

    def find_machines(self, scope: Scope) -> list[Machine]:
        self.script.enter("find", scope.cluster_id)
        return super().find_machines(scope)


def install(folder: Path, catalog: str, patch: pytest.MonkeyPatch) -> Script:
    """Make ``shaky`` an installed provider type and the catalog's provider ``local`` of it; what goes wrong with it."""
    install_package(folder, "shaky", {"coopr.providers": {"shaky": "shaky_provider:ShakyProvider"}}, patch)
    (Path(catalog) / "providers").mkdir()
    entity = {"name": "local", "providertype": "shaky", "provisioner": {}}
    (Path(catalog) / "providers" / "local.json").write_text(json.dumps(entity))
    patch.setattr(ShakyProvider, "script", Script())
    return ShakyProvider.script
