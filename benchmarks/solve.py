"""Solving over growing sizes, with growth exponents, beside the original's figures.

Run ``python benchmarks/solve.py``; it prints tables and writes nothing. Each figure is the least of several runs in one
process, in milliseconds of CPU time; the cold run counts everything, Python's own start too. The exponent of a row is
the slope to the row above it in a log-log plot: 1 is linear growth, 0 none. The original's figures are CPU time of a
cold run on one core.
"""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from coopr_core.catalog.entities import ClusterTemplate, HardwareType, ImageType, Provider, Service
from coopr_core.model.request import ClusterRequest
from coopr_core.solver import Unsatisfiable, solve
from coopr_core.solver.choice import Entities

RUNS = 5
ORIGINAL_HADOOP = {10: 40, 100: 39, 1_000: 67}
ORIGINAL_SERVICES = {12: 197, 16: 3_727, 18: 35_382, 20: math.inf}


class Inline:
    """A catalog of one template."""

    def __init__(self, services: dict[str, dict[str, object]], groups: dict[str, list[list[str]]], types: int) -> None:
        kinds = range(types)
        template = {
            "name": "t",
            "defaults": {"provider": "p", "services": [*services, "base"]},
            "constraints": {"services": services, "layout": groups},
        }
        self.templates = {"t": ClusterTemplate.model_validate(template)}
        self.services = {name: Service(name=name) for name in [*services, "base"]}
        self.providers = {"p": Provider(name="p", providertype="x")}
        self.hardware_types = {
            f"h{k}": HardwareType.model_validate(
                {"name": f"h{k}", "providermap": {"p": {"flavor": "f", "cost": k + 1}}}
            )
            for k in kinds
        }
        self.image_types = {
            f"i{k}": ImageType.model_validate({"name": f"i{k}", "providermap": {"p": {"image": "i"}}}) for k in kinds
        }


def constrained(count: int, least: int = 1, most: int = 900) -> Inline:
    """``count`` services with quantities of their own, 3 hardware and 3 image types, and a service for every node."""
    own = {f"service{n:02}": {"quantities": {"min": least + n, "max": most + 3 * n}} for n in range(count)}
    return Inline(own, {}, 3)


def joined(count: int) -> Inline:
    """``count`` services in a ring of pairs that cannot share a node, every third bound to two hardware types."""
    names = [f"service{n:02}" for n in range(count)]
    own: dict[str, dict[str, object]] = {
        name: {"quantities": {"min": 5 + n}, "hardwaretypes": ["h0", "h2"] if n % 3 == 0 else []}
        for n, name in enumerate(names)
    }
    ring = [[name, names[(n + 1) % count]] for n, name in enumerate(names)]
    return Inline(own, {"cantcoexist": ring}, 3)


def milliseconds(work: Callable[[], object]) -> float:
    """The least CPU time of several runs."""
    best = math.inf
    for _ in range(RUNS):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best * 1000


def attempt(catalog: Entities, size: int, template: str = "t", **more: str) -> Callable[[], object]:
    """A solve that takes a refusal for an answer."""

    def run() -> object:
        try:
            return solve(catalog, ClusterRequest(name="c", template=template, size=size, **more))  # type: ignore[arg-type]
        except Unsatisfiable as refusal:
            return refusal

    return run


def table(title: str, unit: str, rows: list[tuple[int, float, float | None]]) -> None:
    """Print one table: size, our time, growth exponent, the original's time and the ratio where there is one."""
    print(f"\n{title}\n{unit:>10}  {'ms':>9}  {'exponent':>8}  {'original':>9}  {'ratio':>7}")
    before: tuple[int, float] | None = None
    for size, spent, original in rows:
        slope = "" if before is None else f"{math.log(spent / before[1]) / math.log(size / before[0]):.2f}"
        theirs = "" if original is None else ("never" if math.isinf(original) else f"{original:,.0f}")
        ratio = "" if original is None or math.isinf(original) else f"{original / spent:,.0f}x"
        print(f"{size:>10,}  {spent:>9.2f}  {slope:>8}  {theirs:>9}  {ratio:>7}")
        before = (size, spent)


def hadoop(reference: Path) -> None:
    """The public hadoop-distributed template at growing sizes."""
    from coopr_core.catalog import Catalog

    catalog = Catalog.load([reference], builtin=False)
    rows = []
    for size in (10, 100, 1_000, 10_000):
        rows.append((size, milliseconds(attempt(catalog, size, "hadoop-distributed")), ORIGINAL_HADOOP.get(size)))
    table("hadoop-distributed, by nodes", "nodes", rows)


def cold(reference: Path) -> None:
    """One solve in a fresh process, imports and catalog included."""
    code = (
        "import time; from coopr_core import Catalog, ClusterRequest, solve; "
        f"catalog = Catalog.load([{str(reference)!r}]); "
        "solve(catalog, ClusterRequest(name='c', template='hadoop-distributed', size=1000)); "
        "print(time.process_time() * 1000)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    print(f"\nCold: a fresh process reads the public catalog and lays out 1,000 nodes in {float(done.stdout):,.0f} ms")


def main() -> None:
    """Print all tables."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(f"Python {platform.python_version()}, {machine}; {RUNS} runs, the least counts")
    shared = os.environ.get("COOPR_SHARED", str(Path(__file__).resolve().parents[2] / "shared"))
    reference = Path(shared, "reference", "coopr-templates")
    if reference.exists():
        hadoop(reference)
        cold(reference)
    rows = [
        (k, milliseconds(attempt(constrained(k), 1_000)), ORIGINAL_SERVICES.get(k)) for k in (12, 16, 18, 20, 30, 60)
    ]
    table("services with quantities, 3 x 3 types, 1,000 nodes", "services", rows)
    rows = [(n, milliseconds(attempt(constrained(30), n)), None) for n in (100, 1_000, 10_000)]
    table("30 services with quantities, by nodes", "nodes", rows)
    rows = [(k, milliseconds(attempt(constrained(k, least=990), 1_000)), None) for k in (12, 20, 30, 60)]
    table("refused with its explanation: minima above 1,000 nodes", "services", rows)
    rows = [(k, milliseconds(attempt(joined(k), 1_000)), None) for k in (5, 10, 20, 30)]
    table("a ring of pairs that cannot share a node, 1,000 nodes", "services", rows)
    rows = [(k, milliseconds(attempt(joined(k), 2 * k + 12)), None) for k in (5, 10, 20, 30)]
    table("the same with hardly enough nodes (or too few)", "services", rows)
    rows = [(n, milliseconds(attempt(constrained(12), n, optimize="cost")), None) for n in (100, 1_000)]
    table("the cheapest layout, 12 services with quantities, by nodes", "nodes", rows)


if __name__ == "__main__":
    main()
