"""What is done for every task is done in as few statements as can be, on either kind of database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from store_samples import new_cluster, stages

from coopr_core.model.states import AttemptState, NodeState
from coopr_core.store import Store


@contextlib.contextmanager
def _statements(store: Store) -> Iterator[list[str]]:
    """The statements that read or change our tables; not those that begin, commit and mark a commit."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        words = statement.split()
        if words[0] in ("SELECT", "INSERT", "UPDATE", "DELETE") and "commits" not in words:
            found.append(statement)

    engine = store._database._engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def test_an_attempt_is_two_statements_when_it_starts_and_two_when_it_ends(store: Store) -> None:
    job = store.start_job(new_cluster(store).id, "CLUSTER_CREATE", stages())
    with _statements(store) as started:
        attempt = store.start_attempt(f"{job.id}-001")
    with _statements(store) as ended:
        store.finish_attempt(attempt, AttemptState.SUCCEEDED, exit_status=0)
    assert [statement.split()[0] for statement in started] == ["UPDATE", "INSERT"]
    assert [statement.split()[0] for statement in ended] == ["UPDATE", "UPDATE"]


def test_a_machine_is_one_statement_when_it_is_intended_and_few_when_it_comes(store: Store) -> None:
    cluster = new_cluster(store).id
    with _statements(store) as intended:
        token = store.intend_machine(cluster, 1000)
    with _statements(store) as made:
        store.record_machine(cluster, 1000, {"token": token, "provider_id": "m"}, NodeState.CREATED)
    with _statements(store) as confirmed:
        store.record_machine(cluster, 1000, {"token": token, "provider_id": "m"}, NodeState.CONFIRMED)
    assert (len(intended), len(made), len(confirmed)) == (1, 3, 2)
