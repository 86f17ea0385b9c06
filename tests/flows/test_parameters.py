"""What flows take: values that belong together in groups, and each of them by itself under the name it always had."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from store_samples import new_cluster

import flows
from blocks import LocalProviderSettings
from coopr_core.concurrency import MOST_CONCURRENT
from coopr_core.errors import Busy, InvalidInput, NotFound, Refused
from coopr_core.store import Store
from flows import create_cluster, flow_names
from flows.parameters import Failure, Machines, grouped
from flows.server import ServerInfo


def create(**values: Any) -> dict[str, Any]:
    """What ``create_cluster`` is called with when it is given these values."""
    return create_cluster.validate_parameters({"name": "a", "template": "nats", **values})


def test_the_values_of_a_group_are_taken_one_by_one_too() -> None:
    block = LocalProviderSettings(port=2300)
    block._block_document_name = "own"  # as if it were saved
    taken = create(
        hardware_type="small", optimize="cost", provider_settings=block, on_failure="continue", min_nodes=2, size=3
    )
    assert taken["size"] == 3
    assert (taken["machines"].hardware_type, taken["machines"].optimize) == ("small", "cost")
    assert taken["machines"].credentials == "coopr-local-provider-settings/own"
    assert (taken["failure"].on_failure, taken["failure"].min_nodes) == ("continue", 2)
    same = create(machines={"hardware_type": "small", "optimize": "cost", "credentials": block})
    assert same["machines"] == taken["machines"]
    assert create(machines=Machines(hardware_type="small"))["machines"].hardware_type == "small"


def test_values_left_out_or_null_are_no_choice() -> None:
    nothing = create(hardware_type=None, provider=None, provider_settings=None, min_nodes=None, machines=None)
    assert (nothing.get("machines"), nothing.get("failure")) == (None, None)


def test_a_group_and_other_values_of_it_are_laid_together_and_one_given_twice_is_refused() -> None:
    both = create(machines=Machines(hardware_type="small"), image_type="debian", failure={"on_failure": "continue"})
    assert (both["machines"].hardware_type, both["machines"].image_type) == ("small", "debian")
    with pytest.raises(InvalidInput, match=r"hardware_type is given twice.*machines\.hardware_type"):
        create(machines={"hardware_type": "small"}, hardware_type="large")
    with pytest.raises(InvalidInput, match=r"provider_settings is given twice.*machines\.credentials"):
        create(machines={"credentials": LocalProviderSettings()}, provider_settings=LocalProviderSettings())


def test_what_is_no_value_of_a_group_is_refused_by_name() -> None:
    from prefect.exceptions import ParameterTypeError, SignatureMismatchError

    with pytest.raises(ParameterTypeError, match=r"machines\.hardwaretype"):
        create(machines={"hardwaretype": "small"})
    with pytest.raises(ParameterTypeError, match="machines"):
        create(machines=3)
    with pytest.raises(ParameterTypeError, match=r"failure\.on_failure"):
        create(on_failure="despair")
    with pytest.raises((SignatureMismatchError, TypeError), match="hardwaretype"):
        create(hardwaretype="small")


def test_a_flow_without_groups_takes_what_it_took() -> None:
    def flow(cluster: str, machines: int = 1) -> None: ...

    assert grouped(flow, {"cluster": "c", "machines": 2}) == {"cluster": "c", "machines": 2}
    assert Failure(on_failure="continue").policy.min_nodes == 1


BEFORE = {
    "flows.creation": ["create_cluster"],
    "flows.deletion": ["delete_cluster"],
    "flows.care.leases": ["extend_lease", "protect_cluster"],
    "flows.care.reaping": ["reap_expired"],
    "flows.care.checking": ["check_drift"],
    "flows.care.collecting": ["collect_garbage"],
    "flows.changes.services": ["start_services", "stop_services", "restart_services"],
    "flows.changes.configuring": ["configure_cluster", "add_services", "sync_cluster"],
    "flows.changes.scaling": ["scale_cluster", "replace_nodes"],
    "flows.changes.rebuilding": ["rebuild_cluster"],
    "flows.control.resuming": ["retry_cluster", "resume_cluster", "pause_cluster", "abort_cluster"],
}
"""The entry points that the first release published."""


def test_deployments_of_the_first_release_still_lead_to_their_flows() -> None:
    """In a process that imports nothing before, as a worker starts one for each run."""
    script = """
import sys
from prefect.flows import load_flow_from_entrypoint
for entrypoint in sys.argv[1:]:
    print(load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False).name)
