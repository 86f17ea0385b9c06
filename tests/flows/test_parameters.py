"""What flows take: values that belong together in groups, and each of them by itself under the name it always had."""

from __future__ import annotations

from typing import Any

import pytest

from blocks import LocalProviderSettings
from coopr_core.errors import InvalidInput
from flows import create_cluster
from flows.parameters import Failure, Machines, grouped


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
