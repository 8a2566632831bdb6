"""Proof that a node forwards: a packet of a peer goes in at the tunnel and is seen leaving, translated.

A handshake proves less: hosts with Docker or ufw answer it and drop what comes after (facts F26). The packet
comes from a throw-away peer in a network namespace of the node itself; nothing of it is left behind.
"""

from __future__ import annotations

from importlib import resources

from vpnctl.remote.shell import Shell
from vpnctl.rules import grammar
from vpnctl.rules.changes import Link
from vpnctl.rules.grammar import clean

_SECONDS = 30.0


def prove(shell: Shell, link: Link, pool_v4: str) -> str:
    """Return `ok`, or why no packet of a peer was seen leaving the node. The pool's last address is used for it."""
    pool = grammar.network(pool_v4)
    address = str(pool.broadcast_address - 1)
    if any(f"{address}/32" in peer.allowed_ips for peer in link.peers.values()):
        return "ok"  # a full pool has peers enough to notice
    script = resources.files("vpnctl.remote").joinpath("forwarding.sh").read_text(encoding="utf-8")
    argv = ("bash", "-c", script, "vpnctl", link.tool, link.interface, str(link.port), address, link.public_key)
    result = shell.run(argv, seconds=_SECONDS)
    lines = result.stdout.decode("utf-8", "replace").strip().splitlines()
    return clean(lines[-1] if lines else result.stderr.decode("utf-8", "replace").strip() or "no answer")
