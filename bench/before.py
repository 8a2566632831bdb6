"""These files against an earlier commit, each with nodes and a state of its own, in turn in one run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench import measure
from bench.site import Site, one_key, site
from tests.lab.network import Lab
from tests.lab.node import Node

Row = Callable[..., None]
GOAL = "<= 1.05"
PEOPLE = 1000


def run(home: Path, commit: str, row: Row, *, with_nodes: bool, quick: bool) -> None:
    """Print the rows: "ours" are the files as they are now, "theirs" is the commit."""
    now, then = (str(measure.installed(which) / "vpnctl") for which in ("", commit))
    pair = [Site(home / name, Path(), {}, program) for name, program in (("now", now), ("then", then))]
    names = "\n".join(f"u{number:04}" for number in range(PEOPLE))
    for each in pair:
        each.home.mkdir()
        each.vpnctl("init")
        each.vpnctl("user", "add", "--from", "-", stdin=names)
    for words in (("--help",), ("user", "list"), ("status",)):
        _compare(row, " ".join(words), 15, pair, lambda each, words=words: each.vpnctl(*words))
    if with_nodes:
        count = 10 if quick else 50
        with Lab() as lab:
            nodes = lab.fleet(2 * count)
            one_key(nodes)
            _on_nodes(home, row, (now, nodes[:count]), (then, nodes[count:]))


def _on_nodes(home: Path, row: Row, *sides: tuple[str, list[Node]]) -> None:
    pair = [site(home / f"nodes{number}", nodes, program) for number, (program, nodes) in enumerate(sides)]
    first = sides[0][1][0].name, sides[1][1][0].name
    fleets = {id(each): [node.name for node in nodes] for each, (_, nodes) in zip(pair, sides, strict=True)}
    place = {id(each): name for each, name in zip(pair, first, strict=True)}
    numbers = {id(each): iter(range(1000)) for each in pair}
    states = {id(each): iter(["suspend", "resume"] * 100) for each in pair}
    for each in pair:
        each.vpnctl("user", "add", "settled", *[f"one{number}" for number in range(20)])
        each.vpnctl("peer", "add", "settled", "--node", place[id(each)])
        each.vpnctl("node", "sync")
    add = lambda each: each.vpnctl("peer", "add", f"one{next(numbers[id(each)])}", "--node", place[id(each)])  # noqa: E731
    _compare(row, "peer add to proof", 15, pair, add)
    _compare(row, "one peer changed", 20, pair, lambda each: each.vpnctl("peer", next(states[id(each)]), "settled"))
    for some in sorted({10, len(sides[0][1])}):
        sync = lambda each, some=some: each.vpnctl("node", "sync", *fleets[id(each)][:some])  # noqa: E731
        _compare(row, f"no-op sync of {some} nodes", 7, pair, sync)
    for job in ("sync", "usage", "health"):
        case = f"jobs run {job} of {len(sides[0][1])} nodes"
        _compare(row, case, 7, pair, lambda each, job=job: each.vpnctl("jobs", "run", job))


def _compare(row: Row, case: str, runs: int, pair: list[Site], work: Callable[[Site], float]) -> None:
    now, then = pair
    got = measure.race(runs, now=lambda: work(now), then=lambda: work(then))
    row(f"{case}, now : before", got["now"], got["then"], GOAL)
