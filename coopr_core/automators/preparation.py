"""What BOOTSTRAP brings to a node for all automators, and whether a node still holds it.

Promise: an action finds out before it runs, with no command beside its own, and never takes a program's exit status for
it: what is missing leaves a mark. BOOTSTRAP finds out in the command that makes its folders, sends only what changed,
and gives the folders that a script locked back to their owner. Costs a look per file on the node; one command when all
is there, two otherwise.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING

from coopr_core.automators.context import TaskContext
from coopr_core.automators.contract import Result, acting_session
from coopr_core.automators.deliveries import Deliveries
from coopr_core.automators.file_sets import FileSet, packed
from coopr_core.automators.node_folders import NodeFolders
from coopr_core.automators.resources import linking, needed, read_versions, whole
from coopr_core.automators.task_files import task_files, writing
from coopr_core.catalog.entities import Resource, Service

if TYPE_CHECKING:
    from coopr_core.remote.session import Session

LOST = 66
"""The exit status of an action that did not run because something is missing."""

_SECONDS = 120


def prepare_node(context: TaskContext, session: Session, later: Deliveries | None = None) -> Result:
    """Make the node's folders, and send what its services need and is not there yet. Idempotent.

    With ``later`` resources are only begun to be sent: who needs one waits for it there.
    """
    folders = context.folders
    session = acting_session(session, context.root)
    wanted = brought(context.services)
    script = _preparing(context, wanted)
    prepared = session.stream("exec sh -s", content=[script.encode("utf-8", "surrogatepass")], timeout=_SECONDS)
    if prepared.exit_status:
        return Result(prepared.exit_status, prepared.tail)
    arrived = read_versions(prepared.stdout)
    missing = [each for version, each in needed(context.services).items() if version not in arrived]
    deliveries = later or Deliveries()
    deliveries.begin(context.number, missing, context.root, session)
    there = _read_manifest(prepared.stdout)
    changed = [each for each in wanted if there.get(each.name) != each.version]
    moved = _send(changed, there | {each.name: each.version for each in wanted}, folders, session)
    if later is None:
        deliveries.close()
        deliveries.check(context.number, missing)
    return moved if moved.exit_status else Result(tail=(_told(context, changed, missing, under_way=later is not None),))


def _told(context: TaskContext, changed: Iterable[FileSet], missing: Iterable[Resource], *, under_way: bool) -> str:
    names, said = {each.name for each in changed}, []
    if services := [service.name for service in context.services if f"services/{service.name}" in names]:
        said.append(f"sent the files of {', '.join(services)}")
    if resources := [each.name for each in missing]:
        said.append(f"{'sending' if under_way else 'sent'} the resources {', '.join(resources)}")
    if names and not said:
        said.append("sent the commands scripts use")
    return "; ".join(said) or "the services' files are on the node already"


def brought(services: Iterable[Service]) -> list[FileSet]:
    """Return what a node with these services must hold below its ``.coopr``."""
    lookup = files("coopr_core.automators").joinpath("coopr_lookup_key.sh").read_bytes()
    return [
        FileSet("bin", {"coopr_lookup_key": (lookup, 0o755)}),
        *(FileSet.of_texts(f"services/{service.name}", service.files) for service in services),
    ]


def _send(changed: Collection[FileSet], manifest: Mapping[str, str], folders: NodeFolders, session: Session) -> Result:
    """Send files and put them where they belong, each set whole or not at all."""
    if not changed:
        return Result()
    versions = "".join(f"{version} {name}\n" for name, version in sorted(manifest.items()))
    archive = packed([*changed, FileSet("", {"manifest": (versions.encode(), 0o644)})])
    moves = "".join(
        f"mkdir -p {source} && {{ chmod -R u+rwX {target} 2>/dev/null; rm -rf {target}; }} && mv {source} {target} &&\n"
        for source, target in ((shlex.quote(f"incoming/{each.name}"), shlex.quote(each.name)) for each in changed)
    )
    script = (
        f"umask 022; cd {shlex.quote(folders.own)} && rm -rf incoming && mkdir incoming &&\n"
        f"(cd incoming && exec tar -xzpof -) &&\n{moves}mv -f incoming/manifest manifest && rm -rf incoming\n"
    )
    moved = session.stream(script, content=[archive], timeout=_SECONDS + len(archive) / 50_000)
    return Result(moved.exit_status, moved.tail)


def _read_manifest(text: str) -> dict[str, str]:
    """Return the versions of sets of files that a node reports, by name; ``-`` for what is not whole.

    The lines of resources are left out: what is there is looked at each time, never remembered.
    """
    lines = (line.split(" ", 1) for line in text.splitlines())
    return {parts[1]: parts[0] for parts in lines if len(parts) == 2 and parts[0] != "+"}


def _preparing(context: TaskContext, wanted: Iterable[FileSet]) -> str:
    """Return a script that makes the folders, records the task and prints the manifest.

    A line ``- <name>`` follows for everything that is not whole, and one ``+ <version>`` for each resource that is.
    """
    folders = context.folders
    made = [f"{folders.own}/services", *(folders.data(service.name) for service in context.services)]
    above = [folders.library.removesuffix("/coopr"), folders.tasks.removesuffix("/coopr")]
    mine = [*above, folders.library, folders.own, folders.tasks, *made, *(f"{folders.own}/{w.name}" for w in wanted)]
    looks = "".join(f"whole {shlex.join([each.name, *sorted(each.files)])}\n" for each in wanted)
    return f"""umask 022
