"""What AmneziaWG's packets look like: the parameters of a generation, which are valid, and how new ones are made.

Sources: amneziawg-go's README and device/uapi.go, amneziawg-tools' src/config.c. Both sides must have the same S and H;
what a client sends before its first message (J, I) is its own business, the server ignores it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from vpnctl.protocols.interface import BadOption
from vpnctl.protocols.wireguard.handshake import COOKIE, INITIATION, RESPONSE

GENERATIONS = ("2.0", "1.0")
"""The newest first: it is what a new endpoint gets."""
MOST_TYPE = 2**31 - 1
"""Of H: the Windows client's editor refuses more."""
_FIRST_TYPE = 5
"""1 to 4 are WireGuard's own."""
MOST_JUNK, MOST_PACKET = 128, 1280
"""Of Jc, and of Jmax: a longer one would not fit a tunnel's MTU (the kernel module's README)."""
DNS_ANSWER = "<r 2><b 0x858000010001000000000669636c6f756403636f6d0000010001c00c000100010000105a00044d583737>"
"""I1 as AmneziaVPN has it: the answer to a DNS query. Random bytes fail on some mobile networks, this does not."""
MOST_S4 = 19
"""Bytes before each packet of data that new parameters have at most; the MTU leaves room for them."""
_SIZES = {"s1": MOST_PACKET - INITIATION, "s2": MOST_PACKET - RESPONSE, "s3": MOST_PACKET - COOKIE, "s4": 200}
_TAG = re.compile(r"<b 0x((?:[0-9a-fA-F]{2})+)>|<(r|rd|rc) ([1-9][0-9]{0,3})>|<t>")
_STAMP = 4
_KIND = re.compile(r"([1-9][0-9]{0,9})(?:-([1-9][0-9]{0,9}))?")


@dataclass(frozen=True)
class Parameters:
    """One set. J: junk packets before a first message, and their sizes. S: random bytes before each kind of message.

    H: the number that says which kind a message is, or a range of them. I: packets that are sent before all else.
    """

    jc: int = 4
    jmin: int = 10
    jmax: int = 50
    s1: int = 0
    s2: int = 0
    s3: int = 0
    s4: int = 0
    h1: str = "1"
    h2: str = "2"
    h3: str = "3"
    h4: str = "4"
    i1: str = ""
    i2: str = ""
    i3: str = ""
    i4: str = ""
    i5: str = ""

    def both_sides(self, generation: str) -> dict[str, str]:
        """Return what a server's file must say, all of it: a tool keeps what a file leaves out."""
        left_out = ("s3", "s4") if generation == "1.0" else ()
        return {
            name.capitalize(): str(value)
            for name, value in asdict(self).items()
            if not name.startswith("i") and name not in left_out
        }

    def of_client(self, generation: str) -> dict[str, str]:
        """Return what a client's file must say."""
        own = {name.capitalize(): value for name, value in asdict(self).items() if name.startswith("i") and value}
        return self.both_sides(generation) | own

    def types(self) -> tuple[range, range, range, range]:
        """Return the numbers that stand for a first message, its answer, a cookie, and data."""
        first, second, third, fourth = (_range(name, getattr(self, name)) for name in ("h1", "h2", "h3", "h4"))
        return first, second, third, fourth


NAMES = tuple(Parameters.__dataclass_fields__)


def checked(given: Mapping[str, Any], generation: str) -> Parameters:
    """Return parameters that the tools of that generation take. BadOption names the one that is wrong.

    What they refuse they have partly applied by then, so nothing invalid ever reaches a node.
    """
    for name, value in given.items():
        kind = int if name[0] in "js" else str
        if type(value) is not kind:
            raise BadOption(name, f"expected a valid {'integer' if kind is int else 'string'}")
    found = Parameters(**given)
    if generation == "1.0":
        later = [name for name in NAMES if name in ("s3", "s4") or name[0] == "i"]
        for name in later:
            if getattr(found, name) != getattr(Parameters(), name):
                raise BadOption(name, "AmneziaWG 1.0 has no such parameter")
    _check_junk(found)
    _check_sizes(found)
    _check_types(found, generation)
    for number in range(1, 6):
        _check_decoy(f"i{number}", getattr(found, f"i{number}"))
    kinds = {name: _written(_range(name, getattr(found, name))) for name in ("h1", "h2", "h3", "h4")}
    return replace(found, **kinds)  # type: ignore[arg-type]


