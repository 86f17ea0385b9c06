"""Resources: what a version is, what may not travel, and how they come to nodes, on real SSH servers."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from task_contexts import node, task
from test_shell_automator import lines
from watching import wait_for

from coopr_core.automators import resources
from coopr_core.automators.deliveries import Deliveries
from coopr_core.automators.preparation import prepare_node
from coopr_core.automators.resources import archive_of, write_archive
from coopr_core.automators.shell import ShellAutomator
from coopr_core.catalog import Catalog
from coopr_core.catalog.entities import Service
from coopr_core.catalog.resources import version_of
from coopr_core.errors import InvalidInput, NotFound
from coopr_core.operations.soundness import unsound
from coopr_core.remote.session import Session

pytestmark = pytest.mark.both

SERVICE = """
name: {name}
resources: [{resources}]
provisioner: {{actions: {{start: {{fields: {{command: '{command}'}}}}}}}}
"""
BYTES = bytes(range(256)) * 3


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COOPR_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "resources"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A catalog with resources of every kind, and services that need them."""
    top = tmp_path / "catalog"
    hadoop = top / "resources" / "cookbooks" / "hadoop"
    (hadoop / "files" / "empty").mkdir(parents=True)
    (hadoop / "files" / "náš file").write_bytes(BYTES)
    (hadoop / ".rubocop.yml").write_text("hidden\n")
    (hadoop / "run").write_text("#!/bin/sh\necho ran\n")
    (hadoop / "run").chmod(0o750)
    (hadoop / "link").symlink_to("files/náš file")
    (hadoop / ".git").mkdir()
    (hadoop / ".git" / "HEAD").write_text("not sent")
    (top / "resources" / "app.jar").write_bytes(b"PK\0\xff" + BYTES)
    write_service(top, "chef", "cookbooks/hadoop, app.jar")
    write_service(top, "plain", "")
    return top


def write_service(top: Path, name: str, named: str, command: str = "true") -> None:
    (top / "services").mkdir(exist_ok=True)
    (top / "services" / f"{name}.yaml").write_text(SERVICE.format(name=name, resources=named, command=command))


def service_of(folder: Path, name: str = "chef") -> Service:
    return Catalog.load([folder], builtin=False).service(name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "a node's root"
    path.mkdir()
    return path


@pytest.fixture
def shell() -> ShellAutomator:
    return ShellAutomator()


def own(root: Path) -> Path:
    return root / "var/lib/coopr/.coopr"


def test_a_version_is_the_content_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "other" / "hadoop"
    shutil.copytree(folder / "resources/cookbooks/hadoop", copied, symlinks=True)
    known = version_of(copied)
    assert known == version_of(folder / "resources/cookbooks/hadoop")
    os.utime(copied / "run", (1, 1))
    (copied / ".git" / "HEAD").write_text("another")
    (copied / "run").chmod(0o700)
    assert version_of(copied) == known
    for harm in (
        lambda: (copied / "run").chmod(0o644),
        lambda: (copied / "files" / "náš file").write_bytes(BYTES[:-1] + b"x"),
        lambda: (copied / "files" / "empty").rename(copied / "files" / "empti"),
        lambda: (copied / "link").unlink() or (copied / "link").symlink_to("run"),
        lambda: copied.rename(copied.with_name("hadoop2")),
    ):
        before = known
        harm()
        known = version_of(copied if copied.exists() else copied.with_name("hadoop2"))
        assert known != before
    files = io.BytesIO(), io.BytesIO()
    assert len({write_archive(folder / "resources/cookbooks/hadoop", file) for file in files}) == 1
    assert files[0].getvalue() == files[1].getvalue(), "archives are the same each time"


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("ln -s /etc/passwd cookbooks/hadoop/out", "link that leads out of the resource: /etc/passwd"),
        ("ln -s ../../app.jar cookbooks/hadoop/out", "link that leads out of the resource"),
        ("ln -s nowhere cookbooks/hadoop/out", "link to nothing"),
        ("mkfifo cookbooks/hadoop/pipe", "neither a file nor a folder"),
        ("rm -r cookbooks/hadoop; ln -s /etc cookbooks/hadoop", "leads out of the catalog"),
        ("mv cookbooks/hadoop cookbooks/hadop", 'no resource "cookbooks/hadoop": did you mean "cookbooks/hadop"?'),
        ("rm -r app.jar", 'no resource "app.jar": the catalog has no resources/app.jar'),
        ("truncate -s 1025M app.jar", "more than a resource may be: 1024 MiB"),
    ],
)
def test_what_a_service_cannot_have_is_found_with_its_place_and_keeps_the_catalog_usable(
    folder: Path, harm: str, says: str
) -> None:
    subprocess.run(harm, shell=True, check=True, cwd=folder / "resources")
    catalog = Catalog.load([folder], builtin=False)
    (problem,) = [problem for problem in unsound(catalog) if problem.severity == "error"]
    assert says in problem.message
    assert problem.file.startswith(str(folder))
    assert "resources/" in problem.file or (problem.path.startswith("resources["), problem.line) == (True, 3)


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("../x", "no path below"),
        ("/etc", "no path below"),
        ("-x", "no path below"),
        ("a, a", "given twice"),
        ("a, a/b", 'lies in "a" already'),
        ("{name: a, version: 1}", "version"),
    ],
)
def test_names_that_are_none_are_errors_of_the_catalog(folder: Path, named: str, says: str) -> None:
    write_service(folder, "bad", named)
    with pytest.raises(InvalidInput) as caught:
        Catalog.load([folder], builtin=False)
    assert says in str(caught.value.problems[0])


