"""The keys SSH servers of machines answer with: made by us and known before the machine is, and looked at.

Why derived, not drawn: a request must be the same when it is sent again after a crash, or a provider refuses its token;
and a private key that waits in a file or table for its machine can be read there. So the key of a machine follows from
the private key that opens the cluster's nodes and the machine's token (HKDF-SHA256, RFC 5869), is nowhere kept, and can
be worked out anew wherever the job goes on. Whoever holds the key that opens the nodes owns them already; a node that
knows its own host key learns nothing of the other.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from coopr_core.errors import Unreachable, WrongHostKey

if TYPE_CHECKING:
    from coopr_core.providers.contract import Machine

HANDSHAKE_SECONDS = 20.0

_KIND = b"ssh-ed25519"
_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host key: ``private`` is an OpenSSH private key file's text, ``public`` is ``"<type> <base64>"``."""

    private: str = field(repr=False)
    public: str

    @classmethod
    def derived(cls, seed: bytes, token: str) -> HostKey:
        """Return the key of the machine with this token; the same for the same seed, unlike any other."""
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        info = f"coopr host key of {token}".encode()
        secret = HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(seed)
        public = Ed25519PrivateKey.from_private_bytes(secret).public_key()
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        line = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        return cls(_private_file(secret, raw), line.decode())


def _private_file(secret: bytes, public: bytes) -> str:
    """Return the text of an ed25519 key file (OpenSSH's PROTOCOL.key), the same for the same key.

    The libraries write a random number into it, so that its user data would differ each time.
    """
    blob = _string(_KIND) + _string(public)
    check = hashlib.sha256(public).digest()[:4]
    inner = check + check + blob + _string(secret + public) + _string(b"")
    inner += bytes(range(1, 1 + -len(inner) % 8))
    outer = b"openssh-key-v1\0" + _string(b"none") + _string(b"none") + _string(b"") + (1).to_bytes(4, "big")
    text = base64.b64encode(outer + _string(blob) + _string(inner)).decode()
    lines = [text[start : start + 70] for start in range(0, len(text), 70)]
    return "\n".join(["-----BEGIN OPENSSH PRIVATE KEY-----", *lines, "-----END OPENSSH PRIVATE KEY-----", ""])


def _string(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def seed_of(key_file: Path) -> bytes:
    """Return what host keys are derived from: the numbers of a private key, however its file writes them."""
    from cryptography.hazmat.primitives import serialization

    text = key_file.read_bytes()
    is_openssh = b"OPENSSH PRIVATE KEY" in text
    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    return load(text, None).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


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
