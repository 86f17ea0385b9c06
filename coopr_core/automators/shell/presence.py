"""Whether a node still holds what BOOTSTRAP brought, asked by the node's own shell.

Promise: an action finds out before its script runs, with no command beside its own, and never takes a script's exit
status for it: what is missing leaves a mark. BOOTSTRAP finds out in the command that makes its folders, and gives the
folders that a script locked back to their owner. Costs a look per file on the node.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from coopr_core.automators.shell.bundle import Places, Unit, units
from coopr_core.catalog.entities import Service

LOST = 66
"""The exit status of an action that did not run because something is missing."""

_SERVICES = "services"


def lost_mark(places: Places, task_id: str) -> str:
    """The file that an action leaves when it did not run because something is missing."""
    return f"{places.tasks}/{task_id}.lost"


def presence_check(service: Service, places: Places, mark: str) -> str:
    """Shell lines that go to the service's folder, or end with ``LOST`` when anything its scripts need is missing.

    A folder for tasks' files that was gone, and made anew with the last files, is closed to others again.
    """
    folder, data = places.scripts(service.name), places.data(service.name)
    files = [f"{places.own}/bin/{name}" for name in units(())["bin"]] + sorted(service.files)
    lost = "is not on this node; BOOTSTRAP brings it"
    return (
        f'coopr_lost() {{ true >{shlex.quote(mark)}; echo "coopr: $1 {lost}" >&2; exit {LOST}; }}\n'
        f"chmod 700 {shlex.quote(places.tasks)} 2>/dev/null\n"
        f"cd {shlex.quote(folder)} 2>/dev/null || coopr_lost {shlex.quote(folder)}\n"
        f"[ -d {shlex.quote(data)} ] || coopr_lost {shlex.quote(data)}\n"
        f'for coopr_file in {shlex.join(files)}; do [ -r "$coopr_file" ] || coopr_lost "$coopr_file"; done\n'
    )


def preparing_script(services: Iterable[Service], wanted: Mapping[str, Unit], places: Places) -> str:
    """A script that makes BOOTSTRAP's folders and prints the manifest, then ``- <unit>`` for each that is not whole."""
    data = [places.data(service.name) for service in services]
    made = [f"{places.own}/{_SERVICES}", *data]
    above = [places.library.removesuffix("/coopr"), places.tasks.removesuffix("/coopr")]
    mine = [*above, places.library, places.own, places.tasks, *made, *(f"{places.own}/{unit}" for unit in wanted)]
    looks = "".join(f"whole {shlex.join([unit, *sorted(files)])}\n" for unit, files in wanted.items())
    return f"""umask 022
for folder in {shlex.join(mine)}; do
  [ ! -d "$folder" ] || {{ [ -r "$folder" ] && [ -w "$folder" ] && [ -x "$folder" ]; }} || chmod u+rwx "$folder"
done
mkdir -p {shlex.join([*made, places.tasks])} && chmod 700 {shlex.quote(places.tasks)} || exit 1
cd {shlex.quote(places.own)} || exit 1
[ ! -r manifest ] || cat manifest
whole() {{
  unit=$1
  shift
  [ -d "$unit" ] || {{ echo "- $unit"; return; }}
  for file; do [ -r "$unit/$file" ] || {{ echo "- $unit"; return; }}; done
}}
{looks}exit 0
"""
