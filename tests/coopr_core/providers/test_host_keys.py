"""Host keys that are made for machines: known before, nowhere kept, and looked at by a real key exchange."""

from __future__ import annotations

import subprocess
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from local_lab import Lab

from coopr_core.errors import Unreachable, WrongHostKey
from coopr_core.providers.contract import Machine
from coopr_core.providers.handshake import look
from coopr_core.providers.host_keys import HostKey, seed_of
from coopr_core.remote.keys import ensure_client_key


def test_a_key_follows_from_seed_and_token_alone() -> None:
    key = HostKey.derived(b"seed", "00000001-1000-ab")
    assert key == HostKey.derived(b"seed", "00000001-1000-ab")
    others = [HostKey.derived(b"seed", "00000001-1001-ab"), HostKey.derived(b"other", "00000001-1000-ab")]
    assert len({key.public, *(other.public for other in others)}) == 3
    assert "PRIVATE" not in repr(key)


def test_the_private_key_is_a_file_that_ssh_reads(tmp_path: Path) -> None:
    key = HostKey.derived(b"seed", "token")
    loaded = serialization.load_ssh_private_key(key.private.encode(), None)
    public = loaded.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert public.decode() == key.public
    path = tmp_path / "key"
    path.write_text(key.private)
    path.chmod(0o600)
    assert paramiko.Ed25519Key.from_private_key_file(str(path)).get_base64() == key.public.split()[1]


def test_openssh_reads_the_private_key_too(tmp_path: Path, openssh: None) -> None:
    key = HostKey.derived(b"seed", "token")
    path = tmp_path / "key"
    path.write_text(key.private)
    path.chmod(0o600)
    told = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=True)
    assert told.stdout.split()[:2] == key.public.split()


@pytest.mark.parametrize(
    "key",
    [
        Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ],
    ids=["ed25519", "ecdsa", "rsa"],
)
def test_the_seed_is_the_key_however_its_file_writes_it(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    seeds = set()
    for number, form in enumerate((serialization.PrivateFormat.OpenSSH, serialization.PrivateFormat.PKCS8) * 2):
        path = tmp_path / str(number)
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        seeds.add(seed_of(path))
    assert len(seeds) == 1


def test_our_own_key_is_a_seed(tmp_path: Path) -> None:
    ensure_client_key(tmp_path / "id")
    assert seed_of(tmp_path / "id") == seed_of(tmp_path / "id")


def test_a_machine_is_looked_at_by_its_key(lab: Lab) -> None:
    machine = lab.node()
    look(machine)
    other = HostKey.derived(b"seed", "another").public
    values = {**machine.to_json(), "host_keys": [other]}
    with pytest.raises(WrongHostKey, match="answers with another host key than node 1000 has"):
        look(Machine.from_json(values))
    with pytest.raises(Unreachable, match=r"no SSH server answers on 127\.0\.0\.1 port 1"):
        look(Machine.from_json({**values, "addresses": {"access_v4": "127.0.0.1"}, "port": 1}))
