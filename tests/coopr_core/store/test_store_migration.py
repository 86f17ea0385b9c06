from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from older_store import make_older_store
from sqlalchemy import create_engine, inspect, text
from store_samples import engine_url, new_cluster, python

from coopr_core.model.facts import ClusterFacts, ProviderFacts
from coopr_core.model.job_parameters import JobParameters
from coopr_core.model.placement import Placement
from coopr_core.model.policies import FailurePolicy
from coopr_core.model.states import NodeState
from coopr_core.store import Store, indexes
from coopr_core.store.database import StoreUnavailable
from coopr_core.store.migration import MIGRATIONS, SchemaTooNew
from coopr_core.store.schema import SCHEMA_VERSION, metadata

assert indexes  # they are part of the metadata


def test_the_programs_schema_is_the_newest_migration() -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    assert script.get_heads() == [SCHEMA_VERSION]
    versions = [revision.revision for revision in script.walk_revisions()]
    assert versions == sorted(versions, reverse=True), "newer revisions must sort later"


def test_opening_makes_exactly_the_tables_the_program_knows(new_url: str) -> None:
    Store.open(new_url).close()
    engine = create_engine(engine_url(new_url))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        names = {index["name"] for index in inspect(connection).get_indexes("jobs")}
        assert "uq_jobs_holding_cluster" in names
    engine.dispose()


def test_opening_again_changes_nothing(new_url: str) -> None:
    with Store.open(new_url) as store:
        new_cluster(store)
    with Store.open(new_url) as store:
        assert len(store.clusters()) == 1


def test_a_store_of_the_first_release_is_opened_and_its_clusters_can_be_worked_on(new_url: str) -> None:
    make_older_store(new_url, "0001", {"demo": [{}]})
    engine = create_engine(engine_url(new_url))
    with Store.open(new_url) as store:
        cluster = store.cluster("demo")
        number = store.nodes(cluster.id)[0].number
        assert [node.options for node in store.nodes(cluster.id)] == [{} for _ in store.nodes(cluster.id)]
        placed = Placement("local", "small", "linux", "s-1", "ami-1", "a", {})
        assert {node.placement for node in store.nodes(cluster.id)} == {placed}
        assert store.layout(cluster.id).nodes[0].placement == placed
        assert store.layout(cluster.id).nodes[0].alternatives == ()
        token = store.intend_machine(cluster.id, number)
        store.record_machine(cluster.id, number, {"token": token}, NodeState.CREATED)
        assert store.node(cluster.id, number).state is NodeState.CREATED
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_facts_of_clusters_are_taken_from_the_jobs_of_an_older_store(new_url: str) -> None:
    entity = {"name": "local", "providertype": "local", "provisioner": {"port": 2300}, "description": "here"}
    plan = {"plan": {"groups": []}}
    values = {"on_failure": "continue", "min_nodes": 2}
    run = {"schedule": "dataflow", "max_concurrency": 4, "values": values, "named": "shop"}
    last = {"addresses": {"1000": {"access_v4": "::1"}}, "keep_logs": True, "rebuilt_with": ["/srv/a"]}
    jobs: list[dict[str, Any]] = [
        {"provider": entity, "ssh_key": "coopr-ssh-key/ours", "catalog": ["/srv/a"], **run, **plan},
        {"schedule": "stages", "values": {"catalog": ["/srv/b", "/srv/a"], "restart": True}, **plan},
        {"schedule": "stages", "values": last, **plan},
    ]
    make_older_store(new_url, "0003", {"with": jobs, "without": []}, provider_settings="coopr-local/own")
    with Store.open(new_url) as store:
        made = store.cluster("with")
        assert made.facts == ClusterFacts(
            providers=(ProviderFacts("local", "local", {"port": 2300}, "coopr-local/own"),),
            ssh_key="coopr-ssh-key/ours",
            catalog=("/srv/a", "/srv/b"),
        )
        assert made.credentials == "coopr-local/own"
        assert store.cluster("without").credentials == "coopr-local/own"
        assert [job.id for job in store.jobs(made.id)] == ["00000001-001", "00000001-002", "00000001-003"]
        assert store.job_parameters("00000001-001") == JobParameters(
            schedule="dataflow", max_concurrency=4, policy=FailurePolicy("continue", 2), named="shop"
        )
        assert store.job_parameters("00000001-002").options == {"catalog": ["/srv/b", "/srv/a"], "restart": True}
        last = store.job_parameters("00000001-003")
        assert (last.addresses, last.keep_logs, last.rebuilt_with) == ({1000: {"access_v4": "::1"}}, True, ("/srv/a",))
        assert [store.recorded_plan(job.id) for job in store.jobs(made.id)] == [plan["plan"]] * 3
    engine = create_engine(engine_url(new_url))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_of_many_processes_that_open_a_new_database_at_once_all_succeed(new_url: str) -> None:
    code = """
import time
from coopr_core.store import Store
time.sleep(max(0, float(sys.argv[2]) - time.time()))
print(len(Store.open(sys.argv[1]).clusters()))
"""
    moment = str(time.time() + 2)
    processes = [python(code, new_url, moment) for _ in range(6)]
    outputs = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert outputs == ["0"] * 6


def test_a_database_of_a_newer_program_is_refused_and_left_alone(new_url: str) -> None:
    Store.open(new_url).close()
    engine = create_engine(engine_url(new_url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match=f"schema 9999, newer than this program's {SCHEMA_VERSION}") as caught:
        Store.open(new_url)
    assert "pip install --upgrade coopr-prefect" in caught.value.hint
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
    engine.dispose()


def test_a_migration_that_fails_leaves_the_database_as_it_was(new_url: str, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir(exist_ok=True)
    engine = create_engine(engine_url(new_url))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE attempts (somebody_elses INTEGER)"))
    with pytest.raises(StoreUnavailable, match=r"attempts.* already exists"):
        Store.open(new_url)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["attempts"]
    engine.dispose()


def test_opening_an_up_to_date_file_imports_neither_alembic_nor_another_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'coopr.db'}"
    Store.open(url).close()
    code = """
from coopr_core.store import Store
Store.open(sys.argv[1]).clusters()
heavy = ("alembic", "psycopg", "sqlalchemy.dialects.postgresql", "psutil", "prefect")
print([name for name in heavy if name in sys.modules])
"""
    output, _ = python(code, url).communicate(timeout=60)
    assert output.strip() == "[]"
