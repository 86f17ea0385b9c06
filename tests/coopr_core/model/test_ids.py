"""Ids have the original's format and say where their record belongs (rule D17)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coopr_core.errors import InvalidInput
from coopr_core.model.ids import (
    cluster_id,
    is_cluster_id,
    is_task_id,
    job_id,
    parse_cluster_id,
    parse_job_id,
    parse_task_id,
    task_id,
)


def test_the_id_of_a_task_holds_that_of_its_job_and_cluster() -> None:
    assert cluster_id(15) == "00000015"
    assert job_id("00000015", 44) == "00000015-044"
    assert task_id("00000015-044", 275) == "00000015-044-275"


def test_counters_grow_wider_when_they_outgrow_their_zeros() -> None:
    assert cluster_id(123456789) == "123456789"
    assert task_id(job_id(cluster_id(1), 1000), 14006) == "00000001-1000-14006"


numbers = st.integers(1, 10**9)


@given(numbers, numbers, numbers)
def test_parsing_is_the_inverse_of_formatting(cluster: int, job: int, task: int) -> None:
    whole = task_id(job_id(cluster_id(cluster), job), task)
    assert parse_task_id(whole) == (job_id(cluster_id(cluster), job), task)
    assert parse_job_id(parse_task_id(whole)[0]) == (cluster_id(cluster), job)
    assert parse_cluster_id(cluster_id(cluster)) == cluster
    assert is_task_id(whole)


@pytest.mark.parametrize(
    "text",
    ["", "15", "00000000", "000000015", "0000001x", "٠٠٠٠٠٠١٥", " 00000015", "00000015\n", "-0000015", "00000015-044"],
)
def test_what_is_no_cluster_id_is_refused(text: str) -> None:
    assert not is_cluster_id(text)
    with pytest.raises(InvalidInput, match="is not a cluster id"):
        parse_cluster_id(text)


@pytest.mark.parametrize(
    "text", ["00000015", "00000015-44", "00000015-0044", "00000015-044-", "15-044", "x-044", "00000015-000"]
)
def test_what_is_no_job_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a job id"):
        parse_job_id(text)


@pytest.mark.parametrize("text", ["00000015-044", "00000015-044-75", "00000015-44-275", "15-044-275", "a-b-c", "--"])
def test_what_is_no_task_id_is_refused(text: str) -> None:
    assert not is_task_id(text)
    with pytest.raises(InvalidInput, match="is not a task id"):
        parse_task_id(text)


def test_counters_count_from_one() -> None:
    with pytest.raises(ValueError, match="counts from 1"):
        cluster_id(0)
