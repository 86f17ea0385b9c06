"""All that can be checked before a cluster is touched: a request becomes a layout and a plan, or one clear error.

Pure but for reading the catalog and asking the store whether a name is free; never imports Prefect, so the command runs
the very same checks before it asks, and the flow before it records anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coopr_core.errors import InvalidInput, NameTaken, Problem
from coopr_core.model.facts import ClusterFacts, ProviderFacts
from coopr_core.model.leases import Lease, expiry, grant
from coopr_core.model.names import name_nodes
from coopr_core.model.operations import Operation
from coopr_core.model.request import ClusterRequest
from coopr_core.operations.config import config_problems, escape_hint
from coopr_core.operations.confirmation import Part, Parts, Prepared, mattering_settings, setting_parts
from coopr_core.operations.declaration import Declaration
from coopr_core.operations.soundness import refusals, types_of
from coopr_core.settings import load_settings

if TYPE_CHECKING:
    from coopr_core.catalog import Catalog
    from coopr_core.catalog.checks.config_keys import UnreadKey
    from coopr_core.catalog.entities import ClusterTemplate, Entity, Provider
    from coopr_core.model.layout import ClusterLayout
    from coopr_core.planner import Plan
    from coopr_core.store import Store
    from coopr_core.vault import Vault


@dataclass(frozen=True, slots=True)
class Preparation(Prepared):
    """A create that may start: what was asked for and for whom, the layout and the plan; ``problems`` are warnings."""

    request: ClusterRequest
    template: ClusterTemplate
    provider: Provider
    layout: ClusterLayout
    plan: Plan
    lease: int
    tenant: str
    problems: tuple[Problem, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=mattering_settings)

    @property
    def expires_at(self) -> datetime | None:
        """When a cluster created now would expire."""
        return expiry(datetime.now(UTC), self.lease)

    @property
    def subject(self) -> str:
        """The cluster that is to be."""
        return f"cluster {self.request.name}"

    @property
    def world(self) -> Parts:
        """The parts the plan was made from, whoever runs it: the request and what the catalog says today.

        Host names are none of them: they are known when the cluster is recorded.
        """
        layout = self.layout
        return {
            "the request": Part.of(self.request),
            f"template {self.template.name}": Part.of(self.template),
            f"provider {self.provider.name}": Part.of(self.provider),
            "the layout": Part.of([replace(node, host_name="") for node in layout.nodes], f"{len(layout.nodes)} nodes"),
            "the config": Part.of(layout.config),
            "the links": Part.of(layout.links),
            "the plan": Part.of_plan(self.plan),
            "the lease": Part.of(self.lease),
            **{f"service {name}": Part.of(service) for name, service in layout.services.items()},
        }

    @property
    def parts(self) -> Parts:
        """The parts the plan was made from, for whom, and how it would run."""
        return {**self.world, "the tenant": Part.of(self.tenant, self.tenant), **setting_parts(self.settings)}

    def to_json(self) -> dict[str, Any]:
        """All of the plan, as ``coopr plan -o json`` prints it.

        ``dependencies`` is the folded task graph: ``groups`` of like nodes with their ``steps``, each step ``after``
        steps of its own node and ``joins`` of steps on every node that has them.
        """
        from coopr_core.planner.saved import graph_to_json

        prices = [node.price for node in self.layout.nodes if node.price is not None]
        changes = self.plan.changes
        host_names = {node.number: node.host_name for node in self.layout.nodes}
        return {
            "version": 1,
            "name": self.request.name,
            "template": self.layout.template,
            "provider": self.layout.provider,
            "operation": self.plan.operation,
            "request": self.request.model_dump(mode="json", exclude_none=True),
            "changes": {"add": changes.add, "change": changes.change, "destroy": changes.destroy},
            "price_per_hour": sum(prices) if prices else None,
            "nodes": [
                {
                    "number": node.number,
                    "host_name": node.host_name,
                    "hardware_type": node.hardware_type,
                    "image_type": node.image_type,
                    "flavor": node.flavor,
                    "image": node.image,
                    "zone": node.zone,
                    "price": node.price,
                    "options": dict(node.options),
                    "services": list(node.services),
                }
                for node in self.layout.nodes
            ],
            "stages": [
                [
                    {
                        "node": task.node,
                        "host_name": host_names[task.node],
                        "action": task.action,
                        "service": task.service,
                    }
                    for task in stage
                ]
                for stage in self.plan.stages
            ],
            "tasks": len(self.plan.tasks),
            "critical_path": [
                {"node": task.node, "action": task.action, "service": task.service}
                for task in self.plan.critical_path()
            ],
            "dependencies": graph_to_json(self.plan),
            "digest": self.digest,
            "problems": [str(problem) for problem in self.problems],
        }


def prepare_create(
    request: ClusterRequest | Mapping[str, Any],
    *,
    catalog: Sequence[str | Path] = (),
    store: Store | None = None,
    tenant: str = "",
    strict: bool = True,
    numbering: Store | None = None,
    accepted: bool = False,
) -> Preparation:
    """Check a request, or the values of one as people write them, find its layout and plan it.

    ``strict`` also refuses what only running would need: a macro that cannot be resolved, a plug-in that is not
    installed, a config key that nobody reads and that is like none that is read; otherwise those are warnings.
    ``tenant`` is whose cluster it will be, the store's when left out. Nodes are named by the id that ``numbering``
    (``store`` when left out) would give next. A request that was ``accepted`` before, such as a recorded one, may have
    config that nobody reads. Raises ``InvalidInput``, ``NotFound``, ``NameTaken``, ``OverQuota`` or
    the solver's ``Unsatisfiable``.
    """
    from coopr_core.automators import automator_resources
    from coopr_core.catalog import Catalog
    from coopr_core.catalog.checks.config_keys import HINT
    from coopr_core.planner import plan
    from coopr_core.solver import solve

    if not isinstance(request, ClusterRequest):
        request = ClusterRequest.parse(**{name: value for name, value in request.items() if value is not None})
    tenant = tenant or (load_settings().tenant if store is None else store.tenant)
    if store is not None:
        _refuse_taken_name(store, request.name, tenant)
    known = Catalog.load([Path(path) for path in catalog], resources_of=automator_resources)
    template = known.template(request.template)
    lease = grant(Lease.of(template.administration.leaseduration), request.lease)
    layout = _named(solve(known, request), request, template, numbering or store)
    if store is not None:
        _refuse_over_quota(store, layout, tenant)
    provider = known.provider(layout.provider)
    problems = [*config_problems(layout), *refusals(known, template, layout, provider)]
    unread = [] if accepted else _unread_keys(known, template, layout, request)
    problems += [key.problem for key in unread]
    if problems and (strict or any(key.is_a_slip for key in unread)):
        raise InvalidInput(
            f"cluster {request.name!r} from template {template.name!r} could not be run as it is",
            hint=f"correct the config (or the catalog) at the places named; nothing was created{escape_hint(layout)}"
            + (f"; {HINT}" if unread else ""),
            problems=problems,
        )
    warnings = [replace(problem, severity="warning") for problem in problems]
    return Preparation(
        request=request,
        template=template,
        provider=provider,
        layout=layout,
        plan=plan(Operation.CLUSTER_CREATE, layout),
        lease=lease,
        tenant=tenant,
        problems=(*_about(known, template, layout), *warnings),
    )


def facts_of(prepared: Preparation, folders: Sequence[str | Path], vault: Vault) -> ClusterFacts:
    """Return what a cluster is made with: its blocks by their whole names, looked at so that they can be used.

    Raises ``NotFound`` for a block there is not, ``InvalidInput`` for one that cannot be used.
    """
    from coopr_core.providers.credentials import make_cloud

    request, provider = prepared.request, prepared.provider
    wanted = request.credentials or provider.credentials
    credentials = vault.credentials(wanted, provider.providertype) if wanted else ""
    ssh_key = vault.ssh_key(request.ssh_key) if request.ssh_key else ""
    facts = ProviderFacts.of(provider, credentials)
    make_cloud(facts, vault)
    if ssh_key:
        vault.key_file(ssh_key)
    return ClusterFacts((facts,), ssh_key, tuple(map(str, folders)))


def _named(
    layout: ClusterLayout, request: ClusterRequest, template: ClusterTemplate, store: Store | None
) -> ClusterLayout:
    """Name the nodes of a layout as they will be; as it is when there is no store to give an id."""
    if store is None:
        return layout
    suffix = request.dns_suffix or template.defaults.dnsSuffix or None
    return name_nodes(layout, request.name, store.next_cluster_id(request.name, suffix), suffix)


def _unread_keys(
    catalog: Catalog, template: ClusterTemplate, layout: ClusterLayout, request: ClusterRequest
) -> list[UnreadKey]:
    """Find the keys of the request's config that no service of the template reads, on this layout or on another."""
    from coopr_core.catalog.checks.config_keys import unread_keys

    names = dict.fromkeys((*template.defaults.services, *template.compatibility.services))
    others = [catalog.services[name] for name in names if name in catalog.services and name not in layout.services]
    return unread_keys(request.config or {}, template, [*layout.services.values(), *others])


def _about(catalog: Catalog, template: ClusterTemplate, layout: ClusterLayout) -> list[Problem]:
    """Return the catalog's warnings about what this layout is made of; `coopr catalog validate` shows all of them."""
    used: list[Entity] = [template, catalog.provider(layout.provider), *layout.services.values()]
    used += types_of(catalog, layout.nodes)
    files = {str(catalog.source(entity)) for entity in used}
    return [problem for problem in catalog.problems if problem.file in files]


def _refuse_over_quota(store: Store, layout: ClusterLayout, tenant: str) -> None:
    from coopr_core.store.ledger.reservation import taken_by

    store.check_quota(tenant, taken_by(layout.nodes, clusters=1))


def _refuse_taken_name(store: Store, name: str, tenant: str) -> None:
    taken = store.called(name, tenant=tenant)
    if taken is not None:
        raise NameTaken(
            f"the cluster name {name!r} is taken (by {taken.id}, {taken.state})",
            hint=f"choose another, or `coopr delete {name}` first",
        )


# Its flow and its command are written out: there is no cluster yet, and what is asked for comes in groups of values.
CREATE = Declaration(Operation.CLUSTER_CREATE.verb, prepare_create)
