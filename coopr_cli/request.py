"""The options that describe a cluster, shared by `plan` and `create`, and the request they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from coopr_cli.setting import read_settings, set_option
from coopr_core.errors import InvalidInput
from coopr_core.suggestions import did_you_mean

if TYPE_CHECKING:
    from coopr_cli.request_file import NodeKind
    from coopr_core.model.layout import ClusterLayout
    from coopr_core.store import Store

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """What the user typed about the cluster wanted, config files and settings already merged.

    ``base`` is a request read from a file, which everything typed is laid over; ``nodes`` are those of the cluster that
    the file describes, when nothing typed asks for others. ``catalog`` are all folders of the catalog, the setting's
    too.
    """

    template: str
    size: int | None = None
    services: tuple[str, ...] | None = None
    provider: str | None = None
    hardware_type: str | None = None
    image_type: str | None = None
    config: dict[str, Any] | None = None
    config_mode: str | None = None
    dns_suffix: str | None = None
    lease: str | None = None
    optimize: str | None = None
    credentials: str | None = None
    ssh_key: str | None = None
    catalog: tuple[str, ...] = field(default=())
    base: Mapping[str, Any] = field(default_factory=dict)
    nodes: tuple[NodeKind, ...] = ()

    def values(self, name: str) -> dict[str, Any]:
        """The fields of a ``ClusterRequest`` called ``name``."""
        typed = {
            "template": self.template,
            "size": self.size,
            "services": self.services,
            "provider": self.provider,
            "hardware_type": self.hardware_type,
            "image_type": self.image_type,
            "config": self.config,
            "config_mode": self.config_mode,
            "dns_suffix": self.dns_suffix,
            "lease": self.lease,
            "optimize": self.optimize,
            "credentials": self.credentials,
            "ssh_key": self.ssh_key,
        }
        given = {key: value for key, value in typed.items() if value is not None}
        if self.base.get("config") and self.config is not None and self.config_mode != "replace":
            from coopr_core.model.config import merge_config

            given["config"] = merge_config(self.base["config"], self.config)
        return {**self.base, **given, "name": name}


def catalog_option(command: F) -> F:
    """Adds ``--catalog DIR`` (repeatable), passed on as ``catalog``: absolute, each folder once."""
    return click.option(
        "--catalog",
        multiple=True,
        callback=_absolute,
        metavar="DIR",
        help="A catalog folder to lay over the builtin one and the setting's; may be repeated, later ones override.",
    )(command)


def _absolute(_ctx: click.Context, _parameter: click.Parameter, folders: tuple[str, ...]) -> tuple[str, ...]:
    from coopr_core.settings import absolute_folders

    return tuple(map(str, absolute_folders(folders)))


def request_options(command: F) -> F:
    """Adds the options that describe a cluster; ``gather`` turns them into ``RequestOptions``."""
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
                "-n", "--nodes", "--size", "nodes", type=int, help="How many nodes (default: the least that work)."
            ),
            click.option("--services", help="Comma-separated services (default: the template's)."),
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
                "--replace-config", is_flag=True, help="Put the config in place of the template's, do not merge."
            ),
            click.option("--dns-suffix", help="The domain of the host names (default: the template's, else 'local')."),
            click.option(
                "--optimize",
                type=click.Choice(["preference", "cost"]),
                help="Prefer the template's order (which is the default), or the least price.",
            ),
            click.option(
                "--credentials",
                metavar="BLOCK",
                help="The Prefect block with the provider's settings and secrets, SLUG/NAME or NAME "
                "(default: the one the catalog names).",
            ),
            click.option(
                "--ssh-key",
                metavar="BLOCK",
                help="The Prefect block with the key that opens the nodes, SLUG/NAME or NAME (default: coopr's own).",
            ),
        ]
    ):
        command = option(command)
    return catalog_option(command)


def gather(options: dict[str, Any], name: str = "") -> RequestOptions:
    """The request options among a command's parameters; raises ``InvalidInput`` for a file that cannot be read.

    ``name`` is what the cluster is to be called, if anything: without a template it may be one.
    """
    from coopr_cli.request_file import RequestFile, read_request
    from coopr_core.settings import load_settings

    services = options["services"]
    file = read_request(options["request_file"]) if options["request_file"] else RequestFile({})
    base = file.fields
    changed = any(
        options[name] for name in ("template", "nodes", "services", "provider", "hardware_type", "image_type")
    )
    template = options["template"] or base.get("template")
    if not template:
        hint = _meant_template(name, options["catalog"] or file.catalog)
        raise InvalidInput("a template is needed: --template", hint=hint or "`coopr catalog list templates` shows them")
    return RequestOptions(
        template=str(template),
        size=options["nodes"],
        services=None if services is None else tuple(name.strip() for name in services.split(",") if name.strip()),
        provider=options["provider"],
        hardware_type=options["hardware_type"],
        image_type=options["image_type"],
        config=read_config(options["config_files"], options["settings"]),
        config_mode="replace" if options["replace_config"] else None,
        dns_suffix=options["dns_suffix"],
        lease=options.get("lease"),
        optimize=options["optimize"],
        credentials=options["credentials"],
        ssh_key=options["ssh_key"],
        catalog=tuple(map(str, load_settings().catalog_with(*(options["catalog"] or file.catalog)))),
        base=base,
        nodes=() if changed else file.nodes,
    )


def free_name(store: Store, wanted: RequestOptions) -> str:
    """The name of a cluster that is given none: that in the file it is asked from if free, else the template's and a
    number.
    """
    taken = {cluster.name for cluster in store.clusters()}
    preferred = str(wanted.base.get("name") or "")
    if preferred and preferred not in taken:
        return preferred
    names = (f"{wanted.template}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _meant_template(name: str, catalog: Sequence[str]) -> str:
    """The hint for a template's name where the cluster's belongs: ``coopr create nats``; "" when it is like none."""
    from coopr_core.automators import automator_resources
    from coopr_core.catalog import Catalog
    from coopr_core.settings import load_settings

    if not name:
        return ""
    known = Catalog.load(load_settings().catalog_with(*catalog), resources_of=automator_resources)
    return did_you_mean(name, known.templates, form="--template {}")


def warn_of_other_layout(wanted: RequestOptions, layout: ClusterLayout) -> None:
    """Say on stderr when the solver finds another layout than the cluster had that the request was printed from."""
    from coopr_cli.request_file import other_layout

    if other_layout(wanted.nodes, layout):
        click.echo(
            "Note: nodes, services or hardware are not laid out as on the cluster the request was printed from; "
            "a size and a set of services do not say how often each service is there.",
            err=True,
        )


def read_config(files: Sequence[str], settings: Sequence[str]) -> dict[str, Any] | None:
    """Config files merged in order, then ``KEY=VALUE`` settings over them; None when nothing was given."""
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
