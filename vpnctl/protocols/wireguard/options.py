"""What can be set on a WireGuard endpoint: the form of each option, defaults, and what suits a server."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from vpnctl.errors import Conflict, InvalidInput
from vpnctl.protocols.interface import BadOption, MissingOption, Server, Suited
from vpnctl.rules import addresses, grammar
from vpnctl.rules.grammar import Network
from vpnctl.rules.path import fitting_mtu

OVERHEAD = 80
"""Bytes that WireGuard adds to a packet on its way over IPv6: IP and UDP headers, its own header and tag.

Clients may come over IPv6, whose header is 20 bytes longer, so that one counts on every line.
"""
USUAL_MTU = 1420
USUAL_DNS = "1.1.1.1, 2606:4700:4700::1111"
V6_DNS = "2606:4700:4700::1111, 2001:4860:4860::8888"
ALL_TRAFFIC = "0.0.0.0/0, ::/0"
V6_ONLY = "::/0"
_POOL_BITS = 16
"""Of our pools; a wider network of the server takes no packets from one."""
_MOST_KEEPALIVE = 65535


@dataclass(frozen=True)
class Options:
    """All options of an endpoint. Addresses and networks are texts with `, ` between them; keepalive in seconds."""

    pool_v4: str
    pool_v6: str | None
    dns: str
    mtu: int
    allowed_ips: str
    keepalive: int
    isolation: bool
    hooks: Sequence[str] = ()
    """Lines of wg-quick's that were there before vpnctl. They are commands of root's: nobody sets them here."""
    own_v4: str | None = None
    """The server's own address where it was another one than the pool's first before vpnctl; nobody sets it here."""


KEPT = frozenset({"hooks", "own_v4"})
"""What is as it was before vpnctl: only adopting writes it."""
USUAL = {"dns": USUAL_DNS, "mtu": USUAL_MTU, "allowed_ips": ALL_TRAFFIC, "keepalive": 25, "isolation": True}
_KINDS: dict[str, type] = {"mtu": int, "keepalive": int, "isolation": bool}
_TEXTS = {str: "a valid string", int: "a valid integer", bool: "a valid boolean"}


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options in their canonical form; a pool `none` becomes None. BadOption names the one that is wrong."""
    known = {each.name for each in fields(Options)} - KEPT
    for name, value in given.items():
        if name not in known:
            raise BadOption(name, "unknown key")
        kind = _KINDS.get(name, str)
        if type(value) is not kind:
            raise BadOption(name, f"expected {_TEXTS[kind]}")
    canonical: dict[str, Any] = {
        name: _CHECKS[name](value) if name in _CHECKS else value for name, value in given.items()
    }
    limits = {"mtu": (grammar.MIN_MTU, grammar.MAX_MTU), "keepalive": (0, _MOST_KEEPALIVE)}
    for name, (low, high) in limits.items():
        if name in canonical and not low <= canonical[name] <= high:
            raise InvalidInput(f"{name} {canonical[name]} is out of range", f"from {low} to {high}")
    return canonical


def complete(given: Mapping[str, Any], others: Sequence[Mapping[str, Any]], avoid: Sequence[Network]) -> dict[str, Any]:
    """Return all options of a new endpoint, its pools beside those of `others` and beside the networks to `avoid`."""
    taken = [each for other in others for each in _pools(other)]
    for name in ("pool_v4", "pool_v6"):
        if given.get(name) is not None:
            _refuse_overlap(grammar.network(given[name]), taken)
    picked = {
        "pool_v4": given.get("pool_v4") or _free_pool([*taken, *avoid]),
        "pool_v6": given["pool_v6"] if "pool_v6" in given else _random_v6(),
    }
    whole = vars(Options(**{**USUAL, **given, **picked}))
    return {name: value for name, value in whole.items() if name not in KEPT}


