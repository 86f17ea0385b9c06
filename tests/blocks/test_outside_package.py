"""A package from outside brings a provider and an automator with settings, secrets, options and blocks like ours.

It is installed with pip, made a cluster with through the flow and through the command, and its secrets are looked for
wherever they must not be.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from acme import install_acme
from command_line import Coopr, Outcome, start
from flow_catalog import write_catalog
from prefect_server import api
from watching import files_with, paths_below

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.remote.keys import ensure_client_key
from coopr_core.settings import load_settings
from coopr_core.store import Store
from flows.server import ServerInfo

TOKEN = "tok-5e1c0ffee"
KEY = "key-77aa55bb"
SLUG = "coopr-acme-cloud-provider-settings"


@pytest.fixture(scope="module")
def acme(prefect_server: ServerInfo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package, installed for this process and those it starts; the file with what its provider was told."""
    site = tmp_path_factory.mktemp("site")
    install_acme(site)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]))
        patch.setenv("ACME_NOTES", str(site / "notes.jsonl"))
        yield site / "notes.jsonl"
    for name in [name for name in sys.modules if name.partition(".")[0] == "coopr_acme"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def blocks(acme: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Acme's settings and key as saved blocks, and a key that opens nodes."""
    import blocks

    settings = blocks.AcmeCloudProviderSettings(token=TOKEN)
    settings.save("account", overwrite=True)
    brought().AcmeTool(key=KEY).save("tool", overwrite=True)
    key = tmp_path_factory.mktemp("key")
    for name in ("opens-nodes", "another"):
        ensure_client_key(key / name)
        blocks.SshKey(private_key=(key / name).read_text()).save(name, overwrite=True)
    return settings


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A template whose nodes are Acme's and whose service runs with its automator."""
    folder = tmp_path_factory.mktemp("catalog")
    start = {"type": "acme", "fields": {"words": "echo started"}}
    defaults = {
        "services": ["tool"],
        "provider": "acme",
        "hardwaretype": "acme-small",
        "imagetype": "acme-image",
        "config": {},
    }
    write_catalog(folder, {"tool": {"provisioner": {"actions": {"start": start}}}}, defaults=defaults)
    entities = {
        "providers/acme.json": {
            "name": "acme",
            "providertype": "acme-cloud",
            "provisioner": {"region": "moon"},
            "credentials": "account",
        },
        "hardwaretypes/acme-small.json": {
            "name": "acme-small",
            "providermap": {"acme": {"flavor": "small", "color": "red"}},
        },
        "imagetypes/acme-image.json": {"name": "acme-image", "providermap": {"acme": {"image": "python"}}},
    }
    for path, entity in entities.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(json.dumps(entity))
    return str(folder)


@pytest.fixture
def coopr(capsys: pytest.CaptureFixture[str]) -> Coopr:
    return Coopr(capsys)


def brought() -> Any:
    """The module with the blocks that the package brings, which is there only once it is installed."""
    return import_module("coopr_acme.blocks")


def alone(*words: str) -> Outcome:
    """How a command ends in a process of its own."""
    process = start(*words)
    out, err = process.communicate(timeout=120)
    return Outcome(process.returncode, out, err)


def told(notes: Path) -> list[dict[str, Any]]:
    """What the provider was told of each machine."""
    return [json.loads(line) for line in notes.read_text().splitlines()]


def test_a_plug_in_has_a_block_made_from_its_settings_or_brings_its_own(acme: Path) -> None:
    import blocks
    from blocks.registry import block_types, credentials_type

    kinds = block_types()
    made = kinds[SLUG]
    assert made is blocks.AcmeCloudProviderSettings
    assert set(made.model_fields) == {"region", "token", "rack"}
    assert made.model_json_schema()["secret_fields"] == ["token"]
    assert (kinds["acme-tool"], credentials_type("acme-lab")) == (brought().AcmeTool, brought().AcmeAccount)
    assert "coopr-acme-lab-provider-settings" not in kinds
    assert "AcmeCloudProviderSettings" in dir(blocks)
    given = made(region="", token=TOKEN, rack=3)
    assert given.settings() == {"token": TOKEN, "rack": 3}
    assert TOKEN not in repr(given)
    with pytest.raises(ValueError, match="rack") as caught:
        made(token=TOKEN, rack=0)
    assert TOKEN not in str(caught.value)


def test_a_block_that_cannot_be_loaded_is_told_once(acme: Path, caplog: pytest.LogCaptureFixture) -> None:
    from blocks.registry import block_types

    caplog.clear()
    kinds = block_types()
    assert {SLUG, "acme-tool", "coopr-ssh-key", "coopr-local-provider-settings"} <= kinds.keys()
    lines = [record.getMessage() for record in caplog.records if record.name == "blocks.registry"]
    assert [line for line in lines if line.startswith("the block broken cannot be loaded from coopr_acme.")] == lines
    assert len(lines) == 1


def test_its_blocks_are_saved_hidden_and_the_vault_gives_what_is_in_them(
    prefect_server: ServerInfo, acme: Path, blocks: Any
) -> None:
    from flows.vault import VAULT

    brought().AcmeAccount(token=TOKEN).save("lab", overwrite=True)
    for slug, name in ((SLUG, "account"), ("acme-account", "lab")):
        document = api(prefect_server, f"/block_types/slug/{slug}/block_documents/name/{name}")
        assert TOKEN not in json.dumps(document)
    assert VAULT.settings(f"{SLUG}/account") == {"token": TOKEN}
    assert VAULT.settings("acme-account/lab") == {"region": "lab", "token": TOKEN}
    assert VAULT.credentials("account", "acme-cloud") == f"{SLUG}/account"
    assert VAULT.credentials("lab", "acme-lab") == "acme-account/lab"
    with pytest.raises(NotFound, match="no block acount") as caught:
        VAULT.credentials("acount", "acme-cloud")
    assert "account" in caught.value.hint
    with pytest.raises(InvalidInput, match="does not hold the settings of a provider of type acme-cloud"):
        VAULT.credentials("acme-account/lab", "acme-cloud")
    with pytest.raises(NotFound, match="no block type 'acme-acount'") as caught:
        VAULT.settings("acme-acount/lab")
    assert "acme-account" in caught.value.hint


@pytest.mark.real
def test_a_cluster_is_made_with_its_plug_ins_and_their_secrets_are_nowhere(
    prefect_server: ServerInfo, acme: Path, blocks: Any, catalog: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import create_cluster, delete_cluster

    monkeypatch.setenv("COOPR_AUTOMATORS", json.dumps({"acme": {"credentials": "acme-tool/tool"}}))
    made = create_cluster(name="rocket", template="tiny", size=1, catalog=[catalog], credentials=blocks)
    (note,) = told(acme)
    assert note == {
        "node": 1000,
        "region": "moon",
        "color": "red",
        "token": hashlib.sha256(TOKEN.encode()).hexdigest(),
    }
    with Store.open() as store:
        cluster = store.cluster("rocket")
        assert cluster.credentials == f"{SLUG}/account"
        first = store.attempts(f"{made['job']}-001")[0]
        assert "token *** is not known yet" in first.message
        (start,) = [task for task in store.tasks(made["job"]) if task.action == "START"]
        assert "the key is ***" in Path(start.log).read_text()
        run_id = store.job(made["job"]).flow_run_id
    assert TOKEN not in json.dumps([made, api(prefect_server, f"/flow_runs/{run_id}")])
    logs = api(prefect_server, "/logs/filter", {"logs": {"flow_run_id": {"any_": [run_id]}}, "limit": 200})
    assert any("token *** is not known yet" in line["message"] for line in logs)
    assert not any("Finished in state" in line["message"] for line in logs), "our own lines tell how it ended"
    ours = [path for path in paths_below(load_settings().state_dir) if "local" not in path.parts]
    assert files_with(ours, TOKEN.encode(), KEY.encode()) == []
    assert delete_cluster("rocket")["state"] == "TERMINATED"


@pytest.mark.real
def test_the_command_names_blocks_and_the_catalog_does_too(
    acme: Path, blocks: Any, catalog: str, coopr: Coopr, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme.touch()
    base = ("create", "pad", "--template", "tiny", "--nodes", "1", "--catalog", catalog, "-y")
    unknown = coopr(*base, "--credentials", "acount")
    assert (unknown.code, "account" in unknown.err) == (8, True)
    other = coopr(*base, "--credentials", "coopr-ssh-key/opens-nodes")
    assert (other.code, "does not hold the settings of a provider of type acme-cloud" in other.err) == (3, True)
    nonsense = coopr(*base, "--credentials", "No Block")
    assert (nonsense.code, "--credentials" in nonsense.err) == (3, True)
    no_key = coopr(*base, "--ssh-key", "opens-node")
    assert (no_key.code, "opens-nodes" in no_key.err) == (8, True)
    made = coopr(*base, "--ssh-key", "opens-nodes")  # and the catalog's provider names its block
    assert made.code == 0, made.err
    try:
        shown = coopr("show", "pad", "-o", "json").json["request"]
        assert (shown["credentials"], shown["ssh_key"]) == (f"{SLUG}/account", "coopr-ssh-key/opens-nodes")
        assert coopr("exec", "pad", "--", "true").code == 0
        whole = coopr("plan", "other", "-t", "tiny", "--catalog", catalog, "--credentials", f"{SLUG}/account", "--json")
        assert whole.json["request"]["credentials"] == f"{SLUG}/account"
        misspelt = coopr("rebuild", "pad", "--credentials", "acount", "-y")
        assert (misspelt.code, "account" in misspelt.err) == (8, True)
        again = coopr("rebuild", "pad", "--ssh-key", "another", "-y")
        assert again.code == 0, again.err
        rebuilt = coopr("show", "pad", "-o", "json").json["request"]
        assert (rebuilt["credentials"], rebuilt["ssh_key"]) == (f"{SLUG}/account", "coopr-ssh-key/another")
        assert coopr("exec", "pad", "--", "true").code == 0
    finally:
        deleted = alone("delete", "pad", "-y")  # in a process of its own, which finds the package and its block too
        assert deleted.code == 0, deleted.err


@pytest.mark.real
def test_publishing_registers_its_blocks_and_the_form_offers_them(prefect_server: ServerInfo, acme: Path) -> None:
    published = alone("deploy", "-o", "json")
    assert published.code == 0, published.err
    for slug in (SLUG, "acme-tool", "acme-account"):
        assert api(prefect_server, f"/block_types/slug/{slug}")["slug"] == slug
    create = next(each for each in json.loads(published.out) if each["name"].startswith("create-cluster/"))
    schema = api(prefect_server, f"/deployments/{create['id']}")["parameter_openapi_schema"]
    slugs = {part.get("block_type_slug") for part in schema["definitions"].values()}
    assert {SLUG, "acme-account", "coopr-local-provider-settings", "coopr-ssh-key"} <= slugs


def test_a_catalogs_provider_names_its_block_properly_or_not_at_all(catalog: str, tmp_path: Path, coopr: Coopr) -> None:
    (tmp_path / "providers").mkdir()
    entity = {"name": "p", "providertype": "local", "credentials": "Not A Block"}
    (tmp_path / "providers" / "p.json").write_text(json.dumps(entity))
    wrong = coopr("catalog", "validate", str(tmp_path))
    assert wrong.code == 3
    assert "credentials" in wrong.err + wrong.out
