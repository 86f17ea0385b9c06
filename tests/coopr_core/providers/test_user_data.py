"""What a new machine's cloud-init is told."""

from __future__ import annotations

import yaml

from coopr_core.providers.host_keys import HostKey
from coopr_core.providers.user_data import cloud_config

KEY = HostKey.derived(b"seed", "token")


def test_it_makes_the_user_lets_the_key_in_and_sets_the_host_key() -> None:
    text = cloud_config(
        host_name="shop1-1000.example.org",
        ssh_user="debian",
        authorized_key="ssh-ed25519 AAAA",
        host_key=KEY,
        commands=("touch /ready",),
    )
    assert text.startswith("#cloud-config\n")
    config = yaml.safe_load(text)
    assert config == {
        "hostname": "shop1-1000",
        "fqdn": "shop1-1000.example.org",
        "preserve_hostname": False,
        "ssh_pwauth": False,
        "locale": "false",
        "users": [
            {
                "name": "debian",
                "ssh_authorized_keys": ["ssh-ed25519 AAAA"],
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                "shell": "/bin/bash",
                "lock_passwd": True,
            }
        ],
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": KEY.private, "ed25519_public": KEY.public},
        "runcmd": ["touch /ready"],
    }


def test_root_gets_in_where_it_is_the_user() -> None:
    config = yaml.safe_load(cloud_config(host_name="n", ssh_user="", authorized_key="ssh-ed25519 AAAA"))
    assert config["disable_root"] is False
    assert config["users"] == [{"name": "root", "ssh_authorized_keys": ["ssh-ed25519 AAAA"]}]
    assert "ssh_keys" not in config
    assert "fqdn" not in config


def test_it_is_the_same_each_time() -> None:
    def text() -> str:
        key = HostKey.derived(b"seed", "token")
        return cloud_config(host_name="n", ssh_user="x", authorized_key="k", host_key=key)

    assert text() == text()