def test_a_service_cannot_name_files_of_the_machine_as_its_source(folder: Path) -> None:
    write_service(folder, "sly", f"{{name: passwd, source: /etc/passwd, version: {'a' * 40}}}")
    catalog = Catalog.load([folder], builtin=False)
    assert (catalog.service("sly").resources[0].source, catalog.service("sly").resources[0].version) == ("", "")
    assert ["no resource" in problem.message for problem in catalog.resource_problems(catalog.service("sly"))] == [True]


def test_a_later_catalog_has_the_last_word_and_one_folder_of_a_catalog_finds_them_too(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "over" / "resources").mkdir(parents=True)
    (tmp_path / "over" / "resources" / "app.jar").write_bytes(b"other")
    versions = [
        {each.name: each.source for each in Catalog.load(paths, builtin=False).service("chef").resources}
        for paths in ([folder, tmp_path / "over"], [folder / "services"], [folder / "services" / "chef.yaml"])
    ]
    assert versions[0]["app.jar"] == str(tmp_path / "over/resources/app.jar")
    assert versions[0]["cookbooks/hadoop"] == str(folder / "resources/cookbooks/hadoop")
    assert [found["app.jar"] for found in versions[1:]] == [str(folder / "resources/app.jar")] * 2


def test_resources_arrive_byte_for_byte_once_and_scripts_find_them(
    folder: Path, session: Session, root: Path, shell: ShellAutomator
) -> None:
    write_service(folder, "chef", "cookbooks/hadoop, app.jar", 'cd "$COOPR_RESOURCES" && ls -A . cookbooks/*')
    chef = service_of(folder)
    on = node(root, chef)
    assert prepare_node(on, session).tail == ("sent the files of chef; sent the resources cookbooks/hadoop, app.jar",)
    hadoop = own(root) / "resources/chef/cookbooks/hadoop"
    assert (hadoop / "files/náš file").read_bytes() == BYTES
    assert (own(root) / "resources/chef/app.jar").read_bytes() == b"PK\0\xff" + BYTES
    assert (hadoop / "run").stat().st_mode & 0o777 == 0o755
    assert (hadoop / "files/náš file").stat().st_mode & 0o777 == 0o644
    assert (hadoop / "link").readlink() == Path("files/náš file")
    assert (hadoop / "files/empty").is_dir()
    assert not (hadoop / ".git").exists()
    watched, seen = lines(session)
    assert shell.run(task("start", chef, on), watched).exit_status == 0
    assert {"app.jar", "cookbooks", ".rubocop.yml", "run"} <= set(seen)
    before = {path: path.stat().st_ino for path in (own(root) / "store").iterdir()}
    assert prepare_node(on, session).tail == ("the services' files are on the node already",)
    assert {path: path.stat().st_ino for path in (own(root) / "store").iterdir()} == before


def test_a_new_version_takes_the_place_of_the_old_which_goes(folder: Path, session: Session, root: Path) -> None:
    before = service_of(folder)
    prepare_node(node(root, before), session)
    (folder / "resources/app.jar").write_bytes(b"new")
    after = service_of(folder)
    assert before.brought != after.brought
    prepare_node(node(root, after), session)
    assert (own(root) / "resources/chef/app.jar").read_bytes() == b"new"
    versions = {each.version for each in after.resources}
    assert {path.name for path in (own(root) / "store").iterdir()} == versions
    prepare_node(node(root, service_of(folder, "plain")), session)
    assert not (own(root) / "store").exists()
    assert not (own(root) / "resources").exists()


@pytest.mark.parametrize(
    "harm",
    [
        "rm -rf store",
        "rm -rf resources",
        "rm store/*/app.jar",
        "rm 'store/'*'/hadoop/files/náš file'",
        "rm -rf store/*/hadoop/files/empty",
        "rm -rf {root}/*",
    ],
)
def test_a_resource_that_a_node_lost_is_noticed_and_brought_again(
    folder: Path, session: Session, root: Path, shell: ShellAutomator, harm: str
) -> None:
    chef = service_of(folder)
    on = node(root, chef)
    prepare_node(on, session)
    assert not shell.run(task("start", chef, on), session).unprepared
    subprocess.run(harm.format(root=shlex.quote(str(root))), shell=True, check=True, cwd=own(root))
    lost = shell.run(task("start", chef, on), session)
    assert (lost.exit_status, lost.unprepared) == (66, True), lost
    prepare_node(on, session)
    assert shell.run(task("start", chef, on), session).exit_status == 0


