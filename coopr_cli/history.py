"""`coopr events`: what happened to a cluster, as JSON lines."""

from __future__ import annotations

from typing import Any

import click

from coopr_cli.output import FORMATS, as_table, json_text, print_data
from coopr_cli.tables import print_table


@click.command("events")
@click.argument("cluster")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["lines", *FORMATS]),
    default="lines",
    help="lines: one JSON value a line (the default); or how else to print it.",
)
@click.option("--json", "as_json", is_flag=True, help="Short for -o json.")
def events_command(cluster: str, output: str, as_json: bool) -> None:
    """Tell everything that happened to CLUSTER, also a deleted one: every job and attempt, who, when, from where."""
    from coopr_core.store import Store

    with Store.open() as store:
        happened = store.history(store.cluster(cluster, terminated=True).id)
    output = as_table(click.get_current_context(), output)
    if as_json or output in ("json", "yaml"):
        print_data(happened, "json" if as_json else output)
    elif output == "lines":
        for event in happened:
            click.echo(json_text(event))
    else:
        print_table(
            ("time", "event", "what", "state", "by", "via"),
            [(e["time"], e["event"], _what(e), e.get("state"), e["by"], e["via"]) for e in happened],
            drop=("via", "by", "event"),
        )


def _what(event: dict[str, Any]) -> str:
    if "task" in event:
        return f"{event['task']} #{event['attempt']} {event['action']} {event['service']}".rstrip()
    return " ".join(str(part) for part in (event.get("job"), event.get("operation") or event.get("to")) if part)
