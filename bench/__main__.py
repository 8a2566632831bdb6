"""`make bench`: the cases and goals of the project, as ratios, on lab nodes.

`make bench ARGS=quick` leaves out the 50 nodes and the 10,000 peers; `ARGS=bot` measures the bot alone,
`ARGS=protocols` those that are not WireGuard, `ARGS=recovery` what a lost server or controller takes, `ARGS=money`
what buying takes, `ARGS=storm` ten minutes of callbacks, `ARGS=web` the API over 100,000 people,
`ARGS="before COMMIT"` this state of the files against a commit of this repository, in turn in one run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import before, bot, commits, lifecycle, measure, money, protocols, recovery, web
from bench.rivals import Rivals
from bench.site import Site, one_key, site
from tests.lab import host
from tests.lab.network import Lab
from tests.lab.node import Node

PROGRAM = str(measure.installed() / "vpnctl")


def row(case: str, ours: float, theirs: float, goal: str, note: str = "") -> None:
    ratio = ours / theirs
    print(
        f"{case:<58} {ours * 1000:>8.0f} ms  {theirs * 1000:>8.0f} ms  ratio {ratio:>6.2f}  goal {goal:<8} {note}",
        flush=True,
    )


def startup(home: Path) -> None:
    empty = home / "empty.py"
    empty.write_text(measure.EMPTY_TYPER)
    env = measure.clean_env(home)
    hello = [str(measure.installed() / "python"), str(empty)]
    got = measure.race(
        15, ours=lambda: measure.timed([PROGRAM, "--help"], env), empty=lambda: measure.timed([*hello, "--help"], env)
    )
    row("vpnctl --help : empty Typer app --help", got["ours"], got["empty"], "<= 1.3")
    with_database = home / "sqlalchemy_typer.py"
    with_database.write_text("import sqlalchemy\n" + measure.EMPTY_TYPER)
    measure.timed([PROGRAM, "--yes", "init"], env)
    small = [PROGRAM, "user", "list", "--limit", "50"]
    none = measure.race(7, ours=lambda: measure.timed(small, env))["ours"]
    names = "\n".join(f"u{number:06}" for number in range(100_000))
    measure.timed([PROGRAM, "--quiet", "user", "add", "--from", "-"], env, names)
    hello = [str(measure.installed() / "python"), str(with_database)]
    got = measure.race(15, ours=lambda: measure.timed(small, env), empty=lambda: measure.timed(hello, env))
    row(
        "user list, 100,000 users, first page : Typer app that imports SQLAlchemy",
        got["ours"],
        got["empty"],
        "<= 1.6",
        f"{measure.peak_mib(small, env):.0f} MiB",
    )
    row("user list, 100,000 users : the same on an empty database", got["ours"], none, "~ 1")


def large(home: Path) -> None:
    """100,000 people with a subscription and a device each, against a service with nobody."""
    lifecycle.run(home / "large", row).store.close()
    full, bare = measure.clean_env(home / "large"), measure.clean_env(home / "bare")
    (home / "bare").mkdir()
    measure.timed([PROGRAM, "--yes", "init"], bare)
    for words in (("user", "list", "--limit", "50"), ("status",)):
        got = measure.race(
            7,
            ours=lambda w=words: measure.timed([PROGRAM, *w], full),
            none=lambda w=words: measure.timed([PROGRAM, *w], bare),
        )
        case = f"{' '.join(words[:2])}, 100,000 subscriptions and devices : empty"
        row(case, got["ours"], got["none"], "~ 1", f"{measure.peak_mib([PROGRAM, *words], full):.0f} MiB")


def one_peer(made: Site, node: Node, label: str, goal: str) -> None:
    count = iter(range(10_000))
    made.vpnctl("user", "add", *[f"one{number}" for number in range(12)])
    got = measure.race(
        9,
        ours=lambda: made.vpnctl("peer", "add", f"one{next(count)}", "--node", node.name),
        floor=lambda: made.ssh(node.address, "true"),
    )
    row(
        f"peer add to proof, {label} : one cold ssh",
        got["ours"],
        got["floor"],
        goal,
        f"{made.peak('peer', 'list', '--live'):.0f} MiB",
    )


def many_peers(made: Site, node: Node, count: int, goal: str) -> None:
    names = "\n".join(f"m{count}x{number}" for number in range(count))
    made.vpnctl("user", "add", "--from", "-", stdin=names)
    ours = made.vpnctl("peer", "add", "--from", "-", "--node", node.name, stdin=names)
    config = node.sh("grep -vE '^(Address|MTU)' /etc/wireguard/wg0.conf")
    node.sh("wg show wg0 peers | sed 's/^/peer /; s/$/ remove/' | xargs -n 600 wg set wg0")
    floor = made.ssh(node.address, "cat > /run/bench.conf && wg syncconf wg0 /run/bench.conf", config)
    memory = made.peak("node", "sync", node.name)
    row(
        f"{count} peers in one go : cold ssh + syncconf of that file",
        ours,
        floor,
        goal,
        f"settling it again: {memory:.0f} MiB",
    )


def one_of_many(made: Site, empty: Node, count: int, goal: str) -> None:
    made.vpnctl("user", "add", f"few{count}")
    made.vpnctl("peer", "add", f"few{count}", "--node", empty.name)
    states = iter(["suspend", "resume"] * 10)
    others = iter(["suspend", "resume"] * 10)
    got = measure.race(
        6,
        ours=lambda: made.vpnctl("peer", next(states), f"m{count}x7"),
        floor=lambda: made.vpnctl("peer", next(others), f"few{count}"),
    )
    row(f"one peer changed among {count} : the same on an empty node", got["ours"], got["floor"], goal)


def noop(made: Site, nodes: list[Node], label: str, rivals: Rivals) -> None:
    names = [node.name for node in nodes]
    made.vpnctl("node", "sync", *names)
    work = {"ours": lambda: made.vpnctl("node", "sync", *names)}
    work |= rivals.noop(nodes, made.ports, made.key)
    got = measure.race(3, **work)
    for rival, seconds in got.items():
        if rival != "ours":
            row(
                f"no-op sync of {len(nodes)} nodes, {label} : {rival}",
                got["ours"],
                seconds,
                rivals.goals.get(rival, "< 1"),
            )


def sweep(made: Site, nodes: list[Node]) -> None:
    """A health check of all nodes with a dead one among them, against one of the dead one alone."""
    dead = nodes[-1]
    run = ("jobs", "run", "health")
    calm = made.vpnctl(*run)
    dead.cut()
    try:
        whole = made.vpnctl(*run)
        for node in nodes[:-1]:
            made.vpnctl("node", "retire", node.name, "--destroyed", "--revoke-peers")
        alone = made.vpnctl(*run)
    finally:
        dead.plug()
    row(
        f"health of {len(nodes)} nodes, one dead : the dead one alone",
        whole,
        alone,
        "~ 1",
        f"{calm * 1000:.0f} ms with none dead",
    )


def everything(home: Path, *, with_nodes: bool, quick: bool) -> None:
    """All cases, one after the other."""
    startup(home)
    large(home)
    commits.run(home / "commits")
    if not with_nodes:
        return
    rivals = Rivals(home)
    for line in rivals.missing:
        print(line)
    with Lab() as lab:
        nodes = lab.fleet(10 if quick else 50)
        one_key(nodes)
        lan = site(home / "lan", nodes, PROGRAM)
        one_peer(lan, nodes[0], "lan", "<= 2.4")
        for count in (1000,) if quick else (1000, 10_000):
            target = nodes[1] if count == 1000 else nodes[2]
            many_peers(lan, target, count, "<= 4" if count == 1000 else "<= 3")
            lan.vpnctl("node", "sync", target.name)
            one_of_many(lan, nodes[3], count, "<= 1.5" if count == 1000 else "<= 3")
        calm = [*nodes[:1], *nodes[3:12]][:10]
        noop(lan, calm, "lan", rivals)
        if not quick:
            noop(lan, nodes, "lan", rivals)
        sweep(lan, nodes)
        for node in nodes:
            subprocess.run(["rm", "-f", str(node.root / "var/lib/vpnctl/token")], check=True)
            node.sh(
                "systemctl disable -q --now wg-quick@wg0 vpnctl-firewall@wg0; rm -rf /etc/wireguard/* /etc/vpnctl",
                check=False,
            )
        wan = site(home / "wan", nodes, PROGRAM, wan=True)
        one_peer(wan, nodes[0], "80 ms", "<= 1.6")
        noop(wan, nodes[:10], "80 ms", rivals)
        if not quick:
            noop(wan, nodes, "80 ms", rivals)
    with Lab() as lab:
        bot.run(home, lab.fleet(bot.NODES), row)
    protocols.run(home, PROGRAM, row)
    recovery.run(home, PROGRAM, row)


ALONE = {
    "protocols": protocols.run,
    "recovery": recovery.run,
    "money": money.run,
    "storm": money.run_storm,
    "web": web.run,
}
"""What an argument of its own measures, on a laboratory of its own."""


def main() -> int:
    reason = host.why_not()
    home = Path(tempfile.mkdtemp(prefix="vpnctl-bench-"))
    quick = "quick" in sys.argv[1:]
    try:
        print(f"{'case':<58} {'ours':>11}  {'theirs':>11}", flush=True)
        if "before" in sys.argv[1:]:
            before.run(home, sys.argv[sys.argv.index("before") + 1], row, with_nodes=not reason, quick=quick)
            return 0
        if "bot" in sys.argv[1:] and not reason:
            with Lab() as lab:
                bot.run(home, lab.fleet(bot.NODES), row)
            return 0
        for name, work in ALONE.items():
            if name in sys.argv[1:] and not reason:
                work(home, PROGRAM, row)
                return 0
        everything(home, with_nodes=not reason, quick=quick)
        if reason:
            print(f"the cases with nodes were left out: {reason}")
        return 0
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main())