for folder in {shlex.join(mine)}; do
  [ ! -d "$folder" ] || {{ [ -r "$folder" ] && [ -w "$folder" ] && [ -x "$folder" ]; }} || chmod u+rwx "$folder"
done
mkdir -p {shlex.join([*made, folders.tasks])} && chmod 700 {shlex.quote(folders.tasks)} || exit 1
(
umask 077
{writing(context, task_files(context))}true
) || exit 1
cd {shlex.quote(folders.own)} || exit 1
[ ! -r manifest ] || cat manifest
whole() {{
  set=$1
  shift
  [ -d "$set" ] || {{ echo "- $set"; return; }}
  for file; do [ -r "$set/$file" ] || {{ echo "- $set"; return; }}; done
}}
{looks}{linking(context.services, folders)}exit 0
"""


def presence_check(context: TaskContext) -> str:
    """Return shell lines that go to the service's folder, or end with ``LOST`` when anything it needs is missing."""
    folders, service = context.folders, context.acting
    place, data = folders.scripts(service.name), folders.data(service.name)
    commands = [f"{folders.own}/{each.name}/{name}" for each in brought(()) for name in each.files]
    lost = "is not on this node; BOOTSTRAP brings it"
    return (
        f'coopr_lost() {{ true >{shlex.quote(lost_mark(context))}; echo "coopr: $1 {lost}" >&2; exit {LOST}; }}\n'
        f"cd {shlex.quote(place)} 2>/dev/null || coopr_lost {shlex.quote(place)}\n"
        f"[ -d {shlex.quote(data)} ] || coopr_lost {shlex.quote(data)}\n"
        f"for coopr_file in {shlex.join([*commands, *sorted(service.files)])}; do\n"
        f'  [ -r "$coopr_file" ] || coopr_lost "$coopr_file"\ndone\n'
        + "".join(
            f"{whole(shlex.quote(folders.version(each.version)))} && [ -e {path} ] || coopr_lost {path}\n"
            for each in service.resources
            for path in [shlex.quote(f"{folders.resources(service.name)}/{each.name}")]
        )
    )


def lost_mark(context: TaskContext) -> str:
    """Return the path of the file that an action leaves when it did not run because something is missing."""
    return context.folders.task_file(context.task_id, "lost")
