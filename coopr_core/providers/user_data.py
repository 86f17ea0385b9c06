"""The text a new machine's cloud-init reads: its name, who may log in, and the host key it must answer with.

A pure function: the same machine gets the same text, for a request that is sent again must not differ. The text holds
the private host key: it is for the provider alone, never for a log or a record.
"""

from __future__ import annotations

from typing import Any

import yaml

from coopr_core.providers.host_keys import HostKey

_SHORT = 63


def cloud_config(
    *,
    host_name: str,
    ssh_user: str,
    authorized_key: str,
    host_key: HostKey | None = None,
    commands: tuple[str, ...] = (),
) -> str:
    """Return the ``#cloud-config`` of a machine; ``commands`` run at the end of its first boot, as root.

    Without a ``host_key`` the machine makes its own. Root, or the user named, gets in with the authorized key alone.
    """
    config: dict[str, Any] = {
        "hostname": host_name.partition(".")[0][:_SHORT],
        "preserve_hostname": False,
        "ssh_pwauth": False,
        "locale": "false",  # a minimal image cannot make any, and calls that an error; as text for older versions
        **_login(ssh_user or "root", authorized_key),
    }
    if "." in host_name:
        config["fqdn"] = host_name
    if host_key is not None:
        config["ssh_deletekeys"] = True
        config["ssh_keys"] = {"ed25519_private": host_key.private, "ed25519_public": host_key.public}
    if commands:
        config["runcmd"] = list(commands)
    return "#cloud-config\n" + yaml.safe_dump(config, sort_keys=True, width=2000)


def _login(user: str, key: str) -> dict[str, Any]:
    if user == "root":
        return {"disable_root": False, "users": [{"name": "root", "ssh_authorized_keys": [key]}]}
    someone = {
        "name": user,
        "ssh_authorized_keys": [key],
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "shell": "/bin/bash",
        "lock_passwd": True,
    }
    return {"users": [someone]}
