"""The meaning of `wg show IF dump`, as our part of the node script passes it on."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from vpnctl.errors import InvalidInput
from vpnctl.rules import grammar
from vpnctl.rules.observed import SeenPeer, SeenShared, counter
from vpnctl.rules.secret import Secret

_INTERFACE_FIELDS, _PEER_FIELDS = 4, 8


def observe(lines: Sequence[str]) -> tuple[str, int, dict[str, SeenPeer]]:
    """Return (public key, port, peers). The order of lines in a dump means nothing; the private key is masked."""
    rows = [line.split("\t") for line in lines]
    heads = [row for row in rows if len(row) == _INTERFACE_FIELDS]
    if len(heads) != 1:
        raise ValueError("not one line is about the interface itself")
    _, public, port, _ = heads[0]
    peers = {peer.identity: peer for peer in (_peer(row) for row in rows if row is not heads[0])}
    return "" if public == "(none)" else key(public), int(port[:5]), peers


def _peer(fields: list[str]) -> SeenPeer:
    if len(fields) != _PEER_FIELDS:
        raise ValueError(f"peer line with {len(fields)} fields")
    public, psk, _endpoint, allowed, handshake, rx, tx, _keepalive = fields
    return SeenPeer(
        identity=key(public),
        shared=_shared(psk),
        allowed_ips=frozenset() if allowed == "(none)" else _ips(allowed),
        handshake=counter(handshake),
        rx=counter(rx),
        tx=counter(tx),
    )


def _shared(text: str) -> Secret | SeenShared | None:
    if text in tuple(SeenShared):
        return SeenShared(text)
    return None if text == "(none)" else Secret(key(text))


def key(text: str) -> str:
    """Return a key in its canonical form. Raises ValueError."""
    try:
        return grammar.key(text)
    except InvalidInput:
        raise ValueError("a key that is none") from None


def _ips(text: str) -> frozenset[str]:
    """The tool prints networks in canonical form; only what is not is parsed, which is slow for 10,000 peers."""
    return frozenset(part if _plain(part) else str(ipaddress.ip_network(part)) for part in text.split(","))


def _plain(text: str) -> bool:
    """Return whether this is one host, as almost all are. Raises ValueError for what is no address."""
    host, _, prefix = text.partition("/")
    family, bits = (socket.AF_INET6, "128") if ":" in host else (socket.AF_INET, "32")
    try:
        socket.inet_pton(family, host)
    except OSError:
        raise ValueError("allowed IPs that are none") from None
    return prefix == bits