def test_a_node_never_remembers_that_a_resource_was_there(
    folder: Path, session: Session, root: Path, shell: ShellAutomator
) -> None:
    prepare_node(node(root, service_of(folder)), session)
    (folder / "services/chef").mkdir()
    (folder / "services/chef/more").write_text("a file that BOOTSTRAP has to send")
    chef = service_of(folder)
    on = node(root, chef)
    prepare_node(on, session)
    shutil.rmtree(own(root) / "store")
    prepare_node(on, session)
    assert {path.name for path in (own(root) / "store").iterdir()} == {each.version for each in chef.resources}
    assert shell.run(task("start", chef, on), session).exit_status == 0


def test_a_link_to_a_file_of_the_catalog_travels_as_that_file(folder: Path) -> None:
    jar, link = folder / "resources/app.jar", folder / "resources/links/app.jar"
    link.parent.mkdir()
    link.symlink_to("../app.jar")
    known = version_of(jar)
    assert version_of(link) == known
    jar.write_bytes(b"another")
    assert version_of(link) == version_of(jar) != known


def test_an_archive_is_made_once_and_serves_when_the_catalog_has_gone_on(folder: Path, cache: Path) -> None:
    jar = {each.name: each for each in service_of(folder).resources}["app.jar"]
    made = archive_of(jar)
    assert made.parent == cache
    stamp = made.stat()
    (folder / "resources/app.jar").write_bytes(b"changed since")
    assert archive_of(jar).stat().st_ino == stamp.st_ino
    with tarfile.open(made) as tar:
        content = tar.extractfile("app.jar")
        assert content is not None
        assert content.read() == b"PK\0\xff" + BYTES
    made.unlink()
    with pytest.raises(NotFound, match=r"app.jar is not any more what the cluster was made with .*app.jar has changed"):
        archive_of(jar)
    assert not list(cache.iterdir()), "nothing half made is left"
    (folder / "resources/app.jar").unlink()
    with pytest.raises(NotFound, match=r"app\.jar"):
        archive_of(jar)


class Held:
    """Sends resources only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_go = threading.Event()
        self.begun: list[str] = []
        original = resources.send

        def send(resource: Any, root: str, session: Session) -> int:
            self.begun.append(resource.name)
            assert self.may_go.wait(60)
            return original(resource, root, session)

        monkeypatch.setattr("coopr_core.automators.deliveries.send", send)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    made = Held(monkeypatch)
    yield made
    made.may_go.set()


def test_a_nodes_other_tasks_do_not_wait_for_resources_they_do_not_need(
    folder: Path, session: Session, root: Path, shell: ShellAutomator, held: Held
) -> None:
    chef, plain = service_of(folder), service_of(folder, "plain")
    on = node(root, chef, plain)
    deliveries = Deliveries()
    assert prepare_node(on, session, deliveries).exit_status == 0
    assert shell.run(task("start", plain, on), session).exit_status == 0
    assert shell.run(task("start", chef, on), session).unprepared
    assert [each.name for each in deliveries.on_the_way(1000, chef.resources)] == ["cookbooks/hadoop", "app.jar"]
    prepare_node(on, session, deliveries)
    held.may_go.set()
    deliveries.check(1000, chef.resources)
    assert sorted(held.begun) == ["app.jar", "cookbooks/hadoop"], "each travels once, side by side"
    assert shell.run(task("start", chef, on), session).exit_status == 0
    deliveries.close()


def test_many_resources_leave_a_nodes_channels_to_its_tasks(
    folder: Path, session: Session, root: Path, shell: ShellAutomator, held: Held
) -> None:
    names = [f"r{number}" for number in range(12)]
    for name in names:
        (folder / "resources" / name).write_text(name)
    write_service(folder, "chef", ", ".join(names), 'cat "$COOPR_RESOURCES"/*')
    chef, plain = service_of(folder), service_of(folder, "plain")
    on, deliveries = node(root, chef, plain), Deliveries()
    prepare_node(on, session, deliveries)
    wait_for(lambda: len(held.begun) == 3, "three of them travel")
    assert shell.run(task("start", plain, on), session).exit_status == 0
    assert len(held.begun) == 3
    held.may_go.set()
    deliveries.close()
    assert sorted(held.begun) == sorted(names)
    watched, seen = lines(session)
    assert shell.run(task("start", chef, on), watched).exit_status == 0
    assert "".join(seen) == "".join(sorted(names))


def test_what_keeps_a_resource_from_a_node_is_told_to_who_waits_for_it(
    folder: Path, session: Session, root: Path, cache: Path
) -> None:
    chef = service_of(folder)
    (folder / "resources/app.jar").write_bytes(b"changed since")
    with pytest.raises(NotFound, match=r"app\.jar"):
        prepare_node(node(root, chef), session)
