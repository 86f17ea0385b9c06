"""What a command needs of the vault, whose secrets are in Prefect: a server that runs, and blocks that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coopr_core.model.records import ClusterRecord
    from coopr_core.operations.create import Preparation
    from coopr_core.store import Store
    from coopr_core.vault import Vault


def ready_prefect(store: Store, cluster: ClusterRecord, *, passwords: bool = False) -> None:
    """Have a Prefect server, started if need be, when the cluster's key or settings are in one of its blocks.

    ``passwords``: also when its config has passwords, whose key is in a block. For most clusters nothing is done, and
    Prefect is not imported.
    """
    from coopr_core.work.passwords import asks_for_secrets

    if cluster.facts.needs_vault or (passwords and asks_for_secrets(store.layout(cluster.id))):
        _have_server()


def check_blocks(prepared: Preparation) -> None:
    """Look whether the blocks that a cluster is to be made with are there and can be used, before anybody is asked.

    Raises ``NotFound`` or ``InvalidInput``; without blocks nothing is done, and Prefect is not imported.
    """
    if prepared.request.credentials or prepared.request.ssh_key or prepared.provider.credentials:
        from coopr_core.operations.create import facts_of
        from flows.vault import VAULT

        _have_server()
        facts_of(prepared, (), VAULT)


def vault_if_running() -> Vault | None:
    """Return the vault, if a Prefect server runs; none is started for this."""
    from coopr_cli.prefect_use import put_talk_aside
    from deployments.server import configure_prefect, server_status
    from flows.vault import VAULT

    server = server_status()
    if not server.running:
        return None
    configure_prefect(server)
    put_talk_aside()
    return VAULT


def _have_server() -> None:
    from coopr_cli.prefect_use import put_talk_aside, use_server

    use_server(told="start")
    put_talk_aside()
