"""The flows that are derived from declarations: what all of them take, and that it is heard."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from flow_catalog import service, write_catalog

import flows
from coopr_core.errors import NotFound, Refused
from coopr_core.operations.registry import declaration, verbs
from coopr_core.store import Store
from flows.server import ServerInfo


@pytest.mark.parametrize("verb", verbs(), ids=lambda verb: verb.flow)
def test_every_flow_of_a_cluster_says_whose_it_is_and_how_its_job_runs(verb: object) -> None:
    from coopr_core.model.operations import Verb

    assert isinstance(verb, Verb)
    flow = getattr(flows, verb.flow)
    fields = flow.parameters.properties
    shared = ["tenant", "schedule", "max_concurrency", "confirmed"]
    wanted = shared if declaration(verb).runs_job else ["tenant", "confirmed"]
    assert list(fields)[-len(wanted) :] == wanted
    assert all(field.get("description") for field in fields.values())
    assert all(field["position"] == place for place, field in enumerate(fields.values()))
    assert flow.name == verb.flow_name
    assert flow.description == (inspect.getdoc(flow.fn) or "").partition("\n")[0]


def test_there_is_no_other_flow() -> None:
    with pytest.raises(AttributeError, match="no attribute 'dance_cluster'"):
        _ = flows.dance_cluster
    assert set(flows.__all__) <= set(dir(flows))


def test_a_flow_works_on_the_clusters_of_the_tenant_it_is_told(
    prefect_server: ServerInfo, store: Store, tmp_path: Path
) -> None:
    catalog = write_catalog(tmp_path / "catalog", {"web": service(configure="true", start="true", stop="true")})
    made = flows.create_cluster(name="theirs", template="tiny", size=1, catalog=[catalog], tenant="lab")
    with pytest.raises(NotFound):
        flows.stop_services("theirs")
    stopped = flows.stop_services("theirs", tenant="lab", schedule="dataflow", max_concurrency=3)
    assert (stopped["cluster_id"], stopped["state"]) == (made["cluster_id"], "ACTIVE")
    parameters = store.job_parameters(stopped["job"])
    assert (parameters.schedule, parameters.max_concurrency) == ("dataflow", 3)
    assert flows.retry_cluster("theirs", tenant="lab")["job"] == stopped["job"], "a success is one already"
    with pytest.raises(Refused, match="there is nothing to pause"):
        flows.pause_cluster("theirs", tenant="lab")
    assert flows.delete_cluster("theirs", tenant="lab", schedule="stages")["state"] == "TERMINATED"
    assert flows.delete_cluster(made["cluster_id"], tenant="lab")["state"] == "TERMINATED", "once more is a success"
