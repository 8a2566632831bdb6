"""What AmneziaWG's packets look like: the parameters of a generation, which are valid, and how new ones are made.

Sources: amneziawg-go's README and device/uapi.go, amneziawg-tools' src/config.c. Both sides must have the same S and H;
what a client sends before its first message (J, I) is its own business, the server ignores it.
"""

from __future__ import annotations

import base64
import hashlib
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vpnctl.protocols.interface import BadOption
from vpnctl.protocols.wireguard.handshake import COOKIE, INITIATION, RESPONSE
from vpnctl.rules.secret import Secret

GENERATIONS = ("3.1", "3.0", "2.0", "1.0")
"""The newest first."""
USUAL = "2.0"
"""What a new endpoint gets: no kernel module of 3.1 was published yet, and its apps are of this summer."""
PROTECTED = ("3.1", "3.0")
"""Generations that hide the numbers of messages behind a key of their own."""
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
_LEAST_SALT = 12
"""Bytes of each padding that the protection of headers needs."""
_LATER = {
    "content_padding_addition": "ContentPaddingAddition",
    "rekey_after_time": "RekeyAfterTime",
    "rekey_timeout": "RekeyTimeout",
    "reject_after_time": "RejectAfterTime",
    "keepalive_timeout": "KeepaliveTimeout",
    "max_handshake_attempts": "MaxHandshakeAttempts",
}
"""Of 3.0 on: option -> what a file calls it."""
_LATEST = {"random_trailers": "RandomTrailers", "disable_cookies": "DisableCookies"}
"""Of 3.1."""
_MOST_SPAN = 65535
_NARROW = 65536
"""Where messages have no length of their own, data whose bytes happen to look like another kind's number is lost: of
300 pings of 1000 bytes, 22 and 233 with ranges as 2.0 draws them, none with these."""
_SPAN = re.compile(r"(0|[1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?")
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
    content_padding_addition: str = "0"
    """Bytes that are added inside what is encrypted, a number or a range; 0: as WireGuard does."""
    rekey_after_time: str = "0"
    """Seconds, like the next three; 0: WireGuard's own."""
    rekey_timeout: str = "0"
    reject_after_time: str = "0"
    keepalive_timeout: str = "0"
    max_handshake_attempts: str = "0"
    random_trailers: str = "off"
    """Whether bytes follow each message too."""
    disable_cookies: str = "off"

    def both_sides(self, generation: str, header_key: Secret | None = None) -> dict[str, str]:
        """Return what a server's file must say, all of it: a tool keeps what a file leaves out.

        `header_key`: what hides headers, where the generation does that.
        """
        left_out = ("s3", "s4") if generation == "1.0" else ()
        found = {name.capitalize(): str(getattr(self, name)) for name in _BOTH if name not in left_out}
        if generation in PROTECTED:
            if header_key is None:
                raise ValueError("headers are protected by the server's key")
            later = _LATER | (_LATEST if generation != "3.0" else {})
            found |= {"HeaderProtectionKey": header_key.reveal()}
            found |= {word: str(getattr(self, name)) for name, word in later.items()}
        return found

    def of_client(self, generation: str, header_key: Secret | None = None) -> dict[str, str]:
        """Return what a client's file must say."""
        own = {name.capitalize(): getattr(self, name) for name in _DECOYS if getattr(self, name)}
        return self.both_sides(generation, header_key) | own

    def types(self) -> tuple[range, range, range, range]:
        """Return the numbers that stand for a first message, its answer, a cookie, and data."""
        first, second, third, fourth = (_range(name, getattr(self, name)) for name in ("h1", "h2", "h3", "h4"))
        return first, second, third, fourth


NAMES = tuple(Parameters.__dataclass_fields__)
_BOTH = ("jc", "jmin", "jmax", "s1", "s2", "s3", "s4", "h1", "h2", "h3", "h4")
_DECOYS = ("i1", "i2", "i3", "i4", "i5")
NUMBERS = ("jc", "jmin", "jmax", "s1", "s2", "s3", "s4")


