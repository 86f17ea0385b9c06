from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from coopr_core.model.facts import ClusterFacts, ProviderFacts, block_problem
from coopr_core.model.job_parameters import JobParameters
from coopr_core.model.policies import FailurePolicy

VALUES = {
    "on_failure": "continue",
    "min_nodes": 2,
    "addresses": {"1000": {"access_v4": "10.0.0.1"}},
    "keep_logs": True,
    "rebuilt_with": ["/srv/a"],
    "services": ["web"],
}


def test_what_an_operation_is_called_with_becomes_fields_and_the_rest_options() -> None:
    made = JobParameters.of(VALUES, schedule="dataflow", max_concurrency=4, named="shop")
    assert made.policy == FailurePolicy("continue", 2)
    assert made.addresses == {1000: {"access_v4": "10.0.0.1"}}
    assert (made.keep_logs, made.rebuilt_with, made.options) == (True, ("/srv/a",), {"services": ["web"]})


@pytest.mark.parametrize("made", [JobParameters(), JobParameters.of(VALUES, schedule="dataflow", named="shop")])
def test_parameters_are_read_back_from_json_as_they_were(made: JobParameters) -> None:
    assert JobParameters.recorded(json.loads(json.dumps(made.to_json()))) == made


def test_parameters_of_the_first_version_are_read() -> None:
    first = {"schedule": "dataflow", "max_concurrency": 32, "values": VALUES, "named": "shop"}
    assert JobParameters.recorded(first) == JobParameters.of(
        VALUES, schedule="dataflow", max_concurrency=32, named="shop"
    )
    assert JobParameters.recorded({}) == JobParameters()
    assert JobParameters.recorded({"values": None, "schedule": "stages"}).policy == FailurePolicy()


def test_parameters_of_a_version_to_come_are_refused() -> None:
    with pytest.raises(ValidationError, match="version"):
        JobParameters.recorded({"version": 2})


def test_facts_are_read_back_and_say_whether_the_vault_is_needed() -> None:
    provider = ProviderFacts("lab", "acme", {"region": "moon"}, "acme/lab")
    assert ProviderFacts.from_json(json.loads(json.dumps(provider.to_json()))) == provider
    facts = ClusterFacts((ProviderFacts("local", "local"), provider))
    assert facts.provider("lab") == provider
    assert facts.provider("other") is None
    assert facts.needs_vault
    assert ClusterFacts(ssh_key="coopr-ssh-key/ours").needs_vault
    assert not ClusterFacts((ProviderFacts("local", "local"),)).needs_vault


@pytest.mark.parametrize("name", ["lab", "my-slug/lab-2", "a/b"])
def test_the_name_of_a_block_is_its_own_or_with_its_types_slug(name: str) -> None:
    assert block_problem(name) == ""


@pytest.mark.parametrize("name", ["", "Lab", "a/b/c", "/lab", "my lab", "lab/", "tok_en"])
def test_what_is_no_name_of_a_block_is_told(name: str) -> None:
    assert "SLUG/NAME" in block_problem(name)
