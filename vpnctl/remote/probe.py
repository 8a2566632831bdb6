"""Shaking hands with a node over UDP: what a client's first packet finds there.

Only ever with the node's probe peer. A handshake with a user's key would move that user's endpoint to this machine
and cut the user's traffic until the device speaks again.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from vpnctl.protocols import handshake
from vpnctl.protocols.handshake import Answer, Identity, Sign

TRIES = 3
WAIT = 1.5
"""Seconds until an answer counts as lost."""
SPACING = 0.05
"""Seconds between two first messages; a server takes 50 a second from one peer at most."""


class Verdict(StrEnum):
    """How a handshake ended."""

    OK = "ok"
    PSK_MISMATCH = "psk mismatch"
    """The server is there and knows our key, but has another preshared key."""
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
    answer: Answer | None = None
    index: int = 0


Stamp = Callable[[], tuple[int, int]]
"""Gives the time for a first message, later at every call: (seconds since 1970, nanoseconds)."""


def shake(
    host: str, port: int, identity: Identity, stamp: Stamp, *, tries: int = TRIES, wait: float = WAIT
) -> Handshake:
    """Shake hands with the server at `host`:`port`. Never raises for what the network does."""
    try:
        line = connect(host, port)
    except socket.gaierror:
        return Handshake(Verdict.UNRESOLVED)
    except OSError:
        return Handshake(Verdict.UNREACHABLE)
    with line:
        return shake_on(line, identity, stamp, tries=tries, wait=wait)


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
    line: socket.socket, identity: Identity, stamp: Stamp, *, tries: int = TRIES, wait: float = WAIT
) -> Handshake:
    """Shake hands on an open socket."""
    cookie = b""
    last = Handshake(Verdict.SILENT)
    for attempt in range(tries):
        if attempt:
            time.sleep(SPACING)
        index = int.from_bytes(os.urandom(4), "little")
        sent = handshake.initiate(identity, os.urandom(32), index, *stamp())
        sent = sent.with_cookie(cookie) if cookie else sent
        began = time.monotonic()
        try:
            line.send(sent.packet)
            answer = _listen(line, sent, began + wait)
        except ConnectionRefusedError:
            last = Handshake(Verdict.REFUSED)
            continue
        except OSError:
            last = Handshake(Verdict.UNREACHABLE)
            continue
        took = (time.monotonic() - began) * 1000
        if answer is None:
            last = last if last.verdict is Verdict.REFUSED else Handshake(Verdict.SILENT)
        elif answer.sign is Sign.COOKIE:
            cookie = answer.cookie
        else:
            verdict = Verdict.OK if answer.sign is Sign.OK else Verdict.PSK_MISMATCH
            return Handshake(verdict, took, answer, index)
    return last


def _listen(line: socket.socket, sent: handshake.Initiation, until: float) -> Answer | None:
    """Return the first packet that is an answer to `sent`, or None when the time is over."""
    while (left := until - time.monotonic()) > 0:
        line.settimeout(left)
        try:
            packet = line.recv(2048)
        except TimeoutError:
            return None
        answer = handshake.read(sent, packet)
        if answer.sign is not Sign.FOREIGN:
            return answer
    return None
