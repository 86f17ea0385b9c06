"""What stands in a catalog reaches a script on a node as it stands: escapes, numbers, macros of an action's fields."""

from __future__ import annotations

from pathlib import Path

import pytest
from flow_catalog import service, write_catalog

from coopr_core.store import Store

pytestmark = pytest.mark.usefixtures("prefect_server")

CONFIG = {
    "date": "%literal('+%Y-%m-%d')%",
    "pattern": "%literal('%d{ISO8601} %p %c: %m%n')%",
    "url": "http://%host.self%/%literal('?q=a%20b%20c')%",
    "pw": "%literal('s%cr%t')%",
    "pair": "50%% of 100%",
    "version": "3.10",
    "number": 3.1,
    "port": 4222,
}


def test_text_with_percents_numbers_and_macros_in_actions_reach_the_script(tmp_path: Path) -> None:
    from flows import create_cluster, delete_cluster

    seen = {name: f"$COOPR_CONFIG_{name.upper()}" for name in CONFIG}
    lines = "".join(f"printf '%s\\n' \"{name}={variable}\" >> $COOPR_DATA/config\n" for name, variable in seen.items())
    fields = (
        "printf '%s:%d%%\\n' %host.self% %config.port% > $COOPR_DATA/fields; date +%Y-%m-%d >> $COOPR_DATA/fields\n"
    )
    escaped = "echo \"%literal('%host.self% %d')%\" >> $COOPR_DATA/fields\n"
    catalog = write_catalog(tmp_path, {"a": service(start=lines + fields + escaped)}, config=CONFIG)
    created = create_cluster(name="values", template="tiny", size=1, catalog=[catalog])
    try:
        host = created["nodes"][0]["host_name"]
        with Store.open() as store:
            machine = store.node(created["cluster_id"], 1000).machine
        assert machine is not None
        told = Path(machine["root"]) / "var/lib/coopr/a"
        config = dict(line.split("=", 1) for line in (told / "config").read_text().splitlines())
        assert config == {
            "date": "+%Y-%m-%d",
            "pattern": "%d{ISO8601} %p %c: %m%n",
            "url": f"http://{host}/?q=a%20b%20c",
            "pw": "s%cr%t",
            "pair": "50%% of 100%",
            "version": "3.10",
            "number": "3.1",
            "port": "4222",
        }
        first, date, literal = (told / "fields").read_text().splitlines()
        assert (first, literal) == (f"{host}:4222%", "%host.self% %d")
        assert [len(part) for part in date.split("-")] == [4, 2, 2]
    finally:
        delete_cluster(created["cluster_id"])
