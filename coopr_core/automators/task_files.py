"""What one task brings to its node, for all automators alike: its JSON, its keys for ``coopr_lookup_key``, its
environment. They stay there as the record of what was run, and are found, or removed, by the task's id.

All of it is for its owner alone, since config holds secrets; nothing of it is ever on a command line. What is common to
the tasks of many nodes is rendered once. What comes back of a record is for comparing, never for showing.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from coopr_core.automators.context import TaskContext
from coopr_core.automators.environment import environment, export_lines
from coopr_core.automators.keys import escaped, key_lines
from coopr_core.automators.node_folders import NodeFolders
from coopr_core.errors import NotFound

if TYPE_CHECKING:
    from coopr_core.remote.session import Session

_SECONDS = 60


def task_json(context: TaskContext) -> dict[str, Any]:
    """Return the task as it is written to the node (section 12 of the original's semantics)."""
    return {**_task(context), "config": {**_config(context), "nodes": context.nodes.properties}}


def task_text(context: TaskContext) -> str:
    """Return the task's JSON as text, with the nodes as they were rendered for all tasks."""
    config = f'{json.dumps(_config(context))[:-1]}, "nodes": {context.nodes.text}}}'
    return f'{json.dumps(_task(context))[:-1]}, "config": {config}}}\n'


def _task(context: TaskContext) -> dict[str, Any]:
    return {
        "taskId": context.task_id,
        "jobId": context.job_id,
        "clusterId": context.cluster_id,
        "clusterName": context.cluster_name,
        "taskName": context.action,
        "nodeId": str(context.number),
    }


def _config(context: TaskContext) -> dict[str, Any]:
    described: dict[str, Any] = {}
    if context.service is not None:
        action = {"type": context.definition.type, "fields": dict(context.fields)}
        described = {"name": context.service.name, "action": action}
    return {
        "cluster": dict(context.config),
        "service": described,
        "hostname": context.host_name,
        "ipaddresses": dict(context.addresses),
        "nodenum": context.number,
        "sshuser": context.ssh_user,
        "hardwaretype": context.hardware_type,
        "imagetype": context.image_type,
        "flavor": context.flavor,
        "image": context.image,
        "automators": context.automators,
        "services": [service.name for service in context.services],
        **({"leaving": list(context.leaving)} if context.leaving else {}),
    }


def task_files(context: TaskContext) -> dict[str, str]:
    """Return the text of a task's files by kind: ``json``, and for an action ``keys`` and ``env``.

    Raises ``InvalidInput`` for a value with a NUL character and for two that would be one variable.
    """
    if context.service is None:
        return {"json": task_text(context)}
    commands = shlex.quote(context.folders.commands)
    return {
        "json": task_text(context),
        "keys": task_keys(context),
        "env": f"{export_lines(environment(context))}PATH={commands}:$PATH\n",
    }


def writing(context: TaskContext, files: Mapping[str, str]) -> str:
    """Return shell lines that write a task's files; with an umask of 077 they are for their owner alone."""
    return "".join(
        f"printf %s {shlex.quote(text)} >{shlex.quote(context.folders.task_file(context.task_id, kind))} &&\n"
        for kind, text in files.items()
    )


def read_record(task_id: str, session: Session, root: str) -> Mapping[str, Any]:
    """Return the JSON of a task as it is on the node.

    Raises ``NotFound`` when it is not there, or is no JSON any more. Costs one command.
    """
    path = NodeFolders(root).task_file(task_id, "json")
    try:
        found = json.loads(session.get(path))
    except ValueError as error:
        raise NotFound(f"{path} is not the record of a task any more: {error}") from error
    if not isinstance(found, dict):
        raise NotFound(f"{path} is not the record of a task any more")
    return found


def remove_record(task_id: str, session: Session, root: str) -> None:
    """Remove the files of a task from the node; gone is fine. Costs one command."""
    folder, name = shlex.quote(NodeFolders(root).tasks), shlex.quote(task_id)
    session.run(
        f"cd {folder} 2>/dev/null || exit 0\n"
        f'for file in {name}.*; do case ${{file#{name}.}} in *.*) ;; *) rm -f "$file" ;; esac; done',
        timeout=_SECONDS,
        on_line=lambda stream, line: None,
    )


def task_keys(context: TaskContext) -> str:
    """Return the task's values as ``coopr_lookup_key`` reads them, see ``key_lines``."""
    config = _config(context)
    whole = f'{json.dumps(config, ensure_ascii=False)[:-1]}, "nodes": '
    own = "".join(key_lines(value, f"config/{key}") for key, value in config.items())
    return f"{key_lines(_task(context))}config\t{escaped(whole)}{context.nodes.value}}}\n{own}{context.nodes.keys}"