"""
    entrypoints = [f"{module}.{flow}" for module, names in BEFORE.items() for flow in names]
    done = subprocess.run([sys.executable, "-c", script, *entrypoints], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [name.rpartition(".")[2].replace("_", "-") for name in entrypoints], done.stderr


def test_a_rebuild_takes_a_saved_block_itself_or_its_name() -> None:
    from prefect.utilities.callables import parameter_schema

    named = flows.rebuild_cluster.validate_parameters({"cluster": "c", "credentials": "lab"})
    assert named["credentials"] == "lab"
    with pytest.raises(InvalidInput, match="not saved"):
        flows.rebuild_cluster.validate_parameters({"cluster": "c", "credentials": LocalProviderSettings(port=2300)})
    kinds = parameter_schema(flows.rebuild_cluster).definitions
    assert {"coopr-ssh-key", "coopr-local-provider-settings"} <= {
        kind.get("block_type_slug") for kind in kinds.values()
    }


WITHOUT_CLUSTER = {"create_cluster", "reap_expired", "collect_garbage"}
"""Flows that are not asked of one cluster."""

MORE: dict[str, dict[str, Any]] = {
    "add_services": {"services": ["extra"]},
    "scale_cluster": {"size": 3},
    "replace_nodes": {"nodes": ["1000"]},
    "configure_cluster": {"config": {"word": "two"}},
    "delete_cluster": {"only_expired": True},
    "extend_lease": {"duration": "1h"},
}
"""What else some flows must be given."""


def test_every_flow_works_on_the_clusters_of_the_tenant_it_is_given(
    prefect_server: ServerInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster is INCOMPLETE and has never had a job: most flows refuse to touch it, but they find it."""
    monkeypatch.setenv("COOPR_DATABASE_URL", f"sqlite:///{tmp_path / 'coopr.db'}")
    with Store.open(tenant="theirs") as store:
        cluster = new_cluster(store, "shop", expires_at=datetime.now(UTC) + timedelta(days=1))
    refused = []
    for name in sorted(set(flow_names()) - WITHOUT_CLUSTER):
        function, given = getattr(flows, name).fn, MORE.get(name, {})
        with pytest.raises(NotFound, match="shop"):
            function("shop", **given)
        try:
            assert cluster.id in str(function("shop", **given, tenant="theirs")), name
        except (Refused, Busy):
            refused.append(name)
    assert len(refused) >= 10, "they came as far as the cluster's state"


WORDS = {"services": ["one"], "nodes": ["1000"]}
"""What is typed into a form where one word is not enough."""


@pytest.mark.parametrize("name", flow_names())
def test_the_server_takes_a_form_in_which_nothing_was_filled_in_but_what_must_be(name: str) -> None:
    """As Prefect's form sends it: each default, null too, of what was not touched; also of the values in a box."""
    from prefect.utilities.callables import parameter_schema
    from prefect.utilities.schema_tools.validation import validate

    schema = parameter_schema(getattr(flows, name)).model_dump_for_openapi()
    sent = {key: field["default"] for key, field in schema["properties"].items() if "default" in field}
    sent |= {key: WORDS.get(key, "word") for key in schema.get("required", ())}
    assert validate(sent, schema, raise_on_error=True) == []
    for box in ("Machines", "Failure"):
        if fields := schema["definitions"].get(box, {}).get("properties"):
            opened = {key: field["default"] for key, field in fields.items() if "default" in field}
            assert validate({**sent, box.lower(): opened}, schema, raise_on_error=True) == []
            getattr(flows, name).validate_parameters({**sent, box.lower(): opened})


JOBLESS = {"pause_cluster", "abort_cluster", "extend_lease", "protect_cluster", "check_drift", "collect_garbage"}
"""Flows that run no job of a cluster."""


@pytest.mark.parametrize("name", flow_names())
def test_every_flow_takes_a_tenant_and_every_operation_says_how_its_job_runs(name: str) -> None:
    from prefect.utilities.callables import parameter_schema

    schema = parameter_schema(getattr(flows, name))
    assert all(field.get("description") for field in schema.properties.values())
    shared = {"tenant"} if name in JOBLESS else {"tenant", "schedule", "max_concurrency", "confirmed"}
    assert shared <= schema.properties.keys()
    if name not in JOBLESS:
        schedule = schema.properties["schedule"]
        assert schedule["enum"] == ["stages", "dataflow"]
        assert "default" not in schedule, "a form sends it when nothing was chosen, and null is none of these"
        assert {"minimum": 1, "maximum": MOST_CONCURRENT, "type": "integer"} in schema.properties["max_concurrency"][
            "anyOf"
        ]
    inner = (kind["properties"].values() for kind in (schema.definitions or {}).values())
    assert all(field.get("description") and field.get("title") for fields in inner for field in fields)
