"""What can be set on an AmneziaWG endpoint: WireGuard's options, the generation, and the parameters of its packets."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vpnctl.protocols.amneziawg.parameters import (
    GENERATIONS,
    MOST_S4,
    NAMES,
    NUMBERS,
    USUAL,
    Parameters,
    checked,
    generated,
    later_than,
)
from vpnctl.protocols.interface import BadOption, MissingOption, Server, Suited
from vpnctl.protocols.wireguard import options as plain
from vpnctl.rules.grammar import Network

GENERATION = "generation"
USUAL_MTU = 1376
"""As AmneziaVPN sets it: with the longest S4 it fits every line that carries WireGuard's usual 1420."""
OF_CLIENTS = frozenset({"jc", "jmin", "jmax", "i1", "i2", "i3", "i4", "i5"})
"""What is sent before a first message: the server ignores it."""
MUST_MATCH = frozenset({"s1", "s2", "s3", "s4", "h1", "h2", "h3", "h4", "random_trailers"})


def split(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (WireGuard's options, the others)."""
    ours = {name: value for name, value in options.items() if name == GENERATION or name in NAMES}
    return {name: value for name, value in options.items() if name not in ours}, ours


def parameters(options: Mapping[str, Any]) -> Parameters:
    """Return the parameters of an endpoint; one that is older than an option has what its tools took for granted."""
    return Parameters(**{name: options[name] for name in NAMES if name in options})


def canonical(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options in their canonical form, each for itself; whether they fit each other `fitting` finds out."""
    other, ours = split(given)
    return plain.checked(other) | _own(ours)


def _own(ours: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers may be typed on a command line as texts, and YAML takes some texts for numbers."""
    found: dict[str, Any] = {}
    for name, value in ours.items():
        if name in NUMBERS and isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
            found[name] = int(value)
        elif name == GENERATION and isinstance(value, float):
            found[name] = f"{value:.1f}"
        elif name in NAMES and type(value) is int and name not in NUMBERS:
            found[name] = str(value)
        elif type(value) is bool:
            found[name] = "on" if value else "off"
        else:
            found[name] = value
    if found.get(GENERATION, USUAL) not in GENERATIONS:
        raise BadOption(GENERATION, f"one of: {', '.join(GENERATIONS)}")
    return found


def fitting(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of an endpoint. BadOption where parameters do not fit each other or the generation."""
    _, ours = split(options)
    generation = ours.pop(GENERATION)
    return {**options, **vars(checked(ours, generation))}


def complete(given: Mapping[str, Any], others: Sequence[Mapping[str, Any]], avoid: Sequence[Network]) -> dict[str, Any]:
    """Return all options of a new endpoint: what is not given of its parameters is drawn."""
    other, ours = split(given)
    generation = ours.get(GENERATION, USUAL)
    drawn = vars(generated(generation, random.SystemRandom())) | {GENERATION: generation}
    return fitting(plain.complete({"mtu": USUAL_MTU, **other}, others, avoid) | drawn | ours)


def from_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options in an inventory's entry; parameters that are missing there are drawn."""
    other, ours = split(entry)
    named = _own({key: value for key, value in ours.items() if value is not None})
    generation = named.get(GENERATION, USUAL)
    drawn = vars(generated(generation, random.SystemRandom())) | {GENERATION: generation}
    pools = plain.from_entry({"mtu": USUAL_MTU, **other})
    try:
        return fitting(pools | drawn | named)
    except BadOption as error:
        left = [name for name in NAMES if name not in named]
        if left and error.option in NAMES:  # an endpoint that is there has those that are left out
            raise MissingOption(left[0]) from None
        raise


def to_entry(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an inventory's entry says of these options: all parameters, or they would be drawn anew."""
    other, ours = split(options)
    later = later_than(options[GENERATION])
    return plain.to_entry(other) | {name: value for name, value in ours.items() if name not in later}


def renewed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a successor takes over: what WireGuard's does, and the generation. Its parameters are drawn anew."""
    return plain.renewed(split(options)[0]) | {GENERATION: options[GENERATION]}


def newer(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a successor of a newer generation takes over: the usual one for what is older, else the newest."""
    if options[GENERATION] == GENERATIONS[0]:
        return None
    next_one = USUAL if options[GENERATION] == GENERATIONS[-1] else GENERATIONS[0]
    return renewed(options) | {GENERATION: next_one}


def suited(server: Server) -> Suited:
    """Return the options that suit a server: as WireGuard's, with room for what is put before data."""
    found = plain.suited(server)
    fits = found.options.get("mtu", plain.USUAL_MTU) - MOST_S4
    return Suited({**found.options, "mtu": min(fits, USUAL_MTU)}, found.notes)
