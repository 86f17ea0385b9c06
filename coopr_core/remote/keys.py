"""Our client key and the nodes' pinned host keys, as values.

``ensure_client_key`` may be called by many processes at once: all get the same key, and no file is ever half written
or readable by others.
"""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.folders import make_folder
from coopr_core.settings import load_settings

if TYPE_CHECKING:
    import paramiko

    from coopr_core.model.records import ClusterRecord
    from coopr_core.vault import Vault


def client_key(cluster: ClusterRecord, vault: Vault) -> Path:
    """Return the private key that opens the nodes of a cluster: that of its block, else our own."""
    block = cluster.facts.ssh_key
    return vault.key_file(block) if block else own_key()


def own_key() -> Path:
    """Return our own private key, made on first need."""
    path = load_settings().state_dir / "ssh" / "id_ed25519"
    ensure_client_key(path)
    return path


def authorized_key(path: Path) -> str:
    """Return the public half of a private key file, in OpenSSH form."""
    return public_key(load_key(path))


def ensure_client_key(path: Path) -> str:
    """Make an ed25519 key at ``path`` (0600) and ``path.pub`` unless they are there; the public key in OpenSSH form."""
    make_folder(path.parent)
    if not path.exists():
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        private = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        _write_once(path, private)
    path.chmod(0o600)
    public = public_key(load_key(path))
    public_path = path.with_name(path.name + ".pub")
    if not public_path.exists():
        _write_once(public_path, f"{public}\n".encode(), mode=0o644)
    return public


def _write_once(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a whole file or nothing; when another process was faster its file stays."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        os.unlink(temporary)


def load_key(path: Path) -> paramiko.PKey:
    """Return the private key in a file: ed25519, RSA or ECDSA, in OpenSSH or PEM form, without a passphrase."""
    import paramiko

    try:
        return paramiko.PKey.from_path(path)
    except FileNotFoundError as error:
        raise NotFound(f"SSH key {path} does not exist", hint="Name an existing private key.") from error
    except PermissionError as error:
        raise InvalidInput(f"SSH key {path} may not be read by this user") from error
    except (paramiko.PasswordRequiredException, TypeError) as error:
        hint = f"Remove the passphrase of a copy of it: ssh-keygen -p -f {path}"
        raise InvalidInput(f"SSH key {path} has a passphrase", hint=hint) from error
    except (paramiko.SSHException, ValueError, IndexError, OSError) as error:
        hint = "Give an ed25519, RSA or ECDSA private key in OpenSSH form (ssh-keygen -t ed25519)."
        raise InvalidInput(f"SSH key {path} cannot be used: {type(error).__name__}", hint=hint) from error


def public_key(key: paramiko.PKey) -> str:
    """Return the public half, ``"<type> <base64>"``."""
    return f"{key.get_name()} {key.get_base64()}"


def parse_host_key(text: str) -> paramiko.PKey:
    """Return a pinned host key from ``"<type> <base64>"`` (a comment after it is welcome)."""
    import paramiko

    parts = text.split()
    if len(parts) < 2:
        raise InvalidInput(f"host key {text[:40]!r} is not '<type> <base64>'")
    try:
        return paramiko.PKey.from_type_string(parts[0], base64.b64decode(parts[1], validate=True))
    except (binascii.Error, paramiko.SSHException, ValueError, IndexError) as error:
        raise InvalidInput(f"host key {text[:40]!r} cannot be read: {type(error).__name__}") from error
    except paramiko.pkey.UnknownKeyType as error:
        raise InvalidInput(f"host key type {parts[0]!r} is not known") from error
