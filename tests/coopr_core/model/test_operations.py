"""Every operation in every state, as sections 6 and 7 of the original's semantics say, and ours beside them."""

from __future__ import annotations

from itertools import product

import pytest

from coopr_core.errors import Busy, InvalidInput, Refused
from coopr_core.model.operations import Operation, check_allowed, operation_named, state_after
from coopr_core.model.states import HOLDING, TASK_AFTER_ATTEMPT, AttemptState, ClusterState, JobState, TaskState

YES, NO, BUSY, DONE = "yes", "no", "busy", "done"

# operation: (PENDING, ACTIVE, INCOMPLETE, INCONSISTENT, TERMINATED)
ALLOWED = {
    Operation.CLUSTER_CREATE: (BUSY, NO, YES, NO, NO),
    Operation.CLUSTER_DELETE: (BUSY, YES, YES, YES, DONE),
    Operation.ADD_SERVICES: (BUSY, YES, NO, NO, NO),
    Operation.CLUSTER_CONFIGURE: (BUSY, YES, NO, YES, NO),
    Operation.CLUSTER_CONFIGURE_WITH_RESTART: (BUSY, YES, NO, YES, NO),
    Operation.STOP_SERVICES: (BUSY, YES, NO, NO, NO),
    Operation.START_SERVICES: (BUSY, YES, NO, NO, NO),
    Operation.RESTART_SERVICES: (BUSY, YES, NO, NO, NO),
    Operation.SYNC_TEMPLATE: (BUSY, YES, NO, NO, NO),
    Operation.SCALE: (BUSY, YES, NO, NO, NO),
    Operation.REPLACE_NODES: (BUSY, YES, NO, YES, NO),
}


def test_the_table_has_every_operation() -> None:
    assert set(Operation) == set(ALLOWED)


@pytest.mark.parametrize(("operation", "state"), list(product(Operation, ClusterState)))
def test_an_operation_may_start_only_where_the_table_allows_it(operation: Operation, state: ClusterState) -> None:
    answer = ALLOWED[operation][list(ClusterState).index(state)]
    if answer == BUSY:
        with pytest.raises(Busy, match=f"Cluster demo is busy: {operation}"):
            check_allowed(state, operation, cluster="demo")
    elif answer == NO:
        with pytest.raises(Refused, match=f"Cluster demo is {state}: {operation} needs it to be") as caught:
            check_allowed(state, operation, cluster="demo")
        assert caught.value.hint
    else:
        assert check_allowed(state, operation) is (answer == YES)


@pytest.mark.parametrize(("operation", "any_machine"), list(product(Operation, (True, False))))
def test_a_job_that_succeeds_leaves_the_cluster_active_or_terminated(operation: Operation, any_machine: bool) -> None:
    wanted = ClusterState.TERMINATED if operation is Operation.CLUSTER_DELETE else ClusterState.ACTIVE
    assert state_after(operation, JobState.SUCCEEDED, any_machine=any_machine) is wanted


@pytest.mark.parametrize(
    ("operation", "end", "any_machine"),
    list(product(Operation, (JobState.FAILED, JobState.INTERRUPTED), (True, False))),
)
def test_a_failed_job_leaves_the_cluster_incomplete_after_create_or_delete_else_inconsistent(
    operation: Operation, end: JobState, any_machine: bool
) -> None:
    wanted = ClusterState.INCONSISTENT
    if operation in (Operation.CLUSTER_CREATE, Operation.CLUSTER_DELETE):
        wanted = ClusterState.INCOMPLETE
    if (operation, end, any_machine) == (Operation.CLUSTER_CREATE, JobState.FAILED, False):
        wanted = ClusterState.TERMINATED
    assert state_after(operation, end, any_machine=any_machine) is wanted


@pytest.mark.parametrize("operation", Operation)
def test_from_every_state_a_failure_can_lead_to_the_cluster_can_be_deleted(operation: Operation) -> None:
    for any_machine in (True, False):
        after = state_after(operation, JobState.FAILED, any_machine=any_machine)
        check_allowed(after, Operation.CLUSTER_DELETE)


@pytest.mark.parametrize(("operation", "touched"), list(product(Operation, (True, False))))
def test_a_job_that_was_rolled_back_leaves_the_cluster_as_it_was_if_it_touched_no_node_that_stays(
    operation: Operation, touched: bool
) -> None:
    after = state_after(operation, JobState.ROLLED_BACK, any_machine=True, touched=touched)
    if operation is Operation.SCALE and not touched:
        assert after is ClusterState.ACTIVE
    else:
        assert after is state_after(operation, JobState.FAILED, any_machine=True)
    gone = state_after(operation, JobState.ROLLED_BACK, any_machine=False)
    assert gone is state_after(operation, JobState.FAILED, any_machine=False)


def test_no_operation_ends_in_pending() -> None:
    ends = {each.rule.success for each in Operation} | {each.rule.failure for each in Operation}
    assert ClusterState.PENDING not in ends


def test_an_operation_is_found_by_its_name_in_any_case() -> None:
    assert operation_named("cluster_create") is Operation.CLUSTER_CREATE
    assert operation_named(Operation.SCALE) is Operation.SCALE
    with pytest.raises(InvalidInput, match="There is no operation 'DANCE'") as caught:
        operation_named("DANCE")
    assert "CLUSTER_CREATE" in caught.value.hint


def test_every_end_of_an_attempt_is_an_end_of_its_task() -> None:
    assert set(TASK_AFTER_ATTEMPT) == set(AttemptState)
    assert TASK_AFTER_ATTEMPT[AttemptState.UNKNOWN] is TaskState.FAILED
    assert {JobState.RUNNING, JobState.PAUSED, JobState.ABORTING} == HOLDING
