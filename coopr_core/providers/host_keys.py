"""The keys SSH servers of machines answer with: made by us, and known before the machine is.

Why derived, not drawn: a request must be the same when it is sent again after a crash, or a provider refuses its token;
and a private key that waits in a file or table for its machine can be read there. So the key of a machine follows from
the private key that opens the cluster's nodes and the machine's token (HKDF-SHA256, RFC 5869), is nowhere kept, and can
be worked out anew wherever the job goes on. Whoever holds the key that opens the nodes owns them already; a node that
knows its own host key learns nothing of the other.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

_KIND = b"ssh-ed25519"


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
