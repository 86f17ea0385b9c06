"""Passwords made for a cluster: ``%secret.NAME%`` in its config.

Each is derived (HMAC-SHA256) from the name and one random key per cluster, which only Prefect keeps, encrypted, in the
Secret block ``coopr-<installation>-<cluster id>`` (the installation is the store's, for stores that share a server); so
a password is the same in every task and job of the cluster, and gone with it. The store, parameters and logs never hold
one.
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


def block_name(store: Store, cluster_id: str) -> str:
    """The name of the Secret block that keeps the cluster's key."""
    return f"coopr-{store.installation}-{cluster_id}"


def uses_secrets(config: Mapping[str, Any]) -> bool:
    """Whether a config asks for a password."""
    return any(use.name is not None and use.name.secret for use in uses(config))


def asks_for_secrets(layout: ClusterLayout) -> bool:
    """Whether the config of a cluster, or an action of its services, asks for a password."""
    fields = (action.fields for service in layout.services.values() for action in service.actions.values())
    return uses_secrets(layout.config) or any(
        use.name is not None and use.name.secret for each in fields for use in uses(each, loose=True)
    )


def derive(key: str, name: str) -> str:
    """The password called ``name``: 32 hexadecimal digits, 128 bits."""
    return hmac.new(key.encode(), name.encode(), hashlib.sha256).hexdigest()[:32]


def open_secrets(store: Store, cluster_id: str, redact: Callable[[str], None]) -> Callable[[str], str]:
    """The cluster's passwords by name; its key is made on first use. ``redact`` hears of each before anybody else."""
    secret = known_secrets(store, cluster_id, redact)
    if secret is None:
        _secret()(value=f"key-{secrets.token_hex(32)}").save(block_name(store, cluster_id), _sync=True)
        secret = known_secrets(store, cluster_id, redact)
    assert secret is not None
    return secret


def known_secrets(store: Store, cluster_id: str, redact: Callable[[str], None]) -> Callable[[str], str] | None:
    """The cluster's passwords by name, as ``open_secrets`` gives them; None when Prefect has no key of the cluster."""
    key = _load(block_name(store, cluster_id))
    if key is None:
        return None
    redact(key)
    found = key

    def secret(wanted: str) -> str:
        value = derive(found, wanted)
        redact(value)
        return value

    return secret


def forget_secrets(store: Store, cluster_id: str) -> None:
    """Delete the cluster's key, if it has one."""
    name = block_name(store, cluster_id)
    if _load(name) is not None:
        _secret().delete(name, _sync=True)


def clusters_with_keys(store: Store) -> list[str]:
    """The ids of this installation's clusters that Prefect keeps a key for."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        blocks = client.read_block_documents_by_type("secret", include_secrets=False)
    pattern = re.compile(re.escape(block_name(store, "")) + r"(\d{8,})")
    return sorted(match[1] for block in blocks if (match := pattern.fullmatch(block.name or "")))


def _load(name: str) -> str | None:
    try:
        return str(_secret().load(name, _sync=True).get())
    except ValueError:
        return None


def _secret() -> Any:
    """Prefect's Secret block, untyped: its calls take ``_sync``, which their signatures do not say."""
    from prefect.blocks.system import Secret

    return Secret
