"""Run by ``test_local_ordinary_user`` as another user: a whole life of two local nodes, told as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import asyncssh
from watching import alive

from coopr_core.model.placement import Placement
from coopr_core.providers.cloud import Cloud
from coopr_core.providers.contract import Machine, MachineRequest
from coopr_core.providers.local import LocalProvider
from coopr_core.providers.scope import Scope


def main(state_dir: str) -> dict[str, object]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    provider = Cloud(LocalProvider(state_dir=Path(state_dir)))
    machines = []
    for number in range(2):
        request = MachineRequest(
            token=f"token-{number}",
            scope=Scope(cluster_id="00000001", cluster_name="ours", authorized_key=key.export_public_key().decode()),
            node=1000 + number,
            host_name=f"ours-{1000 + number}",
            placement=Placement(flavor="small", image="python"),
        )
        machines.append(provider.confirm(provider.create(request)))

    async def run(machine: Machine, command: str) -> str:
        async with asyncssh.connect(
            machine.addresses["access_v4"], machine.port, client_keys=[key], known_hosts=None, config=[], username="x"
        ) as connection:
            return str((await connection.run(command, check=True)).stdout).strip()

    uid = asyncio.run(run(machines[0], "id -u"))
    pip = asyncio.run(run(machines[1], "pip --version"))
    daemon = int(asyncio.run(run(machines[1], "cd /; env -i setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $!")))
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (Path(state_dir) / "local").iterdir()}
    running = alive(daemon)
    for machine in machines:
        provider.delete(machine)
    gone = not alive(daemon)
    return {
        "uid": uid,
        "pip": pip,
        "modes": modes,
        "running": running,
        "gone": gone,
        "left": os.listdir(Path(state_dir) / "local" / "nodes"),
        "addresses": sorted(machine.addresses["access_v4"] for machine in machines),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1])))
