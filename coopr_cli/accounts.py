"""`coopr quota` and `coopr usage`: what tenants may have, have, and have had."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from coopr_cli.output import output_option, print_data
from coopr_cli.tables import print_table

if TYPE_CHECKING:
    from coopr_core.model.quotas import Holding, Quota
    from coopr_core.store import Store

UNLIMITED = "unlimited"
LIMIT = f"NUMBER|{UNLIMITED}"


def _limit(number: type[int] | type[float]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """Return what reads an option that is a number or ``unlimited``."""

    def read(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> int | float | str | None:
        if value is None or value == UNLIMITED:
            return value
        try:
            return number(value)
        except ValueError:
            raise click.BadParameter(f"{value!r} is neither a number nor {UNLIMITED!r}") from None

    return read


@click.command("quota")
@click.argument("tenant", default="")
@click.option("--clusters", metavar=LIMIT, callback=_limit(int), help="How many clusters TENANT may have at once.")
@click.option("--nodes", metavar=LIMIT, callback=_limit(int), help="How many nodes in all of them.")
@click.option("--price", metavar=LIMIT, callback=_limit(float), help="What all its nodes may cost an hour.")
@output_option
def quota_command(tenant: str, output: str, **limits: Any) -> None:
    """Show what TENANT (default: every tenant) has and may have; with options, limit it from now on."""
    from dataclasses import replace

    from coopr_core.errors import InvalidInput
    from coopr_core.store import Store

    given = {name: None if value == UNLIMITED else value for name, value in limits.items() if value is not None}
    if given and not tenant:
        raise InvalidInput("whose quota is it to be?", hint="coopr quota TENANT --clusters 5")
    with Store.open() as store:
        if given:
            store.set_quota(tenant, replace(store.quota(tenant), **given))
        rows = [_account(store, name) for name in ([tenant] if tenant else store.tenants() or [store.tenant])]
    if output != "table":
        print_data(rows[0] if tenant else rows, output)
        return
    columns = ("tenant", ">clusters", ">nodes", ">price per hour")
    print_table(columns, [(r["tenant"], *(_cell(r, what) for what in ("clusters", "nodes", "price"))) for r in rows])


@click.command("usage")
@click.option("--from", "start", metavar="TIME", help="Since when, e.g. 2026-11-01 (default: start of this month).")
@click.option("--to", "end", metavar="TIME", help="Until before when (default: now).")
@click.option("--by", type=click.Choice(["tenant", "owner", "cluster"]), default="tenant", help="Count for whom.")
@output_option
def usage_command(start: str | None, end: str | None, by: Any, output: str) -> None:
    """Show node-hours and their cost, for every tenant. Times are UTC unless they say otherwise."""
    from dataclasses import asdict

    from coopr_core.store import Store

    now = datetime.now(UTC)
    since = _moment(start, "--from") if start else now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    until = _moment(end, "--to") if end else now
    with Store.open() as store:
        used = store.usage(since, until, by=by)
    if output != "table":
        print_data(
            {"version": 1, "from": since, "to": until, "by": by, "usage": [asdict(each) for each in used]}, output
        )
        return
    who = {"tenant": ("tenant",), "owner": ("tenant", "owner"), "cluster": ("tenant", "owner", "cluster", "cluster_id")}
    names = who[by]
    print_table(
        (*(name.replace("cluster_id", "id") for name in names), ">clusters", ">nodes", ">node-hours", ">cost"),
        [
            (
                *(getattr(each, name) for name in names),
                each.clusters,
                each.nodes,
                f"{each.node_hours:.2f}",
                f"{each.cost:.2f}",
            )
            for each in used
        ],
        drop=("clusters", "nodes", "owner", "tenant"),
        empty=f"Nothing was used from {since:%F %R} until {until:%F %R} UTC.",
    )


def _account(store: Store, tenant: str) -> dict[str, Any]:
    quota: Quota = store.quota(tenant)
    has: Holding = store.holding(tenant)
    return {
        "tenant": tenant,
        **{
            what: {"limit": getattr(quota, what), "in_use": getattr(has, what)}
            for what in ("clusters", "nodes", "price")
        },
    }


def _cell(account: dict[str, Any], what: str) -> str:
    limit, used = account[what]["limit"], account[what]["in_use"]
    return f"{used:g} of {UNLIMITED if limit is None else f'{limit:g}'}"


def _moment(text: str, option: str) -> datetime:
    from coopr_core.errors import InvalidInput

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"{option} {text!r} is no time", hint="write a date, 2026-11-01, or a time, 2026-11-01T12:00+01:00"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
