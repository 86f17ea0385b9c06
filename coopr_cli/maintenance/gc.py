"""`coopr gc`: names what is left over of clusters that are gone, asks, and deletes it."""

from __future__ import annotations

import click

from coopr_cli.confirm import confirm
from coopr_cli.output import output_option, print_data
from coopr_cli.tables import print_table
from coopr_cli.vault import vault_if_running


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only name what would be deleted.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def gc_command(dry_run: bool, yes: bool, output: str) -> int:
    """Delete what is left over of clusters that are gone: machines, logs, keys of passwords.

    Names it first, and asks. What a living node has, or a running job may be making, is never touched.
    """
    from coopr_core.maintenance.leftovers import delete_leftovers, find_leftovers
    from coopr_core.store import Store

    vault = vault_if_running()
    with Store.open() as store:
        found = find_leftovers(store, vault)
        if output == "table":
            print_table(
                ("leftover", "name", "cluster", "why"),
                [(item.kind, item.name, item.cluster, item.why) for item in found.items],
                wrap=("why",),
                empty="Nothing is left over.",
            )
            for unseen in found.unseen:
                click.echo(f"  not looked at: {unseen}", err=True)
        results = {}
        if found.items and not dry_run:
            confirm(f"Delete these {len(found.items)} leftovers?", yes=yes)
            results = delete_leftovers(store, found.items, vault, confirmed=found.digest)
    failed = {item: reason for item, reason in results.items() if reason}
    if output != "table":
        entries = [
            {**item.to_json(), "deleted": item in results and item not in failed, "error": failed.get(item, "")}
            for item in found.items
        ]
        print_data({"leftovers": entries, "not_looked_at": list(found.unseen)}, output)
        return 1 if failed else 0
    for item, reason in failed.items():
        click.echo(f"{item.kind} {item.name} is still there: {reason}", err=True)
    if results:
        click.echo(f"Deleted {len(results) - len(failed)} of {len(results)}.")
    return 1 if failed else 0
