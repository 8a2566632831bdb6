"""What a node's firewalls do with packets of peers: the rules as nft prints them, walked by hand. Pure.

Every layer is asked: on today's systems iptables, Docker, ufw and firewalld all end in nftables, whose forward and
input hooks a packet passes one after the other; one drop is enough. Only rules that hit for certain count: a
drop on a condition that is not understood is passed over, and an accept on such a condition ends the claim. So this
names chains that block everybody for certain and never says that packets pass: that is what the packet test is for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

_DEPTH = 16
_HOOK = re.compile(r"type filter hook (forward|input) priority [^;]+;(?: policy (accept|drop);)?")
_DROPS = re.compile(r"\b(drop|reject|jump|goto)\b")
_OF_IPTABLES = re.compile(r"ip6? filter (?:FORWARD|INPUT)")
_VERDICT = re.compile(r"\b(accept|drop|return|reject(?: with .*)?|(?:jump|goto) \S+)$")
_LOG = r"\blog( prefix \"[^\"]*\")?( level \w+)?(?= |$)"
_NOISE = re.compile(rf"\s*(counter packets \d+ bytes \d+|comment \"[^\"]*\"|{_LOG})\s*")


@dataclass(frozen=True)
class Chain:
    """A chain as nft lists it. `hook` is `forward`, `input` or empty; `table` is `family name`."""

    table: str
    name: str
    hook: str = ""
    policy: str = "accept"
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Blocked:
    """A chain that drops what peers send (`what` says which packets)."""

    what: str
    chain: str
    kind: str
    """`forward` or `input`."""


@dataclass(frozen=True)
class _Packet:
    """One kind of packet: where it comes in and goes out, its conntrack state; port and transport if it is for us."""

    iif: frozenset[str]
    oif: frozenset[str]
    state: str
    port: int = 0
    transport: str = ""


@dataclass(frozen=True)
class Listener:
    """Where an endpoint's packets come in: its interface if it has one, its port, and `udp` or `tcp`."""

    interface: str
    port: int
    transport: str


def forward_rule(found: Sequence[Blocked], chains: Sequence[Chain], *, iptables: bool) -> str:
    """Return whose rules would let through what these chains drop: `docker` or `iptables`; empty: none of ours would.

    An accept in one base chain does not undo the drop of another, so every one of them must be a chain of iptables.
    """
    if not iptables or not found or not all(_OF_IPTABLES.fullmatch(each.chain) for each in found):
        return ""
    users = any(chain.name == "DOCKER-USER" and chain.table in ("ip filter", "ip6 filter") for chain in chains)
    return "docker" if users and all(each.kind == "forward" for each in found) else "iptables"


def suspects(chains: Iterable[Chain]) -> list[str]:
    """Return the chains with a hook that drop something, whether or not it can be told that they drop ours."""
    return [
        f"{chain.table} {chain.name}"
        for chain in chains
        if chain.hook and (chain.policy == "drop" or any(_DROPS.search(rule) for rule in chain.rules))
    ]


def parse(lines: Iterable[str]) -> tuple[Chain, ...]:
    """Return the chains in the node's lines: `table FAMILY NAME`, `chain NAME`, then hooks and rules."""
    chains: list[Chain] = []
    table, name, hook, policy, rules = "", "", "", "accept", list[str]()

    def close() -> None:
        if name:
            chains.append(Chain(table, name, hook, policy, tuple(rules)))

    for line in lines:
        text = line.strip()
        words = text.split()
        if words[:1] == ["table"] and len(words) == 3:  # noqa: PLR2004
            close()
            table, name = f"{words[1]} {words[2]}", ""
        elif words[:1] == ["chain"] and len(words) == 2:  # noqa: PLR2004
            close()
            name, hook, policy, rules = words[1], "", "accept", []
        elif found := _HOOK.search(text):
            hook, policy = found[1], found[2] or "accept"
        elif text:
            rules.append(text)
    close()
    return tuple(chains)


def judge(chains: Sequence[Chain], listener: Listener, wan: Sequence[str], families: Iterable[int]) -> list[Blocked]:
    """Return the chains that drop packets of peers: on their way out, on their way back, or their first ones to us.

    `families` are those (4, 6) over which the node reaches the world; chains for other packets say nothing.
    """
    kinds = {"inet"} | {"ip" if family == 4 else "ip6" for family in families}  # noqa: PLR2004
    ours, world = frozenset({listener.interface}), frozenset(wan)
    through = (
        ("forward", "drops what peers send:", _Packet(ours, world, "new")),
        ("forward", "drops what comes back to peers:", _Packet(world, ours, "established")),
    )
    dropped = "drops handshakes:" if listener.transport == "udp" else "drops connections:"
    coming = ("input", dropped, _Packet(world, frozenset(), "new", listener.port, listener.transport))
    packets = (*(through if listener.interface else ()), coming)
    found: dict[str, Blocked] = {}
    for hook, what, packet in packets:
        for chain in chains:
            if chain.hook == hook and chain.table.split()[0] in kinds and not _passes(chains, chain, packet):
                name = f"{chain.table} {chain.name}"
                found.setdefault(f"{hook} {name}", Blocked(what, name, hook))
    return list(found.values())


