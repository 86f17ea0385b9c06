"""Our client key is made once, whole and for us alone; keys of others are read or refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.remote.keys import ensure_client_key, load_key, parse_host_key, public_key

pytestmark = pytest.mark.both


def test_the_client_key_is_made_on_first_need_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "ssh" / "id_ed25519"
    public = ensure_client_key(path)
    assert public.startswith("ssh-ed25519 AAAA")
    assert ensure_client_key(path) == public
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "ssh" / "id_ed25519.pub").read_text() == public + "\n"
    assert sorted(item.name for item in path.parent.iterdir()) == ["id_ed25519", "id_ed25519.pub"]


def test_processes_that_need_it_at_once_get_the_same(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from coopr_core.remote.keys import ensure_client_key;"
        "print(ensure_client_key(Path(sys.argv[1])))"
    )
    path = str(tmp_path / "new" / "key")
    running = [
        subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert len({process.communicate()[0] for process in running}) == 1
    assert {process.returncode for process in running} == {0}
    assert sorted(os.listdir(tmp_path / "new")) == ["key", "key.pub"]


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
@pytest.mark.parametrize("form", [[], ["-m", "PEM"]])
def test_keys_made_by_ssh_keygen_can_be_used(tmp_path: Path, kind: str, form: list[str]) -> None:
    path = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, *(["-b", "2048"] if kind == "rsa" else []), *form, "-N", "", "-f", str(path)],
        check=True,
    )
    assert public_key(load_key(path)) == " ".join(path.with_suffix(".pub").read_text().split()[:2])
    assert public_key(parse_host_key(path.with_suffix(".pub").read_text())) == public_key(load_key(path))


def test_a_key_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="missing does not exist"):
        load_key(tmp_path / "missing")
    (tmp_path / "rubbish").write_text("this is no key")
    with pytest.raises(InvalidInput, match="rubbish cannot be used"):
        load_key(tmp_path / "rubbish")
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "long enough", "-f", str(tmp_path / "locked")], check=True
    )
    with pytest.raises(InvalidInput, match="locked has a passphrase"):
        load_key(tmp_path / "locked")
    with pytest.raises(InvalidInput):
        load_key(tmp_path)
