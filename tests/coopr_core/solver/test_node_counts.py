"""Counting nodes against enumeration on thousands of small problems, and on large ones for time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from growth import growth

from coopr_core.solver.constraints import UNBOUNDED
from coopr_core.solver.search.batches import count_nodes
from coopr_core.solver.search.cost import count_cheapest
from coopr_core.solver.search.packing import Packing
from coopr_core.solver.search.problem import LayoutProblem, bits

Row = tuple[int, int, int, int]


def random_problem(source: random.Random) -> tuple[LayoutProblem, int]:
    """A problem of up to five blocks and five nodes."""
    letters = list("abcdefghij")
    source.shuffle(letters)
    blocks = sorted(
        tuple(sorted(letters.pop() for _ in range(source.choice([1, 1, 1, 2])))) for _ in range(source.randint(1, 5))
    )
    count, hardware, images = len(blocks), source.randint(1, 3), source.randint(1, 2)
    low = [source.choice([0, 0, 1, 1, 2, 3]) for _ in blocks]
    high = [source.choice([least, least + 1, least + 2, UNBOUNDED]) for least in low]

    def mask(types: int) -> int:
        return source.randint(1, (1 << types) - 1) if source.random() < 0.4 else (1 << types) - 1

    groups = {
        sum(1 << block for block in source.sample(range(count), min(count, source.choice([1, 2, 2, 2, 3]))))
        for _ in range(source.choice([0, 0, 1, 2, 3, 5]))
    }
    problem = LayoutProblem(
        everywhere=("z",) if source.random() < 0.5 else (),
        blocks=tuple(blocks),
        low=tuple(low),
        high=tuple(high),
        hardware=("h", "k", "m")[:hardware],
        images=("u", "v")[:images],
        on_hardware=tuple(mask(hardware) for _ in blocks),
        on_images=tuple(mask(images) for _ in blocks),
        apart=tuple(sorted(g for g in groups if not any(o != g and o & g == o for o in groups))),
        prices=(0,) * hardware,
    )
    return problem, source.randint(1, 5)


def columns(problem: LayoutProblem) -> list[tuple[int, int, int]]:
    """Every kind of node (blocks, hardware, image) in order of preference."""
    found = []
    for mask in range(1 << len(problem.blocks)):
        if (not mask and not problem.everywhere) or any(group & mask == group for group in problem.apart):
            continue
        fit = [
            (problem.prices[h], problem.hardware[h], problem.images[i], h, i)
            for h in range(len(problem.hardware))
            for i in range(len(problem.images))
            if all(problem.on_hardware[b] >> h & 1 and problem.on_images[b] >> i & 1 for b in bits(mask))
        ]
        if fit:
            price, name, image, h, i = min(fit)
            services = problem.services(mask)
            found.append((-len(services), price, name, image, services, mask, h, i))
    return [(mask, h, i) for *_, mask, h, i in sorted(found)]


def first(problem: LayoutProblem, size: int, money: int | None = None) -> list[Row] | None:
    """The first layout in order of preference, among those for no more than ``money``."""
    kinds = columns(problem)
    chosen: list[Row] = []

    def place(position: int, left: int, low: list[int], high: list[int], paid: int) -> bool:
        if not left:
            return all(least <= 0 for least in low) and (money is None or paid <= money)
        if position == len(kinds) or any(least > left for least in low) or (money is not None and paid > money):
            return False
        mask, hardware, image = kinds[position]
        for count in range(min([left, *(high[block] for block in bits(mask))]), -1, -1):
            below, above = list(low), list(high)
            for block in bits(mask):
                below[block] -= count
                above[block] -= count
            if count:
                chosen.append((mask, hardware, image, count))
            if place(position + 1, left - count, below, above, paid + count * problem.prices[hardware]):
                return True
            if count:
                chosen.pop()
        return False

    return chosen if place(0, size, list(problem.low), list(problem.high), 0) else None


def test_thousands_of_random_problems_are_counted_as_by_enumeration() -> None:
    source = random.Random(20150901)
    for number in range(4000):
        problem, size = random_problem(source)
        found = count_nodes(problem, size)
        ours = None if found is None else [(b.blocks, b.hardware, b.image, b.count) for b in found]
        assert ours == first(problem, size), (number, problem, size)


def test_the_cheapest_layout_is_cheapest_and_the_preferred_one_of_its_price() -> None:
    source = random.Random(7)
    dearer = 0
    for number in range(250):
        problem, size = random_problem(source)
        prices = tuple(sorted(source.randint(0, 4) for _ in problem.hardware))
        priced = replace(problem, prices=prices)
        found = count_cheapest(priced, size)
        ours = None if found is None else [(b.blocks, b.hardware, b.image, b.count) for b in found]
        least = next((m for m in range(4 * size + 1) if first(priced, size, m) is not None), None)
        assert ours == (None if least is None else first(priced, size, least)), (number, priced, size)
        dearer += least is not None and least > prices[0] * size
    assert dearer > 10


def quantities_only(blocks: int, low: int, high: int, everywhere: tuple[str, ...] = ("z",)) -> LayoutProblem:
    return LayoutProblem(
        everywhere=everywhere,
        blocks=tuple((f"service{number:02}",) for number in range(blocks)),
        low=tuple(low + number for number in range(blocks)),
        high=tuple(high + 7 * number for number in range(blocks)),
        hardware=("h1", "h2", "h3"),
        images=("i1", "i2", "i3"),
        on_hardware=(7,) * blocks,
        on_images=(7,) * blocks,
        apart=(),
        prices=(0, 0, 0),
    )


@pytest.mark.parametrize("everywhere", [(), ("z",)])
@pytest.mark.parametrize(("low", "high"), [(0, 1000), (1, 40), (300, 600), (971, 1001)])
def test_services_with_quantities_on_a_thousand_nodes_do_not_multiply(
    low: int, high: int, everywhere: tuple[str, ...]
) -> None:
    def counting(services: int) -> Callable[[], object]:
        problem = quantities_only(services, low, high, everywhere)
        batches = count_nodes(problem, 1000)
        assert batches is not None
        assert sum(batch.count for batch in batches) == 1000
        return lambda: count_nodes(problem, 1000)

    assert growth(counting, 15, 30) < 60, "32,768 when every set of services were tried"


def test_services_that_cannot_fill_the_nodes_are_refused_without_multiplying_either() -> None:
    def refusing(services: int) -> Callable[[], object]:
        few, many = quantities_only(services, 1, 5, ()), quantities_only(services, 1001, 2000)
        assert count_nodes(few, 10_000) is None
        assert count_nodes(many, 1000) is None
        return lambda: (count_nodes(few, 10_000), count_nodes(many, 1000))

    assert growth(refusing, 15, 30) < 60


def test_many_pairs_that_cannot_share_do_not_multiply() -> None:
    """Twenty pairs have 2**20 maximal service sets; they are never listed."""

    def counting(pairs: int) -> Callable[[], object]:
        apart = tuple(3 << 2 * pair for pair in range(pairs))
        problem = replace(quantities_only(2 * pairs, 1, 1000), apart=apart)
        assert count_nodes(problem, 1000) is not None
        return lambda: count_nodes(problem, 1000)

    assert growth(counting, 10, 20) < 60, "1,024 when every set were listed"


def test_demands_that_only_an_integer_program_decides_are_counted_as_by_enumeration() -> None:
    """Odd rings and groups of three leave the quick bounds in doubt."""
    source, doubtful = random.Random(11), 0
    for number in range(40):
        blocks = 5
        ring = {1 << block | 1 << (block + 1) % blocks for block in range(blocks)}
        triples = {7, 7 << 2, 19}
        low = tuple(source.randint(1, 2) for _ in range(blocks))
        problem = replace(
            quantities_only(blocks, 1, 1, source.choice([(), ("z",)])),
            low=low,
            high=tuple(least + source.randint(0, 1) for least in low),
            apart=tuple(sorted(ring if number % 2 else triples)),
            images=("i1",),
            on_images=(1,) * blocks,
            on_hardware=tuple(source.choice([7, 7, 3, 5, 6]) for _ in range(blocks)),
        )
        packing = Packing(problem)
        for size in range(2, 7):
            found = count_nodes(problem, size)
            ours = None if found is None else [(b.blocks, b.hardware, b.image, b.count) for b in found]
            assert ours == first(problem, size), (number, problem, size)
            doubtful += packing.fits(low, size) and not packing.fits(low, size - 1)
    assert doubtful > 20
