"""An operation of another package: table, plan, flow, deployment and command come from its one declaration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Coopr
from flow_catalog import service, write_catalog
from operation_plugin import installed_reload

from coopr_cli.main import COMMANDS
from coopr_core.errors import CooprError, Refused
from coopr_core.model.operations import ON_ACTIVE, Verb, check_allowed, operation_named, operations
from coopr_core.model.states import ClusterState
from coopr_core.operations.registry import declaration, verbs


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Path]:
    with installed_reload(tmp_path / "site") as path:
        yield path


def test_the_helps_of_what_people_ask_for_are_those_of_their_verbs() -> None:
    written = {verb.command: verb.summary for verb in verbs()}
    assert {name: COMMANDS[name][1] for name in written} == written


@pytest.mark.parametrize(
    "verb", [verb for verb in verbs() if declaration(verb).runs_job], ids=lambda verb: verb.command
)
def test_every_command_that_runs_a_job_can_say_how(verb: Verb, coopr: Coopr) -> None:
    text = coopr(verb.command, "--help").out
    assert "--schedule" in text
    assert "--max-concurrency" in text


def test_an_operation_of_another_package_is_one_file_and_one_line(module: Path, coopr: Coopr, tmp_path: Path) -> None:
    import flows
    from coopr_core.catalog import Catalog
    from coopr_core.model.request import ClusterRequest
    from coopr_core.planner import Plan, plan
    from coopr_core.planner.saved import plan_to_json
    from coopr_core.solver import solve
    from deployments.definitions import definitions

    reload = operation_named("reload_services")
    assert reload in operations()
    assert reload.rule is ON_ACTIVE
    with pytest.raises(Refused, match="RELOAD_SERVICES needs it to be ACTIVE"):
        check_allowed(ClusterState.INCOMPLETE, reload)

    commands = {"web": service(configure="true", start="true"), "plain": service(start="true")}
    layout = solve(
        Catalog.load([write_catalog(tmp_path / "catalog", commands)]),
        ClusterRequest(name="demo", template="tiny", size=2),
    )
    made = plan("RELOAD_SERVICES", layout)
    assert {str(task).partition(" @")[0] for task in made.tasks} == {"BOOTSTRAP", "CONFIGURE web"}
    assert Plan.from_json(plan_to_json(made)).operation == "RELOAD_SERVICES"

    assert "reload_services" in flows.__all__
    flow = flows.reload_services
    assert (flow.name, flow.description) == (
        "reload-services",
        "Have services read their config again while they run.",
    )
    fields = flow.parameters.properties
    assert list(fields) == [
        *("cluster", "services", "rolling", "batch"),
        *("tenant", "schedule", "max_concurrency", "confirmed"),
    ]
    assert fields["rolling"]["description"].endswith("the first failure ends it and leaves the rest as it is.")
    assert "flows.reload_services" in {each["entrypoint"] for each in definitions()}

    helped = coopr("--help").out
    assert "reload" in helped.partition("Change it")[2].partition("Steer its job")[0]
    assert "--services" in coopr("reload", "--help").out
    wrong = coopr("reload", "demo", "--batch", "long")
    assert (wrong.code, "valid integer" in wrong.err) == (3, True)


def test_a_package_that_is_broken_is_named_and_hinders_no_help(module: Path, coopr: Coopr) -> None:
    module.write_text("import nothing_of_that_name\n")
    with pytest.raises(CooprError, match=r"'RELOAD_SERVICES' cannot be loaded from coopr_reload:RELOAD"):
        operations()
    assert coopr("--help").code == 0
