"""The options that describe a cluster, shared by `plan` and `create`, and the request they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from coopr_cli.setting import read_settings, set_option
from coopr_core.errors import InvalidInput
from coopr_core.suggestions import did_you_mean

if TYPE_CHECKING:
    from coopr_cli.request_file import NodeKind
    from coopr_core.catalog import Catalog
    from coopr_core.model.layout import ClusterLayout
    from coopr_core.model.request import ClusterRequest
    from coopr_core.store import Store

F = TypeVar("F", bound=Callable[..., Any])

_OTHER_NODES = frozenset({"template", "size", "services", "provider", "hardware_type", "image_type"})
"""Fields that ask for other nodes than a cluster had."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The cluster that is wanted: fields of a request as a file has them, with what was typed laid over them.

    ``nodes`` are those of the cluster that the file describes, when nothing typed asks for others. ``catalog`` are all
    folders of the catalog, the setting's too.
    """

    fields: Mapping[str, Any]
    catalog: tuple[str, ...] = ()
    nodes: tuple[NodeKind, ...] = ()

    def request(self, name: str) -> ClusterRequest:
        """Make the request of a cluster called ``name``. Raises ``InvalidInput`` that names each wrong option."""
        from coopr_core.model.request import ClusterRequest

        given = {key: value for key, value in self.fields.items() if value is not None}
        return ClusterRequest.parse(**{**given, "name": name})


def catalog_option(command: F) -> F:
    """Add ``--catalog DIR`` (repeatable), passed on as ``catalog``: absolute, each folder once."""
    return click.option(
        "--catalog",
        multiple=True,
        callback=_absolute,
        metavar="DIR",
        help="A catalog folder to lay over the builtin one and the setting's; may be repeated, later ones override.",
    )(command)


def load_catalog(folders: Sequence[str]) -> Catalog:
    """Load the catalog: the builtin one, the setting's folders laid over it, and these laid over them."""
    from coopr_core.automators import automator_resources
    from coopr_core.catalog import Catalog
    from coopr_core.settings import load_settings

    return Catalog.load(load_settings().catalog_with(*folders), resources_of=automator_resources)


def block_options(command: F) -> F:
    """Add ``--credentials`` and ``--ssh-key``, passed on as ``credentials`` and ``ssh_key``."""
    credentials = click.option(
        "--credentials",
        metavar="BLOCK",
        help="The Prefect block with the provider's settings and secrets, SLUG/NAME or NAME (default: as before, else "
        "the one the catalog names).",
    )
    ssh_key = click.option(
        "--ssh-key",
        metavar="BLOCK",
        help="The Prefect block with the key that opens the nodes, SLUG/NAME or NAME (default: as before, else "
        "coopr's own).",
    )
    return credentials(ssh_key(command))


def _absolute(_ctx: click.Context, _parameter: click.Parameter, folders: tuple[str, ...]) -> tuple[str, ...]:
    from coopr_core.settings import absolute_folders

    return tuple(map(str, absolute_folders(folders)))


