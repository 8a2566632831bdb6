"""V2Ray as the rest of the house sees it: Xray's elder, with the same config, units and links, and fewer inbounds."""

from __future__ import annotations

from vpnctl.protocols.xray import options, server
from vpnctl.protocols.xray.plugin import Xray
from vpnctl.rules.desired import Archive


class V2Ray(Xray):
    """The plug-in; see `ProtocolPlugin`."""

    name = "v2ray"
    title = "V2Ray"
    script = ("vpnctl.protocols.xray", "vpnctl.protocols.v2ray")
    fragment = "v2ray"
    name_prefix = "v2r"
    default_port = 8443
    packages = (("curl", "curl"), ("v2ray", "v2ray"))
    archives: tuple[Archive, ...] = ()
    client_options: frozenset[str] = frozenset()
    core = server.Core("v2ray", "/usr/bin/v2ray -format json")
    inbounds = (options.VMESS_RAW,)
    """Over WebSocket it believes anybody about where a connection comes from, so nobody could be cut off."""


PLUGIN = V2Ray()
