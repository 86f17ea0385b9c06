"""Passwords made for a cluster: ``%secret.NAME%`` in its config.

Each is derived (HMAC-SHA256) from the name and one random key per cluster, which only the vault keeps, under the name
``coopr-<installation>-<cluster id>`` (the installation is the store's, for stores that share a vault); so a password is
the same in every task and job of the cluster, and gone with it. The store, parameters and logs never hold one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from coopr_core.macros import uses

if TYPE_CHECKING:
    from coopr_core.model.layout import ClusterLayout
    from coopr_core.store import Store
    from coopr_core.vault import Vault


def key_name(store: Store, cluster_id: str) -> str:
    """Return the name that the vault keeps the cluster's key under."""
    return f"coopr-{store.installation}-{cluster_id}"


def uses_secrets(config: Mapping[str, Any]) -> bool:
    """Return whether a config asks for a password."""
    return any(use.secret for use in uses(config))


def asks_for_secrets(layout: ClusterLayout) -> bool:
    """Return whether the config of a cluster, or an action of its services, asks for a password."""
    fields = (action.fields for service in layout.services.values() for action in service.actions.values())
    return uses_secrets(layout.config) or any(use.secret for each in fields for use in uses(each, loose=True))


def derive(key: str, name: str) -> str:
    """Return the password called ``name``: 32 hexadecimal digits, 128 bits."""
    return hmac.new(key.encode(), name.encode(), hashlib.sha256).hexdigest()[:32]


def open_secrets(store: Store, vault: Vault, cluster_id: str, redact: Callable[[str], None]) -> Callable[[str], str]:
    """Return the cluster's passwords by name; its key is made on first use.

    ``redact`` hears of each before anybody else.
    """
    known = known_secrets(store, vault, cluster_id, redact)
    if known is not None:
        return known
    key = f"key-{secrets.token_hex(32)}"
    vault.keep(key_name(store, cluster_id), key)
    return _passwords(key, redact)


def known_secrets(
    store: Store, vault: Vault, cluster_id: str, redact: Callable[[str], None]
) -> Callable[[str], str] | None:
    """Return the cluster's passwords by name, as ``open_secrets``; None when the vault has no key of the cluster."""
    key = vault.secret(key_name(store, cluster_id))
    return None if key is None else _passwords(key, redact)


def forget_secrets(store: Store, vault: Vault, cluster_id: str) -> None:
    """Delete the cluster's key, if it has one."""
    vault.forget(key_name(store, cluster_id))


def clusters_with_keys(store: Store, vault: Vault) -> list[str]:
    """Return the ids of this installation's clusters that the vault keeps a key for."""
    pattern = re.compile(re.escape(key_name(store, "")) + r"(\d{8,})")
    return sorted(match[1] for name in vault.names() if (match := pattern.fullmatch(name)))


def _passwords(key: str, redact: Callable[[str], None]) -> Callable[[str], str]:
    redact(key)

    def secret(wanted: str) -> str:
        value = derive(key, wanted)
        redact(value)
        return value

    return secret
