"""The base of plug-ins whose calls are about one machine: four short methods, and the rest of the contract for free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from coopr_core.errors import CooprError, Denied, Refused, Throttled
from coopr_core.providers.contract import Account, Found, Machine, MachineRequest, MachineState, Outcome, Status
from coopr_core.providers.limits import ProviderLimits
from coopr_core.providers.scope import Attached, Scope
from coopr_core.providers.settings import NodeOptions, ProviderSettings


class SimpleProvider(ABC):
    """A provider that makes one machine a call; override what the provider can do better.

    An error of one machine is that machine's alone; ``Throttled`` and ``Denied`` are everybody's.
    """

    settings_type: ClassVar[type[ProviderSettings]] = ProviderSettings
    options_type: ClassVar[type[NodeOptions]] = NodeOptions
    limits: ProviderLimits = ProviderLimits()
    takes_user_data: bool = False

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self.settings = self.settings_type.checked(settings, type(self).__name__)

    @abstractmethod
    def create_machine(self, request: MachineRequest) -> Machine:
        """Ask for a machine, or find the one that the request's token was used for."""

    @abstractmethod
    def machine_status(self, machine: Machine) -> Status:
        """Say how the machine is."""

    @abstractmethod
    def delete_machine(self, machine: Machine) -> None:
        """Delete the machine; one that is gone is a success."""

    @abstractmethod
    def find_machines(self, scope: Scope) -> Iterable[Machine]:
        """Find the machines that carry the tags of the scope."""

    def check(self) -> Account:
        """Say who we are there."""
        return Account(f"settings accepted by {type(self).__name__}")

    def prepare(self, scope: Scope) -> Iterable[Attached]:
        """Make nothing beside the machines."""
        return ()

    def create(self, requests: Sequence[MachineRequest]) -> Sequence[Outcome]:
        """Ask for the machines one by one."""
        return [self._outcome(request) for request in requests]

    def describe(self, machines: Sequence[Machine]) -> Iterable[Status]:
        """Look at the machines one by one."""
        return [self._status(machine) for machine in machines]

    def revive(self, machine: Machine) -> None:
        """Refuse: there is no way to start a machine again."""
        raise Refused(f"machine {machine.provider_id} is stopped, and its provider cannot start it again")

    def delete(self, machines: Sequence[Machine]) -> Mapping[str, CooprError]:
        """Delete the machines one by one."""
        left: dict[str, CooprError] = {}
        for machine in machines:
            try:
                self.delete_machine(machine)
            except (Throttled, Denied):
                raise
            except CooprError as error:
                left[machine.token] = error
        return left

    def release(self, scope: Scope, attached: Sequence[Attached]) -> None:  # noqa: B027 - nothing is right for most
        """Remove nothing: nothing was made."""

    def find(self, scope: Scope) -> Found:
        """Find the machines."""
        return Found(tuple(self.find_machines(scope)))

    def _outcome(self, request: MachineRequest) -> Outcome:
        try:
            return Outcome(self.create_machine(request))
        except (Throttled, Denied):
            raise
        except CooprError as error:
            return Outcome(error=error)

    def _status(self, machine: Machine) -> Status:
        try:
            return self.machine_status(machine)
        except (Throttled, Denied):
            raise
        except CooprError as error:
            return Status(machine, MachineState.PENDING, error=error)
