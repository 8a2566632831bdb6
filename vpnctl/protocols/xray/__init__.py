"""Xray: people's traffic inside TLS. `PLUGIN` is what the registry knows."""

from __future__ import annotations

from vpnctl.protocols.xray.plugin import PLUGIN

__all__ = ["PLUGIN"]
