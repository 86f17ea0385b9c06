"""Catalogs are loaded from folders of YAML and JSON; what cannot be used is reported at once, with file and line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coopr_core import Catalog
from coopr_core.catalog.entities import ClusterTemplate, Service
from coopr_core.errors import InvalidInput, NotFound


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def errors_in(*paths: Path) -> list[str]:
    with pytest.raises(InvalidInput) as error:
        Catalog.load(paths, builtin=False)
    root = os.path.commonpath([*paths, paths[0].parent])
    return [str(problem).replace(f"{root}/", "") for problem in error.value.problems]


def test_yaml_and_json_lie_side_by_side_under_the_originals_folder_names_or_ours(tmp_path: Path) -> None:
    write(
        tmp_path,
        **{
            "services/a.yaml": "name: a\n",
            "services/b.yml": "name: b\n",
            "services/c.json": '{"name": "c"}',
            "services/README.md": "not an entity",
            "services/.hidden.yaml": "{",
            "clustertemplates/t.json": '{"name": "t"}',
            "templates/u.yaml": "name: u\nparent: t\nincludes: [p]\n",
            "partialtemplates/p.yaml": "name: p\n",
            "hardwaretypes/h.yaml": "name: h\nproviderm" + "ap: {p: {flavor: 7, cost: 0.5}}\n",
            "imagetypes/i.yaml": "name: i\n",
            "providers/p.yaml": "name: p\nprovidertype: local\n",
        },
    )
    catalog = Catalog.load([str(tmp_path)], builtin=False)
    assert sorted(catalog.services) == ["a", "b", "c"]
    assert sorted(catalog.templates) == ["t", "u"]
    assert catalog.hardware_type("h").providermap["p"].flavor == "7"
    assert catalog.hardware_type("h").providermap["p"].cost == "0.5"
    assert catalog.image_type("i").name == "i"
    assert catalog.provider("p").providertype == "local"
    assert catalog.source(catalog.service("b")) == tmp_path / "services" / "b.yml"
    assert catalog.source(catalog.template("u")) == tmp_path / "templates" / "u.yaml"
    assert catalog.source(Service(name="new")) is None


def test_a_later_path_replaces_what_an_earlier_one_has_under_the_same_name(tmp_path: Path) -> None:
    one = write(tmp_path / "1", **{"services/a.yaml": "name: a\ndescription: old", "services/b.yaml": "name: b"})
    two = write(tmp_path / "2", **{"services/other.json": '{"name": "a", "description": "new"}'})
    catalog = Catalog.load([one, two], builtin=False)
    assert catalog.service("a").description == "new"
    assert catalog.source(catalog.service("a")) == two / "services" / "other.json"
    assert sorted(catalog.services) == ["a", "b"]


def test_the_builtin_catalog_is_there_unless_it_is_not_wanted(tmp_path: Path) -> None:
    mine = write(tmp_path, **{"services/a.yaml": "name: a"})
    assert {"nats", "webapp", "spark"} <= Catalog.load().templates.keys()
    assert {"nats", "webapp", "spark"} <= Catalog.load(mine).templates.keys()
    assert Catalog.load(mine, builtin=False).templates == {}


def test_nothing_looks_wrong_in_the_builtin_catalog() -> None:
    assert [str(problem) for problem in Catalog.load().problems] == []


def test_the_scripts_beside_a_services_file_are_its_files(tmp_path: Path) -> None:
    write(
        tmp_path,
        **{
            "services/nats.yaml": "name: nats-server\nfiles: {inline.txt: here}",
            "services/nats/start.sh": "#!/bin/sh\necho ü\n",
            "services/nats/lib/x.sh": "x",
            "services/nats/lib/__pycache__/x.pyc": "x",
            "services/nats/.swp": "x",
            "services/nats/start.sh~": "x",
        },
    )
    files = Catalog.load(tmp_path, builtin=False).service("nats-server").files
    assert files == {"inline.txt": "here", "start.sh": "#!/bin/sh\necho ü\n", "lib/x.sh": "x"}


def test_scripts_that_cannot_be_sent_are_errors(tmp_path: Path) -> None:
    root = write(tmp_path / "catalog", **{"services/a.yaml": "name: a", "services/a/ok.sh": "x"})
    folder = root / "services" / "a"
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0")
    (tmp_path / "secret").write_text("key")
    (folder / "escape").symlink_to(tmp_path / "secret")
    (folder / "broken").symlink_to("nothing")
    (folder / "loop").symlink_to(".")
    (folder / "fine").symlink_to("ok.sh")
    assert errors_in(root) == [
        "catalog/services/a/broken: a link to nothing",
        "catalog/services/a/escape: is a link that leads out of the catalog",
        "catalog/services/a/loop: is a link to a folder: scripts are files",
        "catalog/services/a/picture.png:1: is not UTF-8 text: byte 0x89",
    ]


def test_every_problem_of_every_file_is_reported_at_once_with_file_and_line(tmp_path: Path) -> None:
    root = write(
        tmp_path / "c",
        **{
            "services/broken.json": '{\n  "name": "x",\n}',
            "services/broken.yaml": "name: x\n  y: z",
            "services/empty.yaml": "",
            "services/list.yaml": "- name: x",
            "services/typo.yaml": "name: typo\ndependencies:\n  provides: typo\n  instal: {requires: true}\n",
            "services/yes.yaml": "name: 8\ndependencies:\n  install:\n    requires: true\n    uses: [1]",
            "clustertemplates/t.json": (
                '{"name": "t",\n "constraints": {"services": {"a": {\n  "qantities": {"min": 1},\n'
                '  "quantities": {"min": true, "max": -1}}},\n  "size": {"min": 0}},\n'
                ' "administration": {"leaseduration": {"initial": "1w"}},\n'
                ' "defaults": {"dnsSuffix": "a_b",\n  "services": ["a", {"nme": "b"}]}}'
            ),
            "templates/u.yaml": "name: u\nparent: v",
        },
    )
    assert errors_in(root) == [
        'c/clustertemplates/t.json:3: constraints.services.a.qantities: unknown key "qantities": '
        'did you mean "quantities"?',
        "c/clustertemplates/t.json:4: constraints.services.a.quantities.max: must be at least 0, not -1",
        "c/clustertemplates/t.json:4: constraints.services.a.quantities.min: must be a whole number, not true",
        "c/clustertemplates/t.json:5: constraints.size.min: must be at least 1, not 0",
        'c/clustertemplates/t.json:6: administration.leaseduration.initial: "1w" is no duration: write days, hours, '
        'minutes and seconds, like "7d", "2h" or "1d12h30m", or milliseconds; 0 is unlimited',
        'c/clustertemplates/t.json:7: defaults.dnsSuffix: "a_b" is no DNS suffix: its labels take 1 to 63 letters, '
        'digits or "-", "a_b" in it is none',
        "c/clustertemplates/t.json:8: defaults.services[1]: must be text, not a map",
        "c/services/broken.json:3: is no JSON: expecting property name enclosed in double quotes, column 1",
        "c/services/broken.yaml:2: is no YAML: mapping values are not allowed in this context, column 4",
        "c/services/empty.yaml: is empty",
        "c/services/list.yaml:1: must be a map, not a list",
        'c/services/typo.yaml:3: dependencies.provides: must be a list, not the text "typo": write [typo]',
        'c/services/typo.yaml:4: dependencies.instal: unknown key "instal": did you mean "install"?',
        'c/services/yes.yaml:1: name: must be text, not the number 8; put it in quotes if text is meant: "8"',
        "c/services/yes.yaml:4: dependencies.install.requires: must be a list, not true",
        "c/services/yes.yaml:5: dependencies.install.uses[0]: must be text, not the number 1; put it in quotes if text "
        'is meant: "1"',
        'c/templates/u.yaml:2: parent: no template "v"',
    ]


def test_a_key_left_empty_is_as_good_as_missing(tmp_path: Path) -> None:
    write(tmp_path, **{"templates/t.yaml": "name: t\nlinks:\ndefaults:\n  services:\nconstraints: {size: {max: null}}"})
    assert Catalog.load(tmp_path, builtin=False).template("t") == ClusterTemplate(name="t")


def test_two_files_of_one_catalog_must_not_define_the_same_name(tmp_path: Path) -> None:
    root = write(tmp_path / "c", **{"services/a.yaml": "name: a", "services/b.yaml": "\nname: a"})
    (error,) = errors_in(root)
    assert error.startswith('c/services/b.yaml:2: name: service "a" is also defined in ')
    assert error.endswith("services/a.yaml")


@pytest.mark.parametrize("path", ["gone", "link", "empty", "entity.yaml"])
def test_a_path_that_is_no_catalog_is_an_error(tmp_path: Path, path: str) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "entity.yaml").write_text("name: a")
    (error,) = errors_in(tmp_path / path)
    assert {
        "gone": "no such file or folder",
        "link": "a link to nothing",
        "empty": "it has none of the folders clustertemplates, templates",
        "entity.yaml": "give a directory, or a YAML or JSON file that lies in one of",
    }[path] in error


def test_one_folder_of_a_catalog_or_one_file_in_it_can_be_loaded_alone(tmp_path: Path) -> None:
    write(tmp_path, **{"services/a.yaml": "name: a", "services/a/x.sh": "x", "services/b.yaml": "name: b"})
    assert sorted(Catalog.load(tmp_path / "services", builtin=False).services) == ["a", "b"]
    alone = Catalog.load(tmp_path / "services" / "a.yaml", builtin=False)
    assert sorted(alone.services) == ["a"]
    assert alone.service("a").files == {"x.sh": "x"}


def test_folders_that_are_perhaps_misnamed_are_warned_of(tmp_path: Path) -> None:
    write(
        tmp_path,
        **{"service/a.yaml": "name: a", "providers/x/y": "", "services/nats.yaml": "name: nats", "services/natz/x": ""},
    )
    problems = [str(problem).replace(f"{tmp_path}/", "") for problem in Catalog.load(tmp_path, builtin=False).problems]
    assert problems == [
        "providers/x: is not read: a provider is one file",
        'service: is no folder of a catalog: did you mean "services"?',
        'services/natz: belongs to no service\'s file: did you mean "nats"?',
    ]


def test_a_link_to_an_entitys_file_is_followed(tmp_path: Path) -> None:
    root = write(tmp_path / "c", **{"services/x.yaml": "name: x"})
    (tmp_path / "real.yaml").write_text("name: a")
    (root / "services" / "a.yaml").symlink_to(tmp_path / "real.yaml")
    (root / "services" / "b.yaml").symlink_to("gone")
    assert errors_in(root) == ["c/services/b.yaml: a link to nothing"]
    (root / "services" / "b.yaml").unlink()
    assert sorted(Catalog.load(root, builtin=False).services) == ["a", "x"]


def test_an_unknown_name_is_not_found_and_the_hint_has_the_near_ones(tmp_path: Path) -> None:
    catalog = Catalog.from_data({"services": [{"name": "nats-server"}, {"name": "caddy"}]})
    for name, hint in [("nats-sever", 'did you mean "nats-server"?'), ("zzz", "coopr catalog list shows")]:
        with pytest.raises(NotFound, match=f'no service "{name}"') as error:
            catalog.service(name)
        assert hint in error.value.hint
    with pytest.raises(NotFound) as error:
        catalog.template("x")
    assert error.value.hint == "the catalog has no templates"


def test_a_catalog_is_built_from_values_and_checked_like_one_from_files() -> None:
    catalog = Catalog(services=[Service(name="b"), Service(name="a")], templates=[ClusterTemplate(name="t")])
    assert list(catalog.services) == ["a", "b"]
    with pytest.raises(InvalidInput, match='no template "gone"'):
        Catalog(templates=[ClusterTemplate(name="t", parent="gone")])
    with pytest.raises(InvalidInput) as error:
        Catalog.from_data({"servces": [], "services": [{"name": ""}, 3]})
    assert [str(problem) for problem in error.value.problems] == [
        '"servces" is no folder of a catalog: did you mean "services"?',
        "services/: name: must not be empty",
        "services/1: must be a map, not the number 3",
    ]


def test_the_packages_are_cheap_to_import() -> None:
    code = (
        "import sys, coopr_core, coopr_core.catalog, coopr_core.model, coopr_core.solver, coopr_core.planner;"
        "print([m for m in ('pydantic', 'yaml', 'networkx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["../etc", "a b", "", ".hidden", "a/b", "-x"])
def test_a_services_name_can_be_that_of_a_folder(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"is no service's name|must not be empty"):
        Catalog.from_data({"services": [{"name": name}]})


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b", "", "a/../../b", "."])
def test_a_services_files_stay_below_its_folder(path: str) -> None:
    with pytest.raises(InvalidInput, match="is no path below the service's folder"):
        Catalog.from_data({"services": [{"name": "a", "files": {path: "x"}}]})


def test_names_are_compared_in_one_unicode_form_and_one_name_is_one_entity() -> None:
    apart = "cafe\u0301"
    catalog = Catalog.from_data({"services": [{"name": apart}, {"name": "b", "dependencies": {"provides": [apart]}}]})
    assert sorted(catalog.services) == ["b", "café"]
    with pytest.raises(InvalidInput, match='service "café" is there twice'):
        Catalog.from_data({"services": [{"name": apart}, {"name": "café"}]})
