"""The file that `prefect deploy` reads is what the flows say of themselves."""

from __future__ import annotations

import yaml
from prefect.flows import load_flow_from_entrypoint

import flows
from deployments.definitions import FILE, definitions, text


def test_the_file_is_what_the_flows_say_of_themselves() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "write it anew: python -m deployments.definitions"
    assert yaml.safe_load(text())["deployments"] == definitions()


def test_every_flow_is_published_under_its_public_name() -> None:
    loaded = {
        each["entrypoint"].removeprefix("flows."): load_flow_from_entrypoint(
            each["entrypoint"], use_placeholder_flow=False
        )
        for each in definitions()
    }
    assert set(loaded) == set(flows.__all__)
    assert {name.replace("_", "-") for name in loaded} == {flow.name for flow in loaded.values()}
    assert len(loaded) == 20


def test_expired_clusters_are_looked_for_every_ten_minutes() -> None:
    (reaping,) = (each for each in definitions() if each["entrypoint"] == "flows.reap_expired")
    assert reaping["schedules"] == [{"interval": 600, "slug": "every-10-minutes", "active": True}]
    assert reaping["concurrency_limit"] == {"limit": 2, "collision_strategy": "CANCEL_NEW"}
