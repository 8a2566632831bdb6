"""A tunnel in this process, without an interface: enough to measure the way through it.

What is inside is IPv4 with ICMP echo (RFC 792) or UDP (RFC 768).
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import time
from dataclasses import dataclass
from statistics import median

from vpnctl.protocols.conversation import Session

PAYLOAD = 1300
"""Bytes of UDP data in a packet; with all headers it fits into every usual MTU."""
DISCARD = 9
_ECHO, _ECHO_REPLY, _ICMP, _UDP = 8, 0, 1, 17
_QUEUE = 4 * 1024 * 1024


@dataclass(frozen=True)
class Echo:
    """What a series of pings found: milliseconds, None when nothing came back, and the share lost (0 to 1)."""

    milliseconds: float | None
    loss: float


class Tunnel:
    """An open session. `own` is our address inside, `server` the node's."""

    def __init__(self, line: socket.socket, session: Session, own: str, server: str) -> None:
        self._line, self._session = line, session
        self._own, self._server = (ipaddress.IPv4Address(each).packed for each in (own, server))
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE)
        self._send(b"")  # the server sends nothing before it has seen a first message

    def ping(self, count: int = 20, spacing: float = 0.05) -> Echo:
        """Ping the node through the tunnel."""
        mark, times = os.urandom(2), []
        for number in range(count):
            began = time.monotonic()
            self._send(self._ip(_ICMP, _icmp(mark, number)))
            if self._reply(mark, number, began + 1.0):
                times.append((time.monotonic() - began) * 1000)
            time.sleep(max(0.0, began + spacing - time.monotonic()))
        return Echo(median(times) if times else None, 1 - len(times) / count)

    def pour(self, seconds: float) -> None:
        """Send as much as goes out, to a port where nobody listens: the node's counters tell what arrived."""
        body = struct.pack(">HHHH", 40000, DISCARD, 8 + PAYLOAD, 0) + bytes(PAYLOAD)
        packet = self._ip(_UDP, body)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self._send(packet)
            except (BlockingIOError, ConnectionRefusedError):
                time.sleep(0.001)

    def drink(self, port: int, seconds: float) -> tuple[int, float]:
        """Return (bytes of UDP data to `port` that arrived, seconds from the first to the last packet)."""
        total, first, last = 0, 0.0, 0.0
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end and not (first and now - last > 1.0):
            packet = self._receive(0.2)
            if packet is None or len(packet) < 28 or packet[9] != _UDP or packet[22:24] != struct.pack(">H", port):  # noqa: PLR2004
                continue
            last = time.monotonic()
            first, total = first or last, total + (len(packet) - 28 if first else 0)
        return total, last - first

    def _reply(self, mark: bytes, number: int, until: float) -> bool:
        while (left := until - time.monotonic()) > 0:
            packet = self._receive(left)
            echo = packet is not None and (packet[9], packet[20]) == (_ICMP, _ECHO_REPLY)
            if packet is not None and echo and packet[24:28] == mark + struct.pack(">H", number):
                return True
        return False

    def _send(self, packet: bytes) -> None:
        self._line.send(self._session.seal(packet))

    def _receive(self, seconds: float) -> bytes | None:
        self._line.settimeout(max(seconds, 0.001))
        try:
            return self._session.unseal(self._line.recv(4096))
        except (TimeoutError, ConnectionRefusedError):
            return None

    def _ip(self, protocol: int, body: bytes) -> bytes:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + self._own + self._server
        return head[:10] + struct.pack(">H", _checksum(head)) + head[12:] + body


def _icmp(mark: bytes, number: int) -> bytes:
    body = struct.pack(">BBH", _ECHO, 0, 0) + mark + struct.pack(">H", number) + bytes(32)
    return body[:2] + struct.pack(">H", _checksum(body)) + body[4:]


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
