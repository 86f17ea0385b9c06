"""What hardware and image types say about a node reaches its provider, and what that does not know is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flow_catalog import service, write_catalog
from provider_plugin import asked, install_cloud

from coopr_core import Catalog
from coopr_core.errors import InvalidInput, Problem
from coopr_core.operations.create import prepare_create
from coopr_core.operations.replace import prepare_replace
from coopr_core.operations.scale import prepare_scale
from coopr_core.operations.soundness import unsound
from coopr_core.providers import node_options_type
from coopr_core.providers.settings import NodeOptions
from coopr_core.store import Store
from flows.server import ServerInfo

HARDWARE = {"flavor": "m", "cost": "0.1", "ebs_volume_gb": 40, "spot": True}
IMAGE = {"image": "python", "root_device": "xvda"}
OPTIONS = {"ebs_volume_gb": 40, "spot": True, "root_device": "xvda"}


def catalog_of(
    folder: Path, hardware: dict[str, Any] = HARDWARE, image: dict[str, Any] = IMAGE, kind: str = "test-cloud"
) -> str:
    """A catalog of one service, whose provider ``cloud`` is of the type ``kind``."""

    def lines(fields: dict[str, Any]) -> str:
        return "".join(f"    {key}: {str(value).lower()}\n" for key, value in fields.items())

    files = {
        "providers/cloud.yaml": f"name: cloud\nprovidertype: {kind}\n",
        "hardwaretypes/h.yaml": f"name: h\nprovidermap:\n  cloud:\n{lines(hardware)}",
        "imagetypes/i.yaml": f"name: i\nprovidermap:\n  cloud:\n{lines(image)}",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    defaults = {"services": ["a"], "provider": "cloud", "hardwaretype": "h", "imagetype": "i", "config": {}}
    return write_catalog(folder, {"a": service(start="true")}, defaults=defaults)


def refused(catalog: str) -> list[Problem]:
    with pytest.raises(InvalidInput) as error:
        prepare_create({"name": "c", "template": "tiny"}, catalog=[catalog])
    assert list(error.value.problems) == unsound(Catalog.load(catalog)), "validate finds what create refuses"
    return list(error.value.problems)


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with what the machines of the plug-in ``test-cloud`` were asked for."""
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    return install_cloud(plugin, monkeypatch)


def test_the_options_of_both_types_are_those_of_the_node(tmp_path: Path, cloud: Path) -> None:
    prepared = prepare_create({"name": "c", "template": "tiny", "size": 2}, catalog=[catalog_of(tmp_path / "c")])
    assert [node.options for node in prepared.layout.nodes] == [OPTIONS, OPTIONS]
    assert prepared.to_json()["nodes"][0]["options"] == OPTIONS
    assert unsound(Catalog.load(tmp_path / "c")) == []


def test_options_of_a_plug_in_that_is_not_installed_are_kept_as_they_are(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, {"flavor": "m", "who_knows": "x"}, kind="never-installed")
    (problem,) = unsound(Catalog.load(catalog))
    assert (problem.severity, problem.path) == ("warning", "providertype")
    prepared = prepare_create({"name": "c", "template": "tiny"}, catalog=[catalog], strict=False)
    assert prepared.layout.nodes[0].options == {"who_knows": "x", "root_device": "xvda"}


@pytest.mark.parametrize(
    ("hardware", "image", "place", "message"),
    [
        (
            {"flavor": "m", "ebs_volme_gb": 3},
            IMAGE,
            ("h.yaml", 5, "providermap.cloud.ebs_volme_gb"),
            'provider plug-in test-cloud: unknown option of nodes; did you mean "ebs_volume_gb"?',
        ),
        (
            {"flavor": "m", "ebs_volume_gb": "much"},
            IMAGE,
            ("h.yaml", 5, "providermap.cloud.ebs_volume_gb"),
            "provider plug-in test-cloud: Input should be a valid integer, unable to parse string as an integer",
        ),
        (
            HARDWARE,
            {"image": "python", "ssh_user": "me"},
            ("i.yaml", 5, "providermap.cloud.ssh_user"),
            'unknown field: did you mean "sshuser"?',
        ),
    ],
)
def test_what_the_provider_does_not_know_is_refused_with_file_and_line(
    tmp_path: Path,
    cloud: Path,
    hardware: dict[str, Any],
    image: dict[str, Any],
    place: tuple[str, int, str],
    message: str,
) -> None:
    (problem,) = refused(catalog_of(tmp_path / "c", hardware, image))
    assert (Path(problem.file).name, problem.line, problem.path) == place
    assert problem.message == message
    assert problem.severity == "error"


def test_the_local_provider_knows_no_options(tmp_path: Path) -> None:
    assert node_options_type("local").fields() == NodeOptions.fields() == ()
    (problem,) = refused(catalog_of(tmp_path, {"flavor": "m", "spot": True}, {"image": "python"}, kind="local"))
    assert problem.message == "provider plug-in local: unknown option of nodes; there are none"


def test_two_types_that_say_one_thing_differently_are_both_named(tmp_path: Path, cloud: Path) -> None:
    same = catalog_of(tmp_path / "same", {**HARDWARE, "root_device": "xvda"})
    assert prepare_create({"name": "c", "template": "tiny"}, catalog=[same]).layout.nodes[0].options == OPTIONS
    other = catalog_of(tmp_path / "other", {**HARDWARE, "root_device": "sda"})
    with pytest.raises(
        InvalidInput, match='hardware type h and image type i both say "root_device" for provider cloud'
    ):
        prepare_create({"name": "c", "template": "tiny"}, catalog=[other])


def test_the_machines_are_asked_for_with_the_options_of_their_time(
    tmp_path: Path, cloud: Path, prefect_server: ServerInfo, store: Store
) -> None:
    from flows import create_cluster, delete_cluster, replace_nodes

    catalog = catalog_of(tmp_path / "c")
    cluster = create_cluster(name="options", template="tiny", size=2, catalog=[catalog])["cluster_id"]
    try:
        assert asked(cloud) == [(1000, OPTIONS), (1001, OPTIONS)]
        assert [node.options for node in store.nodes(cluster)] == [OPTIONS, OPTIONS]
        assert [node.options for node in store.layout(cluster).nodes] == [OPTIONS, OPTIONS]
        catalog_of(tmp_path / "c", {"flavor": "m", "spot": False})
        today = {"spot": False, "root_device": "xvda"}
        replace_nodes(cluster, nodes=["1001"])
        assert asked(cloud)[-1] == (1001, today)
        assert [node.options for node in store.nodes(cluster)] == [OPTIONS, today]
        catalog_of(tmp_path / "c", {"flavor": "m", "sport": False})
        with pytest.raises(InvalidInput, match='did you mean "spot"'):
            prepare_scale(store, cluster, size=3)
        with pytest.raises(InvalidInput, match='did you mean "spot"'):
            prepare_replace(store, cluster, ["1000"])
    finally:
        delete_cluster(cluster)


def test_a_node_whose_types_are_gone_keeps_its_options(tmp_path: Path, cloud: Path) -> None:
    from coopr_core.solver.assembly import offered
    from coopr_core.solver.choice import choose

    prepared = prepare_create({"name": "c", "template": "tiny"}, catalog=[catalog_of(tmp_path / "c")])
    choice = choose(Catalog.load(tmp_path / "c"), prepared.request)
    (node,) = prepared.layout.nodes
    assert offered(replace(choice, hardware={}, images={}), node).options == OPTIONS
