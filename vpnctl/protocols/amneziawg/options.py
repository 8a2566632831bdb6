"""What can be set on an AmneziaWG endpoint: WireGuard's options, the generation, and the parameters of its packets."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from vpnctl.protocols.amneziawg.parameters import GENERATIONS, MOST_S4, NAMES, Parameters, checked, generated
from vpnctl.protocols.interface import BadOption, Server, Suited
from vpnctl.protocols.wireguard import options as plain
from vpnctl.rules.grammar import Network

GENERATION = "generation"
USUAL_MTU = 1376
"""As AmneziaVPN sets it: with the longest S4 it fits every line that carries WireGuard's usual 1420."""
MUST_MATCH = frozenset({"s1", "s2", "s3", "s4", "h1", "h2", "h3", "h4"})


def split(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (WireGuard's options, the others)."""
    ours = {name: value for name, value in options.items() if name == GENERATION or name in NAMES}
    return {name: value for name, value in options.items() if name not in ours}, ours


def parameters(options: Mapping[str, Any]) -> Parameters:
    """Return the parameters of an endpoint that has all options."""
    return Parameters(**{name: options[name] for name in NAMES})


def canonical(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options in their canonical form, each for itself; whether they fit each other `fitting` finds out."""
    other, ours = split(given)
    if ours.get(GENERATION, GENERATIONS[0]) not in GENERATIONS:
        raise BadOption(GENERATION, f"one of: {', '.join(GENERATIONS)}")
    return plain.checked(other) | {name: _typed(name, value) for name, value in ours.items()}


def _typed(name: str, value: Any) -> Any:
    """A number that was typed on a command line is one; YAML knows that by itself."""
    typed = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10  # noqa: PLR2004
    return int(value) if typed and name[0] in "js" else value


def fitting(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of an endpoint. BadOption where parameters do not fit each other or the generation."""
    _, ours = split(options)
    generation = ours.pop(GENERATION)
    return {**options, **vars(checked(ours, generation))}


def complete(given: Mapping[str, Any], others: Sequence[Mapping[str, Any]], avoid: Sequence[Network]) -> dict[str, Any]:
    """Return all options of a new endpoint: what is not given of its parameters is drawn."""
    other, ours = split(given)
    generation = ours.get(GENERATION, GENERATIONS[0])
    drawn = vars(generated(generation, random.SystemRandom())) | {GENERATION: generation}
    return fitting(plain.complete({"mtu": USUAL_MTU, **other}, others, avoid) | drawn | ours)


def from_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options in an inventory's entry. Parameters that are missing there are those of plain WireGuard."""
    other, ours = split(entry)
    named = {key: value for key, value in ours.items() if value is not None}
    usual = {**vars(Parameters()), GENERATION: GENERATIONS[0]}
    return fitting(canonical({**plain.from_entry({"mtu": USUAL_MTU, **other}), **usual, **named}))


def to_entry(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an inventory's entry says of these options."""
    other, ours = split(options)
    usual = vars(Parameters())
    return plain.to_entry(other) | {name: value for name, value in ours.items() if value != usual.get(name)}


def newer(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a successor of the newest generation takes over: all but pools and parameters, drawn anew."""
    if options[GENERATION] == GENERATIONS[0]:
        return None
    kept, _ = split(options)
    return {name: value for name, value in kept.items() if name not in _POOLS} | {GENERATION: GENERATIONS[0]}


_POOLS = ("pool_v4", "pool_v6")


def suited(server: Server) -> Suited:
    """Return the options that suit a server: as WireGuard's, with room for what is put before data."""
    found = plain.suited(server)
    fits = found.options.get("mtu", plain.USUAL_MTU) - MOST_S4
    return Suited({**found.options, "mtu": min(fits, USUAL_MTU)}, found.notes)
