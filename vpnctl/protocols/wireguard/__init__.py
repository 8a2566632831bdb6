"""WireGuard: keys, files on both sides, what a node shows of it, the handshake, and its part of the node script."""

from __future__ import annotations

from vpnctl.protocols.wireguard.plugin import PLUGIN

__all__ = ["PLUGIN"]
