"""What tasks know, made for tests: a node with services, and the tasks of their actions on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from coopr_core.automators.context import TaskContext
from coopr_core.catalog.entities import Service

TASK_ID = "00000015-044-275"


def service(name: str = "demo", files: dict[str, str] | None = None, **actions: dict[str, Any]) -> Service:
    described = {action: {"type": "shell", "fields": fields} for action, fields in actions.items()}
    return Service.model_validate({"name": name, "provisioner": {"actions": described}, "files": files or {}})


def node(root: Path, *services: Service, config: Mapping[str, Any] | None = None) -> TaskContext:
    """The BOOTSTRAP of a node; its tasks to come have this config."""
    return TaskContext(
        task_id=TASK_ID,
        action="BOOTSTRAP",
        cluster_id="00000015",
        cluster_name="demo",
        number=1000,
        host_name="demo15-1000.local",
        root=str(root),
        services=services,
        config=config or {},
        addresses={"bind_v4": "127.0.0.1", "access_v4": "127.0.0.9"},
    )


def task(action: str, service: Service, on: TaskContext) -> TaskContext:
    """The task of an action of a service on a node."""
    fields = service.actions[action.lower()].fields if action.lower() in service.actions else {}
    return replace(on, action=action.upper(), service=service, fields=fields)
