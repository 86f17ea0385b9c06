"""Transfers to and from local nodes, with paramiko's and OpenSSH's clients."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest
from local_lab import Lab

from coopr_core.providers.contract import Machine

pytestmark = pytest.mark.both


def test_paths_mean_the_same_to_commands_and_transfers(shared_lab: Lab, machine: Machine) -> None:
    with shared_lab.connect(machine) as connection:
        connection.put(io.BytesIO(b"relative"), "relative.txt")
        connection.put(io.BytesIO(b"below"), "/var/lib/below.txt")
        connection.put(io.BytesIO(b"whole"), f"{machine.root}/var/lib/whole.txt")
        script = 'cat ~/relative.txt; cat "$COOPR_ROOT/var/lib/below.txt" "$COOPR_ROOT/var/lib/whole.txt"'
        assert connection.run(script, hide=True, in_stream=False).stdout == "relativebelowwhole"
        assert connection.sftp().normalize(".") == f"{machine.root}/home"


def test_no_path_leads_above_the_nodes_root(shared_lab: Lab, machine: Machine) -> None:
    with shared_lab.connect(machine) as connection:
        sftp = connection.sftp()
        assert sorted(sftp.listdir("/../../..")) == sorted(os.listdir(machine.root))
        with pytest.raises(FileNotFoundError):
            sftp.listdir(f"{machine.root}/../..")


def test_large_files_arrive_whole_both_ways(shared_lab: Lab, machine: Machine, tmp_path: Path) -> None:
    data = os.urandom(8_000_000)
    with shared_lab.connect(machine) as connection:
        connection.put(io.BytesIO(data), "large")
        back = io.BytesIO()
        connection.get("large", back)
    assert back.getvalue() == data
    assert (Path(machine.root) / "home" / "large").read_bytes() == data


def test_folders_modes_links_and_renames_work(shared_lab: Lab, machine: Machine) -> None:
    with shared_lab.connect(machine) as connection:
        sftp = connection.sftp()
        sftp.mkdir("folder")
        sftp.putfo(io.BytesIO(b"x"), "folder/a")
        sftp.chmod("folder/a", 0o600)
        sftp.symlink("a", "folder/link")
        sftp.rename("folder/a", "folder/b")
        assert sorted(sftp.listdir("folder")) == ["b", "link"]
        assert sftp.stat("folder/b").st_mode is not None
        assert sftp.stat("folder/b").st_mode & 0o777 == 0o600  # type: ignore[operator]  # asserted above
        sftp.remove("folder/link")
        sftp.remove("folder/b")
        sftp.rmdir("folder")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_as_root_a_transfer_has_the_rights_of_the_nodes_user(
    shared_lab: Lab, machine: Machine, machine_cache: Path
) -> None:
    secret = shared_lab.state_dir / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    with shared_lab.connect(machine) as connection:
        connection.put(io.BytesIO(b"x"), "owned")
        assert connection.run("stat -c %U owned", hide=True, in_stream=False).stdout == "nobody\n"
        connection.run(f"ln -s {secret} planted", in_stream=False)
        with pytest.raises(PermissionError):
            connection.get("planted", io.BytesIO())
        with pytest.raises(PermissionError):
            connection.put(io.BytesIO(b"overwritten"), "planted")
    assert secret.read_text() == "secret"
    assert os.geteuid() == 0


def test_openssh_copies_both_ways(shared_lab: Lab, machine: Machine, openssh: None, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"content" * 1000)
    scp, host = shared_lab.ssh(machine, "scp"), machine.addresses["access_v4"]
    for protocol in ("-s", "-O"):
        subprocess.run([*scp, protocol, "-r", str(tmp_path / "tree"), f"{host}:sent{protocol}"], check=True)
        subprocess.run([*scp, protocol, "-r", f"{host}:sent{protocol}", str(tmp_path / protocol)], check=True)
        assert (tmp_path / protocol / "file").read_bytes() == b"content" * 1000


def test_openssh_sftp_runs_a_batch(shared_lab: Lab, machine: Machine, openssh: None, tmp_path: Path) -> None:
    batch = tmp_path / "batch"
    batch.write_text(f"mkdir made\ncd made\nput {batch} here\nls -l\nrename here there\nget there {tmp_path}/back\n")
    command = [*shared_lab.ssh(machine, "sftp"), "-b", str(batch), machine.addresses["access_v4"]]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "here" in done.stdout
    assert (tmp_path / "back").read_text() == batch.read_text()
