"""Whether a machine's SSH server answers with the very key, without logging in."""

from __future__ import annotations

import socket
import time

from coopr_core.errors import Unreachable, WrongHostKey
from coopr_core.providers.contract import Machine

HANDSHAKE_SECONDS = 20.0

_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


def look(machine: Machine) -> None:
    """See that the machine's SSH server answers with a key that is pinned, by a real key exchange.

    Raises ``WrongHostKey``, or ``Unreachable`` when nothing answers.
    """
    name, place = f"node {machine.node}", f"{machine.address} port {machine.port}"
    found = _key_at(machine)
    if found not in machine.host_keys:
        raise WrongHostKey(
            f"{place} answers with another host key than {name} has",
            hint="Something else listens there; end it, then try again.",
        )


def _key_at(machine: Machine) -> str:
    """Return the key that answers there, of a pinned kind if it has one."""
    import paramiko

    deadline = time.monotonic() + HANDSHAKE_SECONDS
    try:
        with socket.create_connection((machine.address, machine.port), timeout=HANDSHAKE_SECONDS) as connection:
            transport = paramiko.Transport(connection)
            options = transport.get_security_options()
            pinned = {kind for key in machine.host_keys for kind in _kinds(key)}
            options.key_types = sorted(options.key_types, key=lambda kind: kind not in pinned)
            try:
                transport.start_client(timeout=max(1.0, deadline - time.monotonic()))
                key = transport.get_remote_server_key()
            finally:
                transport.close()
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise Unreachable(
            f"no SSH server answers on {machine.address} port {machine.port}: {error or type(error).__name__}",
            hint="Try again: its server may not be up yet.",
        ) from error
    return f"{key.get_name()} {key.get_base64()}"


def _kinds(pin: str) -> tuple[str, ...]:
    kind = pin.partition(" ")[0]
    return _SIGNATURES.get(kind, (kind,))
