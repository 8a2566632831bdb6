"""V2Ray as Debian has it: VMess and VLESS, for servers that take no programs from elsewhere."""

from __future__ import annotations

from vpnctl.protocols.v2ray.plugin import PLUGIN

__all__ = ["PLUGIN"]
