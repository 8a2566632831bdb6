"""What the clients of an endpoint of ours must have: its options, seen from outside."""

from __future__ import annotations

from vpnctl.protocols.interface import EndpointSpec, PeerSpec
from vpnctl.protocols.xray import options, outside, server
from vpnctl.protocols.xray.options import XrayOptions
from vpnctl.protocols.xray.outside import Outside, XrayClient

_NETWORKS = {options.XHTTP: outside.XHTTP, options.WS: outside.WS, options.VMESS_WS: outside.WS}


def client(endpoint: EndpointSpec, public_host: str, peer: PeerSpec) -> XrayClient:
    """Return a device as its apps need it."""
    if peer.shared is None:
        raise ValueError("a client needs its credentials")
    secret = server.secret_of(endpoint.options["inbound"], peer.shared).reveal()
    return XrayClient(public_host, endpoint.port, secret, peer.title, seen_from_outside(endpoint))


def seen_from_outside(endpoint: EndpointSpec) -> Outside:
    """Return how an endpoint looks to clients."""
    set_to = XrayOptions(**endpoint.options)
    if set_to.inbound == options.SHADOWSOCKS:
        return Outside(outside.SHADOWSOCKS, method=server.METHOD, password=server.server_password(endpoint))
    scheme = outside.TROJAN if set_to.inbound == options.TROJAN else outside.VMESS if set_to.vmess else outside.VLESS
    return Outside(
        scheme,
        _NETWORKS.get(set_to.inbound, outside.TCP),
        outside.REALITY if set_to.borrows else outside.TLS if set_to.under_tls else outside.NONE,
        set_to.server_name,
        set_to.fingerprint,
        server.url_form(endpoint.identity) if set_to.borrows else "",
        set_to.short_id,
        set_to.path,
        flow=outside.VISION if set_to.flows else "",
    )