def _passes(chains: Sequence[Chain], base: Chain, packet: _Packet) -> bool:
    verdict = _walk({(chain.table, chain.name): chain for chain in chains}, base, packet, 0, {})
    return (verdict or base.policy) != "drop"


def _walk(
    known: dict[tuple[str, str], Chain], chain: Chain, packet: _Packet, depth: int, done: dict[str, str | None]
) -> str | None:
    """Return `accept` or `drop`, or None when the chain ends without a verdict.

    A rule that may let the packet pass, or send it elsewhere, on a condition that is not understood decides nothing
    that could be claimed: then the packet counts as passed. One that may drop it is passed over.
    """
    for rule in chain.rules:
        text = _NOISE.sub(" ", rule).strip()
        found = _VERDICT.search(text)
        if found is None:
            if "vmap" in text:
                return "accept"
            continue
        met = _matches(text[: found.start()].strip(), packet)
        verdict, _, target = found[1].partition(" ")
        if met is False or (met is None and verdict in ("drop", "reject")):
            continue
        if met is None:
            return "accept"
        if verdict not in ("jump", "goto"):
            return {"return": None, "accept": "accept"}.get(verdict, "drop")
        below = known.get((chain.table, target))
        if below is not None and depth < _DEPTH:
            if target not in done:  # each chain is walked once, or a few lines could keep us for hours
                done[target] = None
                done[target] = _walk(known, below, packet, depth + 1, done)
            if done[target] is not None or verdict == "goto":
                return done[target]
    return None


def _matches(condition: str, packet: _Packet) -> bool | None:
    """Return whether a rule's condition is met; None when that cannot be told."""
    rest = condition
    while rest:
        found = next((hit for hit in (pattern.match(rest) for pattern in _TESTS) if hit), None)
        if found is None or "@" in found.group():
            return None
        met = _TESTS[found.re](packet, found)
        if not met:
            return met
        rest = rest[found.end() :].strip()
    return True


def _names(text: str) -> set[str]:
    return {each.strip(' "') for each in text.strip("{}").split(",")}


def _interface(seen: frozenset[str], hit: re.Match[str]) -> bool:
    inside = any(fnmatchcase(each, name) for name in _names(hit["names"]) for each in seen)
    return bool(seen) and (not inside if hit["not"] else inside)


def _state(packet: _Packet, hit: re.Match[str]) -> bool:
    inside = packet.state in _names(hit["names"])
    return not inside if hit["not"] else inside


def _port(packet: _Packet, hit: re.Match[str]) -> bool | None:
    if not packet.port or hit["kind"] != packet.transport:
        return None if not packet.port and hit["kind"] == "tcp" else False
    inside = False
    for each in _names(hit["names"]):
        low, _, high = each.partition("-")
        inside |= low.isdigit() and int(low) <= packet.port <= int(high if high.isdigit() else low)
    return not inside if hit["not"] else inside


def _kind(packet: _Packet, hit: re.Match[str]) -> bool | None:
    return {"17": "udp", "6": "tcp"}.get(hit["kind"], hit["kind"]) == packet.transport if packet.port else None


_Test = Callable[[_Packet, re.Match[str]], bool | None]
_SET = r'(?P<not>!= )?(?P<names>\{[^}]*\}|"[^"]*"|\S+)'
_TESTS: dict[re.Pattern[str], _Test] = {
    re.compile(rf"(?:meta )?iif(?:name)? {_SET}"): lambda packet, hit: _interface(packet.iif, hit),
    re.compile(rf"(?:meta )?oif(?:name)? {_SET}"): lambda packet, hit: _interface(packet.oif, hit),
    re.compile(rf"ct state {_SET}"): _state,
    re.compile(rf"(?P<kind>udp|tcp) dport {_SET}"): _port,
    re.compile(r"(?:meta l4proto|ip protocol) (?P<kind>udp|17|tcp|6)\b"): _kind,
    # What comes to the endpoint itself is of its transport; of what peers send some is of every kind.
    re.compile(r"(?:meta l4proto|ip protocol|ip6 nexthdr) \S+|(?:udp|tcp|icmp|icmpv6) \w+ (?:\{[^}]*\}|\S+)"): (
        lambda packet, _hit: False if packet.port else None
    ),
}
