"""`coopr doctor`: whether this installation can do its work; looks only, starts nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from coopr_cli.output import output_option, print_data
from coopr_cli.tables import print_table
from coopr_cli.vault import vault_if_running

if TYPE_CHECKING:
    from coopr_core.maintenance.doctor import Verdict

STYLES = {"ok": "green", "note": "yellow", "wrong": "red"}


@click.command("doctor")
@output_option
def doctor_command(output: str) -> int:
    """Check the installation: Python, folders, database, catalog, Prefect server, providers, OpenSSH, local nodes.

    Exit code 1 when something is wrong; a note is something worth knowing that keeps nothing from working.
    """
    from coopr_core.maintenance.doctor import check_all
    from flows.maintenance.doctor import SERVER_CHECKS

    verdicts = list(check_all(SERVER_CHECKS, vault_if_running()))
    wrong = [verdict for verdict in verdicts if verdict.state == "wrong"]
    if output != "table":
        print_data({"ok": not wrong, "checks": [verdict.to_json() for verdict in verdicts]}, output)
    else:
        _print(verdicts)
        click.echo(f"{len(wrong)} of {len(verdicts)} checks found something wrong." if wrong else "Nothing is wrong.")
    return 1 if wrong else 0


def _print(verdicts: list[Verdict]) -> None:
    print_table(
        ("check", "", "what"), [(verdict.name, verdict.state, verdict.text) for verdict in verdicts], wrap=("what",)
    )
    for verdict in verdicts:
        if verdict.hint:
            click.secho(f"{verdict.name}: ", nl=False, err=True, fg=STYLES[verdict.state])
            click.echo(verdict.hint, err=True)
