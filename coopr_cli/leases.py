"""`coopr extend`, `protect`, `unprotect` and `reap-expired`: how long clusters live, and what ends when it is over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from coopr_cli.confirm import confirm
from coopr_cli.output import output_option, print_data, span
from coopr_cli.tables import print_table

if TYPE_CHECKING:
    from coopr_core.model.records import ClusterRecord


@click.command("extend")
@click.argument("cluster")
@click.argument("duration", default="")
@output_option
def extend_command(cluster: str, duration: str, output: str) -> None:
    """Let CLUSTER live longer: by DURATION, such as 2h or 7d, or by its template's step; 0 is for ever."""
    from coopr_core.store import Store

    with Store.open() as store:
        record = store.extend_lease(store.cluster(cluster).id, duration or None)
    _tell(record, output, f"Cluster {record.name} ({record.id}) {lifetime(record)}.")


@click.command("protect")
@click.argument("cluster")
@output_option
def protect_command(cluster: str, output: str) -> None:
    """Guard CLUSTER against deletion, also when its lease runs out."""
    _protect(cluster, True, output)


@click.command("unprotect")
@click.argument("cluster")
@output_option
def unprotect_command(cluster: str, output: str) -> None:
    """Lift the protection of CLUSTER: it may be deleted again."""
    _protect(cluster, False, output)


@click.command("reap-expired")
@click.option("--all", "everybody", is_flag=True, help="The clusters of all tenants, not only ours.")
@click.option(
    "--warn-before",
    metavar="DURATION",
    help="Warn of leases that end so soon (default: the setting 'lease_warning').",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def reap_expired_command(everybody: bool, warn_before: str | None, dry_run: bool, yes: bool, output: str) -> None:
    """Delete every cluster whose lease has run out, each on its own; protected ones are left alone."""
    from coopr_core.durations import parse_duration
    from coopr_core.maintenance.leases import find_expired
    from coopr_core.settings import load_settings
    from coopr_core.store import Store

    parse_duration(warn_before or "0")
    tenant = None if everybody else load_settings().tenant
    with Store.open() as store:
        expired = find_expired(store, tenant)
        over, digest = list(expired.leaving), expired.digest
    if dry_run:
        if output != "table":
            print_data([_lease(record) for record in over], output)
            return
        rows = [(each.name, each.id, each.tenant, each.state.value, lifetime(each)) for each in over]
        print_table(
            ("name", "id", "tenant", "state", "lease"),
            rows,
            wrap=["lease"],
            drop=["tenant", "state"],
            empty="No lease has run out.",
        )
        return
    if over:
        names = ", ".join(record.name for record in over)
        confirm(f"Delete {len(over)} expired clusters: {names}?", yes=yes)
    result = _reap(tenant, warn_before, digest, quiet=output != "table")
    if output != "table":
        print_data(result, output)
        return
    for what, verdict in (("deleted", "deleted"), ("skipped", "left alone"), ("warned", "warned of")):
        for each in result[what]:
            reason = f": {each['reason']}" if each.get("reason") else ""
            click.echo(f"{each['name']} ({each['cluster_id']}) {verdict}{reason}")
    if not any(result.values()):
        click.echo("No lease has run out.")


def lifetime(record: ClusterRecord) -> str:
    """How long the cluster may still live, in words."""
    if record.expires_at is None:
        return "does not expire"
    left = (record.expires_at - datetime.now(UTC)).total_seconds()
    when = f"{record.expires_at:%F %T} UTC"
    return f"expires in {span(left)}, at {when}" if left > 0 else f"expired {span(-left)} ago, at {when}"


def _protect(cluster: str, protected: bool, output: str) -> None:
    from coopr_core.store import Store

    with Store.open() as store:
        record = store.set_protected(store.cluster(cluster).id, protected)
    verb = "is protected against deletion" if protected else f"is not protected any more; it {lifetime(record)}"
    _tell(record, output, f"Cluster {record.name} ({record.id}) {verb}.")


def _tell(record: ClusterRecord, output: str, sentence: str) -> None:
    if output == "table":
        click.echo(sentence)
    else:
        print_data(_lease(record), output)


def _lease(record: ClusterRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "id": record.id,
        "tenant": record.tenant,
        "state": record.state.value,
        "created": record.created,
        "expires_at": record.expires_at,
        "protected": record.protected,
    }


def _reap(tenant: str | None, warn_before: str | None, confirmed: str, *, quiet: bool) -> dict[str, Any]:
    from coopr_cli.prefect_use import interrupts_told, put_talk_aside, use_server

    with interrupts_told():
        use_server(told="nothing" if quiet else "all")
        put_talk_aside()
        from flows import reap_expired

        result: dict[str, Any] = reap_expired(tenant=tenant, warn_before=warn_before, confirmed=confirmed)
        return result