def header_key(private: Secret) -> Secret:
    """Return the key that hides headers, base64: made of the server's own key, so that nothing more is to be kept."""
    digest = hashlib.blake2s(b"vpnctl header protection", key=base64.b64decode(private.reveal())).digest()
    return Secret(base64.b64encode(digest).decode())


def later_than(generation: str) -> tuple[str, ...]:
    """Return the names that a generation does not have yet."""
    latest, later = tuple(_LATEST), tuple(_LATER)
    return {"3.1": (), "3.0": latest, "2.0": later + latest}.get(generation, ("s3", "s4", *_DECOYS, *later, *latest))


def checked(given: Mapping[str, Any], generation: str) -> Parameters:
    """Return parameters that the tools of that generation take. BadOption names the one that is wrong.

    What they refuse they have partly applied by then, so nothing invalid ever reaches a node.
    """
    for name, value in given.items():
        kind = int if name in NUMBERS else str
        if type(value) is not kind:
            raise BadOption(name, f"expected a valid {'integer' if kind is int else 'string'}")
    found = Parameters(**given)
    for name in later_than(generation):
        if getattr(found, name) != getattr(Parameters(), name):
            raise BadOption(name, f"AmneziaWG {generation} has no such parameter")
    _check_junk(found)
    _check_sizes(found)
    _check_types(found, generation)
    _check_later(found, generation)
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


def _check_later(found: Parameters, generation: str) -> None:
    """A range beyond 65535 wraps; and without a salt before a message there is nothing to hide its header with."""
    for name in _LATER:
        span = _SPAN.fullmatch(getattr(found, name))
        low, high = (int(span[1]), int(span[2] or span[1])) if span else (1, 0)
        if not low <= high <= _MOST_SPAN:
            raise BadOption(name, f"a number up to {_MOST_SPAN}, or two with - between them, the lower one first")
    for name in _LATEST:
        if getattr(found, name) not in ("on", "off"):
            raise BadOption(name, "on or off")
    for name in ("h1", "h2", "h3") if found.random_trailers == "on" else ():
        if len(_range(name, getattr(found, name))) > _NARROW:
            raise BadOption(name, f"{_NARROW} numbers at most with random trailers, or data is taken for it and lost")
    if generation in PROTECTED:
        for name in ("s1", "s2", "s3", "s4"):
            if getattr(found, name) < _LEAST_SALT:
                raise BadOption(name, f"{_LEAST_SALT} at least, for the protection of headers")


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
    least = _LEAST_SALT if generation in PROTECTED else 0
    while True:
        s1, s2 = chance.sample(range(15, 150), 2)
        s3, s4 = (0, 0) if generation == "1.0" else (chance.randint(least, 63), chance.randint(least, MOST_S4))
        lengths = {s1 + INITIATION, s2 + RESPONSE, s3 + COOKIE}
        if len(lengths) == 3 and len({s1, s2, s3, s4} - {0}) == len([each for each in (s1, s2, s3, s4) if each]):  # noqa: PLR2004
            break
    if generation == "1.0":
        one = [str(each) for each in chance.sample(range(_FIRST_TYPE, MOST_TYPE), 4)]
        return Parameters(chance.randint(2, 4), 10, 50, s1, s2, 0, 0, one[0], one[1], one[2], one[3])
    edges = sorted(chance.sample(range(_FIRST_TYPE, MOST_TYPE), 8))
    h1, h2, h3, h4 = (f"{low}-{high}" for low, high in zip(edges[::2], edges[1::2], strict=True))
    if generation == "3.1":
        h1, h2, h3 = (f"{low}-{low + chance.randint(999, _NARROW - 1)}" for low in _apart(chance))
        h4 = f"{_FIRST_TYPE + 4 * 2**28}-{MOST_TYPE}"
    made = Parameters(chance.randint(4, 6), 10, 50, s1, s2, s3, s4, h1, h2, h3, h4, i1=DNS_ANSWER)
    return replace(made, random_trailers="on") if generation == "3.1" else made


def _apart(chance: random.Random) -> list[int]:
    """Return where three narrow ranges begin that do not meet, all below where data's numbers do."""
    return [chance.randrange(_FIRST_TYPE + number * 2**28, (number + 1) * 2**28 - _NARROW) for number in range(1, 4)]