def _split(_ctx: click.Context, _parameter: click.Parameter, names: str | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(name.strip() for name in names.split(",") if name.strip())


def request_options(command: F) -> F:
    """Add the options that describe a cluster, called like the fields of a request; ``gather`` puts them together."""
    for option in reversed(
        [
            click.option("-t", "--template", help="The cluster template (needed, unless --from says it)."),
            click.option(
                "--from",
                "request_file",
                metavar="FILE",
                help="A request to start from, such as 'coopr show CLUSTER -o yaml' prints; '-' is standard input.",
            ),
            click.option(
                "-n", "--nodes", "--size", "size", type=int, help="How many nodes (default: the least that work)."
            ),
            click.option("--services", callback=_split, help="Comma-separated services (default: the template's)."),
            click.option("--provider", help="Where machines come from (default: the template's)."),
            click.option("--hardware-type", "--hardware", help="One hardware type for all nodes."),
            click.option("--image-type", "--image", help="One image type for all nodes."),
            click.option(
                "--config",
                "config_files",
                multiple=True,
                metavar="FILE",
                help="Config (YAML or JSON) merged over the template's; may be repeated.",
            ),
            set_option,
            click.option(
                "--replace-config",
                "config_mode",
                flag_value="replace",
                help="Put the config in place of the template's, do not merge.",
            ),
            click.option("--dns-suffix", help="The domain of the host names (default: the template's, else 'local')."),
            click.option(
                "--optimize",
                type=click.Choice(["preference", "cost"]),
                help="Prefer the template's order (which is the default), or the least price.",
            ),
            block_options,
        ]
    ):
        command = option(command)
    return catalog_option(command)


def gather(options: Mapping[str, Any], name: str = "") -> Wanted:
    """Put together what is wanted from a command's parameters; raises ``InvalidInput`` for a file that cannot be read.

    ``name`` is what the cluster is to be called, if anything: without a template it may be one.
    """
    from coopr_cli.request_file import RequestFile, read_request
    from coopr_core.model.request import WRITTEN
    from coopr_core.settings import load_settings

    file = read_request(options["request_file"]) if options["request_file"] else RequestFile({})
    folders = options["catalog"] or file.catalog
    typed = {field: options[field] for field in WRITTEN if options.get(field) is not None}
    fields = {**file.fields, **typed, "template": options["template"] or file.fields.get("template")}
    if not fields["template"]:
        hint = _meant_template(name, folders)
        raise InvalidInput("a template is needed: --template", hint=hint or "`coopr catalog list templates` shows them")
    config = read_config(options["config_files"], options["settings"])
    if config is not None:
        fields["config"] = _laid_over(file.fields.get("config"), config, whole=options["config_mode"] == "replace")
    return Wanted(
        fields,
        catalog=tuple(map(str, load_settings().catalog_with(*folders))),
        nodes=() if typed.keys() & _OTHER_NODES else file.nodes,
    )


def free_name(store: Store, wanted: Wanted) -> str:
    """Name a cluster that is given no name: as in the file it is asked from if free, else by template and number."""
    taken = {cluster.name for cluster in store.clusters()}
    preferred = str(wanted.fields.get("name") or "")
    if preferred and preferred not in taken:
        return preferred
    names = (f"{wanted.fields['template']}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _meant_template(name: str, catalog: Sequence[str]) -> str:
    """Return a hint where a template's name is where the cluster's belongs: ``coopr create nats``; else ""."""
    return did_you_mean(name, load_catalog(catalog).templates, form="--template {}") if name else ""


def warn_of_other_layout(wanted: Wanted, layout: ClusterLayout) -> None:
    """Say on stderr when the solver finds another layout than the cluster had that the request was printed from."""
    from coopr_cli.request_file import other_layout

    if other_layout(wanted.nodes, layout):
        click.echo(
            "Note: nodes, services or hardware are not laid out as on the cluster the request was printed from; "
            "a size and a set of services do not say how often each service is there.",
            err=True,
        )


def _laid_over(before: Any, config: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    """Lay typed config over that of a file, unless it is the ``whole`` config of the cluster."""
    from coopr_core.model.config import merge_config

    return merge_config(before, config) if before and not whole else config


def read_config(files: Sequence[str], settings: Sequence[str]) -> dict[str, Any] | None:
    """Merge config files in order, then ``KEY=VALUE`` settings over them; None when nothing was given."""
    from coopr_core.model.config import merge_config

    config: dict[str, Any] = {}
    for file in files:
        config = merge_config(config, _read_file(file))
    config = merge_config(config, read_settings(settings))
    return config if files or settings else None


def _read_file(file: str) -> dict[str, Any]:
    from coopr_core.documents.document import read

    value = read(Path(file)).exact_value
    if value is None:
        return {}
    if not isinstance(value, dict):
        found = "a list" if isinstance(value, list) else repr(value)
        raise InvalidInput(f"config file {file} must hold a map of keys, not {found}")
    return value
