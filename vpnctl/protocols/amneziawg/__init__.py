"""AmneziaWG: WireGuard in a disguise. Keys, files and sessions are WireGuard's; what packets look like is not."""

from __future__ import annotations

from vpnctl.protocols.amneziawg.plugin import PLUGIN

__all__ = ["PLUGIN"]
