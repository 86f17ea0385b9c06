"""What one task brings to the node: its JSON, its keys for ``coopr_lookup_key``, its environment, and how it starts.

All of it is for its owner alone, since config holds secrets; nothing of it is ever on a command line. The files stay on
the node as the record of what was run.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from coopr_core.automators.contract import NodeInputs
from coopr_core.automators.shell.action import ShellAction, interpreter, normalized
from coopr_core.automators.shell.bundle import Places
from coopr_core.automators.shell.presence import lost_mark, presence_check
from coopr_core.catalog.entities import Service
from coopr_core.errors import InvalidInput
from coopr_core.model.variables import clashes, config_variables
from coopr_core.remote.environment import export_lines

PRIVATE = 0o600
OWNER_ALONE = "umask 077\n"
"""Where a node shares its machine with others, what its scripts make is for their owner unless they say otherwise."""

LONGEST_VARIABLE = 65536
LARGEST_ENVIRONMENT = 524288
"""Larger values would make every program on the node fail to start; they are in the task's JSON all the same."""


def task_files(task: ShellAction, action: str, service: Service, node: NodeInputs) -> dict[str, tuple[bytes, int]]:
    """The task's files by name; ``<task id>.sh`` runs it."""
    places, name = Places(node.root), node.task_id
    texts = {
        f"{name}.json": json.dumps(node.task_json, indent=1),
        f"{name}.keys": key_lines(node.task_json),
        f"{name}.env": export_lines(environment(action, service, node))
        + f"PATH={shlex.quote(places.commands)}:$PATH\n",
        f"{name}.sh": _start(task, action, service, node),
    }
    if task.command:
        texts[f"{name}.command"] = task.command + "\n"
    return {path: (text.encode("utf-8", "surrogatepass"), PRIVATE) for path, text in texts.items()}


@cache
def _relay() -> str:
    return re.sub(r"^#.*\n", "", files("coopr_core.automators.shell").joinpath("relay.sh").read_text(), flags=re.M)


def _start(task: ShellAction, action: str, service: Service, node: NodeInputs) -> str:
    places = Places(node.root)
    if task.command:
        words = [*interpreter("", task.command), f"{places.tasks}/{node.task_id}.command"]
    else:
        text = next(text for path, text in service.files.items() if normalized(path) == task.script)
        words = [*interpreter(task.script, text), f"./{task.script}", *task.args]
    return (
        f". {shlex.quote(f'{places.tasks}/{node.task_id}.env')}\n"
        f"{presence_check(service, places, lost_mark(places, node.task_id))}"
        f"{'' if node.root == '/' else OWNER_ALONE}"
        f"coopr_pipe={shlex.quote(f'{places.tasks}/{node.task_id}.pipe')}\n"
        f"coopr_kept={shlex.quote(places.kept(service.name, action, node.task_id))}\n"
        f"set -- {shlex.join(words)}\n{_relay()}"
    )


def environment(action: str, service: Service, node: NodeInputs) -> dict[str, str]:
    """The variables a script gets: ``COOPR_*`` about the task, ``COOPR_CONFIG_*`` for every scalar of the config.

    Raises ``InvalidInput`` for a value with a NUL character and for two that would be one variable. Config values over
    64 KiB are left to the task's JSON.
    """
    places, task = Places(node.root), node.task_json
    config = _map(task.get("config"))
    addresses = _map(config.get("ipaddresses"))
    own = _map(config.get("cluster"))
    if problems := clashes(own):
        raise InvalidInput(
            "the cluster's config cannot be given to scripts: two values would be one variable",
            hint="coopr configure --replace-config, with one of them under another name",
            problems=problems,
        )
    variables = config_variables(own)
    variables = {name: value for name, value in variables.items() if len(value) <= LONGEST_VARIABLE}
    while sum(map(len, variables.values())) > LARGEST_ENVIRONMENT:
        del variables[max(variables, key=lambda name: len(variables[name]))]
    leaving = config.get("leaving") or ()
    return variables | {
        **({"COOPR_LEAVING": " ".join(map(str, leaving))} if leaving else {}),
        "COOPR_TASK_ID": node.task_id,
        "COOPR_CLUSTER_ID": str(task.get("clusterId", "")),
        "COOPR_CLUSTER_NAME": str(task.get("clusterName", "")),
        "COOPR_NODE_NUMBER": str(node.number),
        "COOPR_HOST_NAME": node.host_name,
        "COOPR_SERVICE": service.name,
        "COOPR_ACTION": action,
        "COOPR_BIND_V4": str(addresses.get("bind_v4", "")),
        "COOPR_ACCESS_V4": str(addresses.get("access_v4", "")),
        "COOPR_ROOT": node.root,
        "COOPR_DATA": places.data(service.name),
        "COOPR_TASK_FILE": f"{places.tasks}/{node.task_id}.json",
    }


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def key_lines(tree: Mapping[str, Any]) -> str:
    """Every value of the tree, scalars and subtrees, as ``path<TAB>value`` lines for ``coopr_lookup_key``.

    ``%``, tab and line end are written ``%25``, ``%09`` and ``%0A``.
    """
    return "".join(f"{_escaped(path)}\t{_escaped(value)}\n" for path, value in _values(tree, ""))


def _values(tree: object, path: str) -> Iterator[tuple[str, str]]:
    if path:
        value = tree if isinstance(tree, str) else json.dumps(tree, ensure_ascii=False)
        if "\0" in value:
            raise InvalidInput(f"{path} has a NUL character, which cannot be given to a script")
        yield path, value
    children: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(tree, Mapping):
        children = iter(tree.items())
    elif isinstance(tree, list | tuple):
        children = iter(enumerate(tree))
    for key, child in children:
        yield from _values(child, f"{path}/{key}" if path else str(key))


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\n", "%0A").replace("\t", "%09")