def _check_junk(found: Parameters) -> None:
    """amneziawg-go refuses a zero here, and 1.0 makes jmax one more where it equals jmin."""
    if not 1 <= found.jc <= MOST_JUNK:
        raise BadOption("jc", f"from 1 to {MOST_JUNK}")
    if found.jmin < 1:
        raise BadOption("jmin", "1 at least")
    if not found.jmin < found.jmax <= MOST_PACKET:
        raise BadOption("jmax", f"more than jmin, and {MOST_PACKET} at most")


def _check_sizes(found: Parameters) -> None:
    for name, most in _SIZES.items():
        if not 0 <= getattr(found, name) <= most:
            raise BadOption(name, f"from 0 to {most}")
    lengths = {"s1": found.s1 + INITIATION, "s2": found.s2 + RESPONSE, "s3": found.s3 + COOKIE}
    for one, other in (("s1", "s2"), ("s1", "s3"), ("s2", "s3")):
        if lengths[one] == lengths[other]:
            raise BadOption(other, f"with {one} {getattr(found, one)}, two kinds of messages have one length")


def _check_types(found: Parameters, generation: str) -> None:
    kinds = [(name, _range(name, getattr(found, name))) for name in ("h1", "h2", "h3", "h4")]
    for number, (name, one) in enumerate(kinds):
        if generation == "1.0" and len(one) != 1:
            raise BadOption(name, "AmneziaWG 1.0 takes one number")
        for other, two in kinds[number + 1 :]:
            if one.start < two.stop and two.start < one.stop:
                raise BadOption(other, f"it overlaps with {name}")


def _range(name: str, text: str) -> range:
    """Return the numbers that a text means: one, or `a-b`. Below 5 is only what plain WireGuard has there."""
    found = _KIND.fullmatch(text)
    if found is None:
        raise BadOption(name, "a number, or two with - between them")
    first, last = int(found[1]), int(found[2] or found[1])
    if not first <= last <= MOST_TYPE or (first < _FIRST_TYPE and text != getattr(Parameters, name)):
        raise BadOption(name, f"from {_FIRST_TYPE} to {MOST_TYPE}, the lower one first")
    return range(first, last + 1)


def _written(kind: range) -> str:
    """Return numbers as the tools show them, which drop a range of one."""
    return str(kind.start) if len(kind) == 1 else f"{kind.start}-{kind.stop - 1}"


def _check_decoy(name: str, text: str) -> None:
    """A length below zero crashes amneziawg-go and overruns the kernel module; a `#` would cut the line."""
    if not text:
        return
    at = length = 0
    for tag in _TAG.finditer(text):
        if tag.start() != at:
            break
        length += len(tag[1]) // 2 if tag[1] else int(tag[3]) if tag[3] else _STAMP
        at = tag.end()
    if at != len(text):
        raise BadOption(name, "tags <b 0xHEX>, <r N>, <rd N>, <rc N> and <t>, with nothing between them")
    if length > MOST_PACKET:
        raise BadOption(name, f"{length} bytes are more than a packet of {MOST_PACKET}")


def generated(generation: str, chance: random.Random) -> Parameters:
    """Return new parameters, as AmneziaVPN draws them: like no other server's, and within what passes everywhere."""
    while True:
        s1, s2 = chance.sample(range(15, 150), 2)
        s3, s4 = (0, 0) if generation == "1.0" else (chance.randint(0, 63), chance.randint(0, MOST_S4))
        lengths = {s1 + INITIATION, s2 + RESPONSE, s3 + COOKIE}
        if len(lengths) == 3 and len({s1, s2, s3, s4} - {0}) == len([each for each in (s1, s2, s3, s4) if each]):  # noqa: PLR2004
            break
    if generation == "1.0":
        one = [str(each) for each in chance.sample(range(_FIRST_TYPE, MOST_TYPE), 4)]
        return Parameters(chance.randint(2, 4), 10, 50, s1, s2, 0, 0, one[0], one[1], one[2], one[3])
    edges = sorted(chance.sample(range(_FIRST_TYPE, MOST_TYPE), 8))
    h1, h2, h3, h4 = (f"{low}-{high}" for low, high in zip(edges[::2], edges[1::2], strict=True))
    return Parameters(chance.randint(4, 6), 10, 50, s1, s2, s3, s4, h1, h2, h3, h4, i1=DNS_ANSWER)
