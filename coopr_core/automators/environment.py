"""The environment of what runs on a node for a task: ``COOPR_*`` about the task, ``COOPR_CONFIG_*`` for the config.

As text it is what a POSIX shell reads back exactly, any value, quotes and newlines included; that belongs in a file for
its owner alone, never on a command line.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from coopr_core.automators.context import TaskContext
from coopr_core.errors import InvalidInput
from coopr_core.model.variables import clashes, config_variables

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

LONGEST_VARIABLE = 65536
LARGEST_ENVIRONMENT = 524288
"""Larger values would make every program on the node fail to start; they are in the task's JSON all the same."""


def environment(context: TaskContext) -> dict[str, str]:
    """Return the variables of a task, with one for every scalar of the config.

    Raises ``InvalidInput`` for two values that would be one variable. Config values over 64 KiB are left to the task's
    JSON.
    """
    if problems := clashes(context.config):
        raise InvalidInput(
            "the cluster's config cannot be given to scripts: two values would be one variable",
            hint="coopr configure --replace-config, with one of them under another name",
            problems=problems,
        )
    variables = config_variables(context.config)
    variables = {name: value for name, value in variables.items() if len(value) <= LONGEST_VARIABLE}
    size = sum(map(len, variables.values()))
    while size > LARGEST_ENVIRONMENT:
        size -= len(variables.pop(max(variables, key=lambda name: len(variables[name]))))
    folders, service = context.folders, context.acting
    return variables | {
        **({"COOPR_LEAVING": " ".join(map(str, context.leaving))} if context.leaving else {}),
        **({"COOPR_RESOURCES": folders.resources(service.name)} if service.resources else {}),
        "COOPR_TASK_ID": context.task_id,
        "COOPR_CLUSTER_ID": context.cluster_id,
        "COOPR_CLUSTER_NAME": context.cluster_name,
        "COOPR_NODE_NUMBER": str(context.number),
        "COOPR_HOST_NAME": context.host_name,
        "COOPR_SERVICE": service.name,
        "COOPR_ACTION": context.action.lower(),
        "COOPR_BIND_V4": str(context.addresses.get("bind_v4", "")),
        "COOPR_ACCESS_V4": str(context.addresses.get("access_v4", "")),
        "COOPR_ROOT": context.root,
        "COOPR_DATA": folders.data(service.name),
        "COOPR_TASK_FILE": folders.task_file(context.task_id, "json"),
    }


def export_lines(variables: Mapping[str, str]) -> str:
    """Return one ``export`` per variable, in name order, for the shell's ``.`` command.

    Raises ``InvalidInput`` for what no environment can hold: a bad name, or a NUL character in a value.
    """
    lines = []
    for name, value in sorted(variables.items()):
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} cannot be the name of an environment variable")
        if "\0" in value:
            raise InvalidInput(f"the value of {name} has a NUL character, which no environment variable can hold")
        lines.append(f"export {name}={shlex.quote(value)}\n")
    return "".join(lines)
