"""`coopr catalog validate` finds what a create refuses, at the same places; what it lets pass can be created."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Coopr
from flow_catalog import service, write_catalog
from growth import growth
from installed_package import install_package

from coopr_core import Catalog
from coopr_core.catalog.checks.addresses import flaw_of
from coopr_core.errors import InvalidInput, Problem
from coopr_core.operations.add_services import prepare_add_services
from coopr_core.operations.create import prepare_create
from coopr_core.operations.soundness import unsound
from coopr_core.operations.sync import prepare_sync
from coopr_core.store import Store
from flows.server import ServerInfo

CRLF = "lines end with CRLF"


@pytest.fixture
def coopr(capsys: pytest.CaptureFixture[str]) -> Coopr:
    """The command in this process."""
    return Coopr(capsys)


def running(script: str, text: str, **fields: Any) -> dict[str, Any]:
    """A service with one script, which its START runs."""
    fields = {"script": script, **fields}
    return {"files": {script: text}, "provisioner": {"actions": {"start": {"type": "shell", "fields": fields}}}}


def linked(url: str) -> dict[str, Any]:
    return service(start="true", links=({"label": "page", "url": url},))


def errors_of(folder: Path, coopr: Coopr, **entity: Any) -> list[Problem]:
    """The errors of a catalog with one service ``a``, which validate finds and a create refuses."""
    return errors_in(write_catalog(folder / "c", {"a": entity}), coopr)


def errors_in(catalog: str, coopr: Coopr) -> list[Problem]:
    found = [problem for problem in unsound(Catalog.load(catalog)) if problem.severity == "error"]
    outcome = coopr("catalog", "validate", catalog, "--json")
    assert outcome.code == (3 if found else 0)
    assert outcome.json["errors"] == len(found)
    if found:
        with pytest.raises(InvalidInput) as refused:
            prepare_create({"name": "c", "template": "tiny"}, catalog=[catalog])
        assert set(refused.value.problems) == set(found)
    else:
        prepare_create({"name": "c", "template": "tiny"}, catalog=[catalog])
    return found


@pytest.mark.parametrize(
    ("entity", "path", "message"),
    [
        (running("run.sh", "#!/bin/sh\r\nset -e\r\n"), "files.run.sh", f"the script run.sh: its {CRLF}"),
        (running("run", "echo one\r\necho two\r\n"), "files.run", f"the script run: its {CRLF}"),
        (running("run", "#!/usr/bin/env -S bash -e\r\ntrue\r\n"), "files.run", CRLF),
        (running("./run.sh", "#!/bin/bash\nset -e\r\nif true; then\r\n  echo\r\nfi\r\n"), "", ""),
        (
            service(start="echo one\r\necho two\r\n"),
            "provisioner.actions.start.fields.command",
            f"the command's {CRLF}",
        ),
        (service(start="true\r\n"), "provisioner.actions.start.fields.command", CRLF),
        (
            {**service(start=". lib/x.sh"), "files": {"lib/x.sh": "f() {\r\n:\r\n}\r\n"}},
            "files.lib/x.sh",
            f"the script x.sh: its {CRLF}",
        ),
        (
            {"provisioner": {"actions": {"start": {"fields": {"script": "gone.sh"}}}}},
            "provisioner.actions.start.fields.script",
            "there is no script 'gone.sh'",
        ),
        (
            running("run.sh", "true\n", args=["--password", "%secret.db%"]),
            "provisioner.actions.start.fields.args",
            "arguments are visible in the node's process list",
        ),
        (
            {"provisioner": {"actions": {"start": {"type": "shel", "fields": {"command": "true"}}}}},
            "provisioner.actions.start.type",
            "there is no automator 'shel': did you mean \"shell\"?",
        ),
        (running("run.sh", "true\n", tiemout=3), "provisioner.actions.start.fields.tiemout", "unknown field"),
        (linked("javascript:alert(1)"), "links[0].url", '"javascript:alert(1)" is no address'),
        (linked("javascript://%ip.access_v4.service.a%/%0aalert(1)"), "links[0].url", "is no address"),
        (linked("file:///etc/passwd"), "links[0].url", "is no address"),
        (linked("see the wiki"), "links[0].url", "is no address"),
        (linked("/visits"), "links[0].url", "is no address"),
        (linked("http:///visits"), "links[0].url", "no host follows http://"),
        (linked("http://%host.service.a%:99999/"), "links[0].url", "port out of range 0-65535"),
        (linked("http://%host.service.a%/a b"), "links[0].url", "blanks or control characters"),
    ],
)
def test_what_a_create_refuses_of_a_service_is_found(
    tmp_path: Path, coopr: Coopr, entity: dict[str, Any], path: str, message: str
) -> None:
    if not path:
        files = {name.removeprefix("./"): text for name, text in entity["files"].items()}
        entity, path, message = {**entity, "files": files}, "files.run.sh", CRLF
    (problem,) = errors_of(tmp_path, coopr, **entity)
    assert message in problem.message
    assert (Path(problem.file).name, problem.path) == ("a.json", path)
    assert problem.line == 1


def test_a_script_that_lies_beside_the_services_file_is_itself_the_place(tmp_path: Path, coopr: Coopr) -> None:
    catalog = write_catalog(tmp_path / "c", {"a": {"provisioner": {"actions": {"start": {"fields": {"script": "s"}}}}}})
    folder = tmp_path / "c" / "services" / "a"
    folder.mkdir()
    (folder / "s").write_bytes(b"# \n#\nset -e\r\necho 1\r\necho 2\r\necho 3\r\n")
    (problem,) = errors_in(catalog, coopr)
    assert (problem.file, problem.line, problem.path) == (str(folder / "s"), 3, "")
    (folder / "s").write_bytes(b"# \n#\nset -e\necho 1\necho 2\necho 3\n")
    assert errors_in(catalog, coopr) == []


@pytest.mark.parametrize(
    "entity",
    [
        running("run.sh", "#!/bin/sh\nprintf 'GET / HTTP/1.0\r\n\r\n'\nexit 0\n"),
        {**service(start="true"), "files": {"letter.txt": "dear\r\nall\r\n", "win.cmd": "echo\r\n"}},
        running("run.sh", "#!/bin/sh\ntrue\n", args=["%host.self%", "$(date +%Y-%m-%d)"]),
    ],
)
def test_what_can_be_run_is_not_refused(tmp_path: Path, coopr: Coopr, entity: dict[str, Any]) -> None:
    assert errors_of(tmp_path, coopr, **entity) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "https://%host.service.a%:%config.port%/x?y=%config.port%",
        "ssh://root@%ip.access_v4.service.a%:22",
        "tcp://%ip.access_v4.service.a[0]%:%config.port%",
        "nats://[::1]:4222",
        "http://%join(map(ip.bind_v4.service.a,'$:80'),',')%/",
        "%config.page%/x",
        "%host.service.a%",
        "HTTP://example.org",
    ],
)
def test_addresses_of_pages_and_servers_are_right(url: str) -> None:
    assert flaw_of(url, {"port": 80, "page": "https://example.org"}) is None


def test_a_link_is_judged_by_what_the_config_makes_of_it(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path, {"a": linked("%config.page%")}, config={"page": "http://example.org"})
    prepare_create({"name": "c", "template": "tiny"}, catalog=[catalog])
    with pytest.raises(InvalidInput, match=r"links\[0\].url: .* is no address"):
        prepare_create({"name": "c", "template": "tiny", "config": {"page": "javascript:0"}}, catalog=[catalog])


def test_an_empty_script_is_a_warning(tmp_path: Path, coopr: Coopr) -> None:
    assert errors_of(tmp_path, coopr, **running("run.sh", "\n")) == []
    (warning,) = unsound(Catalog.load(tmp_path / "c"))
    assert (warning.severity, warning.message) == ("warning", "the script run.sh is empty: its action does nothing")


def test_an_address_of_another_kind_is_a_warning(tmp_path: Path, coopr: Coopr) -> None:
    assert errors_of(tmp_path, coopr, **linked("gopher://%host.service.a%/")) == []
    (warning,) = Catalog.load(tmp_path / "c").problems
    assert "is no http(s), ssh or tcp address: not everybody can open gopher://" in str(warning)


def test_a_link_that_templates_inherit_is_found_once_where_it_stands(tmp_path: Path, coopr: Coopr) -> None:
    catalog = write_catalog(tmp_path / "c", {"a": service(start="true")}, parent="base", links=[])
    base = {"name": "base", "defaults": {"services": ["a"], "provider": "local"}, "links": [{"url": "wiki"}]}
    for name, text in (("base", base), *((f"t{n}", {"name": f"t{n}", "parent": "base"}) for n in range(30))):
        (tmp_path / "c" / "clustertemplates" / f"{name}.json").write_text(json.dumps(text, indent=1))
    (problem,) = [p for p in unsound(Catalog.load(catalog)) if p.severity == "error"]
    assert (Path(problem.file).name, problem.line, problem.path) == ("base.json", 11, "links[0].url")
    with pytest.raises(InvalidInput, match=r"base\.json:11: links\[0\]\.url: tiny: "):
        prepare_create({"name": "c", "template": "tiny"}, catalog=[catalog])


@pytest.mark.parametrize("name", ["x" * 256, "ü" * 128])
def test_a_service_whose_folder_no_node_can_have_is_found(tmp_path: Path, coopr: Coopr, name: str) -> None:
    catalog = write_catalog(tmp_path / "c", {"a": service(start="true")})
    text = json.dumps({"name": name, **service(start="true")})
    (tmp_path / "c" / "services" / "a.json").write_text(text)
    tiny = tmp_path / "c" / "clustertemplates" / "tiny.json"
    tiny.write_text(json.dumps({**json.loads(tiny.read_text()), "defaults": {**TINY, "services": [name]}}))
    (problem,) = errors_in(catalog, coopr)
    assert problem.path == "name"
    assert problem.message == "is too long for a folder on the nodes: 256 bytes, and at most 255 are possible"


TINY = {"provider": "local", "hardwaretype": "local-small", "imagetype": "local-python"}


def test_a_file_whose_name_no_node_can_have_is_found(tmp_path: Path, coopr: Coopr) -> None:
    entity = {**service(start="true"), "files": {f"lib/{'x' * 256}": ""}}
    (problem,) = errors_of(tmp_path, coopr, **entity)
    assert "is too long for a file on the nodes" in problem.message


def test_a_template_after_which_no_cluster_can_be_called_is_found(tmp_path: Path, coopr: Coopr) -> None:
    for file, name in (("long", "x" * 64), ("blank", "my template"), ("dash", "-x")):
        entity = {"name": name, "defaults": {**TINY, "services": ["a"]}}
        catalog = write_catalog(tmp_path / "c", {"a": service(start="true")})
        (tmp_path / "c" / "clustertemplates" / f"{file}.json").write_text(json.dumps(entity))
    outcome = coopr("catalog", "validate", catalog, "--json")
    assert outcome.code == 3
    found = {Path(problem["file"]).stem: problem for problem in outcome.json["problems"]}
    assert {name: problem["severity"] for name, problem in found.items()} == {
        "long": "error",
        "blank": "warning",
        "dash": "warning",
    }
    assert all("no cluster can be called after the template" in problem["message"] for problem in found.values())


def test_settings_of_a_provider_that_its_plug_in_does_not_know_are_found(tmp_path: Path, coopr: Coopr) -> None:
    defaults = {**TINY, "services": ["a"], "provider": "mine"}
    catalog = write_catalog(tmp_path / "c", {"a": service(start="true")}, defaults=defaults)
    (tmp_path / "c" / "providers").mkdir()
    file = tmp_path / "c" / "providers" / "mine.yaml"
    for kind, offer in (("hardware", "flavor: m"), ("image", "image: python")):
        (tmp_path / "c" / f"{kind}types").mkdir()
        text = f"name: local-{'small' if kind == 'hardware' else 'python'}\nprovidermap: {{mine: {{{offer}}}}}\n"
        (tmp_path / "c" / f"{kind}types" / "one.yaml").write_text(text)
    file.write_text("name: mine\nprovidertype: local\nprovisioner:\n  usr: me\n  port: 0\n")
    problems = errors_in(catalog, coopr)
    assert [(Path(p.file).name, p.line, p.path) for p in problems] == [
        ("mine.yaml", 5, "provisioner.port"),
        ("mine.yaml", 4, "provisioner.usr"),
    ]
    assert 'did you mean "user"?' in problems[1].message


def test_what_a_create_without_options_would_refuse_of_the_config_is_a_warning(tmp_path: Path, coopr: Coopr) -> None:
    catalog = write_catalog(tmp_path, {"a": service(start="true")}, config={"x": "%config.gone%", "y": "%ip.v6.self%"})
    with pytest.raises(InvalidInput) as refused:
        prepare_create({"name": "c", "template": "tiny"}, catalog=[catalog])
    outcome = coopr("catalog", "validate", catalog, "--json")
    assert outcome.code == 0
    found = {problem["path"] for problem in outcome.json["problems"]}
    assert found == {f"defaults.{problem.path}" for problem in refused.value.problems}


def test_checking_costs_in_proportion_to_the_catalog(tmp_path: Path) -> None:
    def checking(many: int) -> Callable[[], object]:
        services = {f"s{n:03}": running("run.sh", "#!/bin/sh\n" + "true\n" * 20) for n in range(many)}
        catalog = Catalog.load(write_catalog(tmp_path / str(many), services))
        return lambda: unsound(catalog)

    assert growth(checking, 40, 320) < 40, "64 times when every service costs as much as there are"


def test_python_with_dos_line_ends_is_warned_of_and_runs(
    tmp_path: Path, coopr: Coopr, prefect_server: ServerInfo, store: Store
) -> None:
    from flows import create_cluster, delete_cluster

    catalog = write_catalog(tmp_path / "c", {"a": running("run.py", "#!/usr/bin/env python3\r\nprint('hi')\r\n")})
    assert errors_in(catalog, coopr) == []
    (warning,) = unsound(Catalog.load(catalog))
    assert warning.severity == "warning"
    assert f"the script run.py: its {CRLF}" in warning.message
    cluster = create_cluster(name="dos", template="tiny", size=1, catalog=[catalog])
    try:
        assert cluster["state"] == "ACTIVE"
        write_catalog(tmp_path / "c", {"a": running("gone.sh", "true\r\n"), "b": linked("wiki")})
        with pytest.raises(InvalidInput, match=CRLF):
            prepare_sync(store, cluster["cluster_id"])
        with pytest.raises(InvalidInput, match="is no address"):
            prepare_add_services(store, cluster["cluster_id"], ["b"])
    finally:
        delete_cluster(cluster["cluster_id"])


def test_plug_ins_that_are_not_installed_are_a_warning_each(tmp_path: Path, coopr: Coopr) -> None:
    chef = {"provisioner": {"actions": {"start": {"type": "chef-solo", "fields": {}}}}}
    catalog = write_catalog(tmp_path, {f"s{n:02}": chef for n in range(20)})
    outcome = coopr("catalog", "validate", catalog, "--json")
    assert outcome.code == 0
    (problem,) = outcome.json["problems"]
    assert problem["path"] == "services s00, s01, s02, s03 and 16 more"
    assert problem["message"] == "needs the automator 'chef-solo'; installed are: shell"
    with pytest.raises(InvalidInput, match="chef-solo"):
        prepare_create({"name": "c", "template": "tiny"}, catalog=[catalog])


def test_a_plug_in_that_cannot_be_loaded_is_a_problem_of_who_needs_it(
    tmp_path: Path, coopr: Coopr, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_package(tmp_path, "broken", {"coopr.automators": {"broken": "no_such_module:Broken"}}, monkeypatch)
    entity = {"provisioner": {"actions": {"start": {"type": "broken", "fields": {}}}}}
    (problem,) = errors_of(tmp_path, coopr, **entity)
    assert (problem.path, problem.line) == ("provisioner.actions.start.type", 1)
    assert problem.message.startswith("automator 'broken' cannot be loaded from no_such_module:Broken")
