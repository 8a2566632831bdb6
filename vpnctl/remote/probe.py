"""Shaking hands with a node over UDP: what a client's first packet finds there.

Only ever with the node's probe peer. A handshake with a user's key would move that user's endpoint to this machine
and cut the user's traffic until the device speaks again.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from vpnctl.protocols.conversation import Conversation, Heard

TRIES = 3
WAIT = 1.5
"""Seconds until an answer counts as lost."""
SPACING = 0.05
"""Seconds between two first messages; a server takes 50 a second from one peer at most."""


class Verdict(StrEnum):
    """How a handshake ended."""

    OK = "ok"
    PSK_MISMATCH = "psk mismatch"
    """The server is there and knows our identity, but has another shared secret."""
    REFUSED = "refused"
    """The machine answers that nothing listens on the port."""
    SILENT = "no answer"
    """A firewall, another server key, or our peer is not there: from outside these look alike."""
    UNRESOLVED = "name does not resolve"
    UNREACHABLE = "network unreachable"


@dataclass(frozen=True)
class Handshake:
    """How a handshake ended, and after how many milliseconds the answer came."""

    verdict: Verdict
    milliseconds: float | None = None


Stamp = Callable[[], tuple[int, int]]
"""Gives the time for a first message, later at every call: (seconds since 1970, nanoseconds)."""


def shake(
    host: str, port: int, talk: Conversation, stamp: Stamp, *, tries: int = TRIES, wait: float = WAIT
) -> Handshake:
    """Shake hands over UDP with the server at `host`:`port`. Never raises for what the network does."""
    try:
        line = connect(host, port)
    except socket.gaierror:
        return Handshake(Verdict.UNRESOLVED)
    except OSError:
        return Handshake(Verdict.UNREACHABLE)
    with line:
        return shake_on(line, talk, stamp, tries=tries, wait=wait)


def reach(host: str, port: int, *, wait: float = 2 * WAIT) -> Handshake:
    """Open a TCP connection to `host`:`port` and close it: that somebody listens is all that it tells."""
    began = time.monotonic()
    try:
        socket.create_connection((host, port), timeout=wait).close()
    except socket.gaierror:
        return Handshake(Verdict.UNRESOLVED)
    except ConnectionRefusedError:
        return Handshake(Verdict.REFUSED)
    except TimeoutError:
        return Handshake(Verdict.SILENT)
    except OSError:
        return Handshake(Verdict.UNREACHABLE)
    return Handshake(Verdict.OK, (time.monotonic() - began) * 1000)


def connect(host: str, port: int) -> socket.socket:
    """Return a UDP socket that is connected, so that a refusal (ICMP) is heard."""
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    line = socket.socket(family, kind, proto)
    try:
        line.connect(address)
    except OSError:
        line.close()
        raise
    return line


def shake_on(
    line: socket.socket, talk: Conversation, stamp: Stamp, *, tries: int = TRIES, wait: float = WAIT
) -> Handshake:
    """Shake hands on an open socket."""
    last = Handshake(Verdict.SILENT)
    for attempt in range(tries):
        if attempt:
            time.sleep(SPACING)
        packet = talk.say(*stamp())
        began = time.monotonic()
        try:
            line.send(packet)
            heard = _listen(line, talk, began + wait)
        except ConnectionRefusedError:
            last = Handshake(Verdict.REFUSED)
            continue
        except OSError:
            last = Handshake(Verdict.UNREACHABLE)
            continue
        if heard in _ENDS:
            return Handshake(_ENDS[heard], (time.monotonic() - began) * 1000)
        if heard is Heard.FOREIGN and last.verdict is not Verdict.REFUSED:
            last = Handshake(Verdict.SILENT)
    return last


_ENDS = {Heard.OK: Verdict.OK, Heard.WRONG_SECRET: Verdict.PSK_MISMATCH}


def _listen(line: socket.socket, talk: Conversation, until: float) -> Heard:
    """Return what the first answer says, FOREIGN when none comes in time."""
    while (left := until - time.monotonic()) > 0:
        line.settimeout(left)
        try:
            packet = line.recv(2048)
        except TimeoutError:
            break
        heard = talk.hear(packet)
        if heard is not Heard.FOREIGN:
            return heard
    return Heard.FOREIGN