def renewed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a successor takes over: neither pools nor what was kept. One without IPv6 has a successor without."""
    none = {"pool_v6": None} if options["pool_v6"] is None else {}
    left = {"pool_v4", "pool_v6", *KEPT}
    return {name: value for name, value in options.items() if name not in left} | none


def from_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options in an inventory's entry. What is missing is as usual there: `pool_v6` none."""
    named = {("pool_v4" if name == "pool" else name): value for name, value in entry.items()}
    if "pool_v4" in entry:
        raise BadOption("pool_v4", "unknown key")
    options = checked({**USUAL, "pool_v6": "none", **{name: each for name, each in named.items() if each is not None}})
    if "pool_v4" not in options:
        raise MissingOption("pool")
    return options


def to_entry(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an inventory's entry says of these options."""
    named = {("pool" if name == "pool_v4" else name): value for name, value in options.items()}
    return {name: value for name, value in named.items() if value is not None and name not in KEPT}


def suited(server: Server) -> Suited:
    """Return the options that suit a server, and what to tell the operator."""
    ways, options, notes = server.ways, dict[str, Any](), list[str]()
    fits = fitting_mtu(ways, OVERHEAD, USUAL_MTU)
    if fits is not None and fits < USUAL_MTU:
        options["mtu"] = fits
        notes.append(f"note: the server's line carries {min(ways.lines.values())} bytes: tunnel MTU {fits}.")
    if not server.ipv6:
        options["pool_v6"] = "none"
        notes.append("note: IPv6 is switched off on this server: it serves IPv4; people's IPv6 goes nowhere.")
    if ways.lines and 4 not in ways.lines:  # noqa: PLR2004
        options |= {"allowed_ips": V6_ONLY, "dns": V6_DNS}
        notes.append(
            "note: this server has no way out over IPv4: it serves IPv6 only; people's IPv4 stays outside the tunnel."
        )
    return Suited(options, tuple(notes))


def _pools(options: Mapping[str, Any]) -> list[Network]:
    return [grammar.network(options[name]) for name in ("pool_v4", "pool_v6") if options.get(name)]


def _refuse_overlap(pool: Network, taken: Sequence[Network]) -> None:
    for other in taken:
        if pool.overlaps(other):
            raise Conflict(f"{pool} overlaps with {other} of another endpoint there", "name another --pool")


def _pool(text: str, version: int) -> str:
    network = grammar.network(text)
    if not network.is_private or network.is_loopback or network.is_multicast or network.is_link_local:
        raise InvalidInput(f"{network} is no private network", "for example 10.66.0.0/16 or fd00:66::/64")
    if network.version != version or addresses.capacity(network) < 1:
        raise InvalidInput(
            f"{network} is not a pool for IPv{version} peers", "for example 10.66.0.0/16 or fd00:66::/64"
        )
    return str(network)


def _random_v6() -> str:
    """Return a random unique local /64 (RFC 4193)."""
    digits = secrets.token_hex(5)
    return str(grammar.network(f"fd{digits[:2]}:{digits[2:6]}:{digits[6:]}::/64"))


def _free_pool(taken: Sequence[Network]) -> str:
    """Return 10.66.0.0/16, or the next /16 that no endpoint and no other network of this node overlaps."""
    used = [each for each in taken if each.version == 4]  # noqa: PLR2004
    candidates = (grammar.network(f"10.{number}.0.0/16") for number in range(66, 250))
    free = next((str(pool) for pool in candidates if not any(pool.overlaps(other) for other in used)), None)
    if free is None:
        raise Conflict("no pool is left between 10.66.0.0/16 and 10.249.0.0/16", "name one: --pool 172.20.0.0/16")
    return free


def avoidable(networks: Sequence[Network]) -> list[Network]:
    """Return the networks of a server that would take packets from a pool of ours."""
    return [each for each in networks if each.prefixlen >= _POOL_BITS]


_CHECKS: dict[str, Callable[[str], str | None]] = {
    "dns": grammar.addresses,
    "allowed_ips": grammar.networks,
    "pool_v4": lambda text: _pool(text, 4),
    "pool_v6": lambda text: None if text == "none" else _pool(text, 6),
}
