"""The deployments of all flows, from the flows themselves; ``python -m deployments.definitions`` writes the file.

A flow is published by its public name, ``flows.create_cluster``, wherever it is written; one of another package's
operation is published like ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

NAME = "coopr"
"""What deployments are called, and what the names of pools begin with."""

TAGS = [NAME, "installation:{{ $COOPR_INSTALLATION }}"]

JOB_VARIABLES: dict[str, Any] = {
    "env": {
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
}

MORE: dict[str, dict[str, Any]] = {
    # Runs that nobody could start in time do not all start at once; one that hangs does not keep the next from running.
    "reap_expired": {
        "concurrency_limit": {"limit": 2, "collision_strategy": "CANCEL_NEW"},
        "schedules": [{"interval": 600, "slug": "every-10-minutes", "active": True}],
    },
}
"""What else there is to say about the deployment of a flow."""

FILE = Path(__file__).with_name("prefect.yaml")

HEAD = """\
# Publishes coopr's flows to a process work pool. With a Prefect server to talk to (PREFECT_API_URL):
#
#   export COOPR_INSTALLATION=...        # what `coopr doctor` says: runs are then refused by any other installation
#   prefect work-pool create coopr --type process
#   prefect --no-prompt deploy --all --prefect-file prefect.yaml
#   coopr server env prefect worker start --pool coopr
#
# or simply `coopr deploy`, which does the same from anywhere, on a work pool of the installation's own, and never
# writes over the deployments of another installation. The entry points are names of the installed package, so there is
# nothing to pull and the worker's working directory does not matter.
#
# This file is written by `python -m deployments.definitions`.
"""


def definitions() -> list[dict[str, Any]]:
    """Return the definition of each flow's deployment, as ``prefect.yaml`` has it."""
    import flows

    return [_definition(name, getattr(flows, name).description) for name in flows.flow_names()]


def _definition(name: str, description: str) -> dict[str, Any]:
    return {
        "name": NAME,
        "entrypoint": f"flows.{name}",
        "description": description,
        "tags": list(TAGS),
        "pull": [],
        "work_pool": {"name": NAME, "job_variables": JOB_VARIABLES},
        **MORE.get(name, {}),
    }


def text() -> str:
    """Return what ``prefect.yaml`` holds."""
    import yaml

    class Repeating(yaml.SafeDumper):
        """Writes what is repeated again, without anchors."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    whole = {"name": NAME, "pull": [], "deployments": definitions()}
    return HEAD + yaml.dump(whole, Dumper=Repeating, sort_keys=False, width=200, allow_unicode=True)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
