"""`coopr catalog`: what can be asked for, in full, and whether a catalog folder is sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from coopr_cli.output import output_option, print_data
from coopr_cli.request import catalog_option, load_catalog
from coopr_cli.tables import print_table
from coopr_cli.typed import NamingGroup
from coopr_core.errors import InvalidInput, NotFound, told
from coopr_core.suggestions import did_you_mean
from coopr_core.text_form import composed

if TYPE_CHECKING:
    from coopr_core.catalog import Catalog
    from coopr_core.catalog.entities import Entity

KINDS = {
    "template": "templates",
    "service": "services",
    "provider": "providers",
    "hardware-type": "hardware_types",
    "image-type": "image_types",
}


@click.group("catalog", cls=NamingGroup)
def catalog_command() -> None:
    """List, show and check what the catalog holds."""


@catalog_command.command("list")
@click.argument("kind", type=click.Choice([*KINDS, *(f"{kind}s" for kind in KINDS)]), required=False)
@catalog_option
@output_option
def list_entities(kind: str | None, catalog: tuple[str, ...], output: str) -> None:
    """List the entities, of all kinds or of one."""
    loaded = load_catalog(catalog)
    wanted = [kind.removesuffix("s")] if kind else list(KINDS)
    rows = [
        {"kind": each, "name": name, "description": entity.description, "file": str(loaded.source(entity) or "")}
        for each in wanted
        for name, entity in sorted(_entities(loaded, each).items())
    ]
    if output != "table":
        print_data(rows, output)
    else:
        print_table(
            ("kind", "name", "description"),
            [(r["kind"], r["name"], r["description"]) for r in rows],
            wrap=("description",),
        )


@catalog_command.command("show")
@click.argument("name")
@click.option("--kind", type=click.Choice(list(KINDS)), help="When several kinds have one of this name.")
@catalog_option
@output_option
def show_entity(name: str, kind: str | None, catalog: tuple[str, ...], output: str) -> None:
    """Show one entity, merged with its parents, as YAML (or -o json)."""
    loaded, name = load_catalog(catalog), composed(name)
    found = {
        each: _entities(loaded, each)[name] for each in ([kind] if kind else KINDS) if name in _entities(loaded, each)
    }
    if not found:
        names = {each for some in ([kind] if kind else KINDS) for each in _entities(loaded, some)}
        raise NotFound(
            f"the catalog has no {kind or 'entity'} {name!r}",
            hint=did_you_mean(name, names, "see 'coopr catalog list'"),
        )
    if len(found) > 1:
        raise InvalidInput(f"{name!r} is a {' and a '.join(found)}", hint="say which with --kind")
    entity = next(iter(found.values()))
    print_data(
        entity.model_dump(mode="json", exclude_defaults=True, by_alias=True), "yaml" if output == "table" else output
    )


@catalog_command.command("validate")
@click.argument("folders", nargs=-1, metavar="[DIR]...")
@output_option
def validate(folders: tuple[str, ...], output: str) -> int:
    """Check the builtin catalog with the folders given: every problem at once, with file and path. Exit 3 on errors."""
    from coopr_core.catalog.checks.solvable import unsolvable
    from coopr_core.operations.soundness import unsound
    from coopr_core.solver import solve

    try:
        catalog = load_catalog(folders)
        problems = [*catalog.problems, *unsolvable(catalog, solve), *unsound(catalog)]
    except InvalidInput as error:
        if not error.problems:
            raise
        problems = list(error.problems)
    errors = sum(problem.severity == "error" for problem in problems)
    if output != "table":
        rows = [
            {"severity": p.severity, "file": p.file, "line": p.line, "path": p.path, "message": p.message}
            for p in problems
        ]
        print_data({"errors": errors, "warnings": len(problems) - errors, "problems": rows}, output)
    else:
        for severity, line in told(problems):
            click.secho(f"{severity}: ", nl=False, fg="red" if severity == "error" else "yellow")
            click.echo(line)
        click.echo(f"{errors} errors, {len(problems) - errors} warnings")
    return InvalidInput.exit_code if errors else 0


def _entities(catalog: Catalog, kind: str) -> dict[str, Entity]:
    entities: dict[str, Entity] = getattr(catalog, KINDS[kind])
    return entities
