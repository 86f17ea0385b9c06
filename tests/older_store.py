"""Stores as older versions of the program left them: a schema of then, with rows as those versions wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection
from store_samples import TEMPLATE, engine_url, layout

from coopr_core.store.migration import MIGRATIONS

TIME = "2026-01-02 03:04:05.000000"


def make_older_store(url: str, revision: str, clusters: dict[str, list[dict[str, Any]]], **columns: Any) -> None:
    """Write a database of that revision with an ACTIVE cluster per name; its jobs have these parameters.

    ``columns`` are values of the clusters' rows that differ from what is written otherwise.
    """
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(engine_url(url))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for number, (name, jobs) in enumerate(clusters.items(), 1):
            _cluster(connection, number, name, len(jobs), columns)
            for job, parameters in enumerate(jobs, 1):
                _job(connection, number, job, parameters)
    engine.dispose()


def _cluster(connection: Connection, number: int, name: str, jobs: int, columns: dict[str, Any]) -> None:
    made = layout()
    row = {
        "id": number,
        "name": name,
        "tenant": "default",
        "owner": "ada",
        "state": "ACTIVE",
        "template_name": "site",
        "provider": "local",
        "provider_settings": "",
        "size": len(made.nodes),
        "protected": False,
        "created": TIME,
        "updated": TIME,
        "last_job": jobs,
        "request": {"name": name, "template": "site", "size": len(made.nodes)},
        "template": TEMPLATE.model_dump(mode="json", exclude_defaults=True),
        "config": dict(made.config),
        "services": {n: s.model_dump(mode="json", exclude_defaults=True) for n, s in made.services.items()},
        "links": [link.model_dump(mode="json") for link in made.links],
        **columns,
    }
    _insert(connection, "clusters", row)
    for node in made.nodes:
        of_node = {
            "cluster": number,
            "number": node.number,
            "state": "CONFIRMED",
            "host_name": f"{name}-{node.number}.example.org",
            **{part: getattr(node, part) for part in ("hardware_type", "image_type", "flavor", "image", "ssh_user")},
            "zone": node.zone,
            "price": node.price,
            "services": list(node.services),
            "token": f"{number:08d}-{node.number}-0123456789ab",
            "machine": {"token": "t", "provider_id": "p", "cluster_id": f"{number:08d}", "node": node.number},
            "properties": {},
        }
        _insert(connection, "nodes", of_node)


def _job(connection: Connection, cluster: int, number: int, parameters: dict[str, Any]) -> None:
    row = {
        "cluster": cluster,
        "number": number,
        "operation": "CLUSTER_CREATE" if number == 1 else "SYNC_TEMPLATE",
        "state": "SUCCEEDED",
        "created": TIME,
        "started": TIME,
        "ended": TIME,
        "claimed_by": "",
        "flow_run": "",
        "message": "",
        "stages": 1,
        "parameters": parameters,
    }
    _insert(connection, "jobs", row)


def _insert(connection: Connection, table: str, row: dict[str, Any]) -> None:
    values = {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in row.items()}
    names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)
