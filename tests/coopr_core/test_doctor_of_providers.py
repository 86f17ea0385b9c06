"""`coopr doctor` asks each provider who we are there and what we may do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from installed_package import install_package

from coopr_core.errors import CooprError, Denied
from coopr_core.maintenance.doctor import Verdict, check_all
from coopr_core.providers.contract import Account, Machine, MachineRequest, MachineState, Status
from coopr_core.providers.scope import Scope
from coopr_core.providers.settings import ProviderSettings
from coopr_core.providers.simple import SimpleProvider


class AccountSettings(ProviderSettings):
    """What an account needs."""

    user: str


class Accounts(SimpleProvider):
    """A provider that knows who asks."""

    settings_type: ClassVar[type[ProviderSettings]] = AccountSettings
    known: ClassVar[dict[str, Account | CooprError]] = {}

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(settings)
        self._user = str((settings or {})["user"])

    def check(self) -> Account:
        answer = self.known[self._user]
        if isinstance(answer, CooprError):
            raise answer
        return answer

    def create_machine(self, request: MachineRequest) -> Machine:
        raise NotImplementedError

    def machine_status(self, machine: Machine) -> Status:
        return Status(machine, MachineState.GONE)

    def delete_machine(self, machine: Machine) -> None:
        raise NotImplementedError

    def find_machines(self, scope: Scope) -> list[Machine]:
        return []


@pytest.fixture
def verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Verdict]:
    points = {"coopr.providers": {"accounts": "test_doctor_of_providers:Accounts"}}
    install_package(tmp_path / "site", "accounts", points, monkeypatch)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import test_doctor_of_providers

    known = {
        "ada": Account("account 12345, user ada", ("create", "delete")),
        "bob": Account("account 12345, user bob", ("create",), ("delete",)),
        "eve": Denied("the key of eve is not valid", hint="renew it"),
    }
    monkeypatch.setattr(test_doctor_of_providers.Accounts, "known", known)
    catalog = tmp_path / "catalog" / "providers"
    catalog.mkdir(parents=True)
    for name in (*known, ""):
        entity: dict[str, Any] = {"name": name or "unset", "providertype": "accounts"}
        entity["provisioner"] = {"user": name} if name else {}
        (catalog / f"{entity['name']}.json").write_text(json.dumps(entity))
    kept = {"name": "kept", "providertype": "accounts", "provisioner": {}, "credentials": "accounts/mine"}
    (catalog / "kept.json").write_text(json.dumps(kept))
    monkeypatch.setenv("COOPR_CATALOG", str(tmp_path / "catalog"))
    monkeypatch.setenv("COOPR_STATE_DIR", str(tmp_path / "state"))
    return {verdict.name: verdict for verdict in check_all()}


def test_each_provider_says_who_we_are_there_and_what_we_may_do(verdicts: dict[str, Verdict]) -> None:
    ada, bob, eve = (verdicts[f"provider {name}"] for name in ("ada", "bob", "eve"))
    assert (ada.state, ada.text) == ("ok", "account 12345, user ada; may create, delete")
    assert (bob.state, bob.text) == ("note", "account 12345, user bob; may create; may not delete")
    assert (eve.state, eve.text, eve.hint) == ("wrong", "the key of eve is not valid", "renew it")
    assert verdicts["provider local"].state == "ok"


def test_what_is_not_set_up_or_cannot_be_asked_is_a_note(verdicts: dict[str, Verdict]) -> None:
    unset, kept = verdicts["provider unset"], verdicts["provider kept"]
    assert (unset.state, "provisioner.user" in unset.text) == ("note", True)
    assert (kept.state, "accounts/mine" in kept.text) == ("note", True)
