"""AmneziaWG's files: WireGuard's, with the parameters behind the interface's own lines. Its apps read `Key = Value`."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vpnctl.protocols.amneziawg import options
from vpnctl.protocols.amneziawg.parameters import PROTECTED, header_key
from vpnctl.protocols.interface import EndpointSpec, PeerSpec
from vpnctl.protocols.wireguard import files as plain
from vpnctl.protocols.wireguard.handshake import public_key
from vpnctl.rules.desired import File
from vpnctl.rules.secret import Secret

CONTAINER = {"1.0": "amnezia-awg", "2.0": "amnezia-awg2", "3.0": "amnezia-awg2", "3.1": "amnezia-awg2"}
"""AmneziaVPN's names, which its `vpn://` texts carry."""
_VERSION = {"2.0": "2", "3.0": "3", "3.1": "3.1"}


def key_of(endpoint: EndpointSpec) -> Secret | None:
    """Return the key that hides an endpoint's headers; None where its generation hides none."""
    if endpoint.options[options.GENERATION] not in PROTECTED or endpoint.secret is None:
        return None
    return header_key(endpoint.secret)


def bare(endpoint: EndpointSpec) -> EndpointSpec:
    """Return the endpoint as WireGuard's renderers need it."""
    return replace(endpoint, options=options.split(endpoint.options)[0])


def with_lines(file: File, lines: Mapping[str, str]) -> File:
    """Return a server's file with parameters in it."""
    text = _behind_interface(file.text.reveal(), lines)
    held = (*file.secrets, *(Secret(lines[name]) for name in ("HeaderProtectionKey",) if name in lines))
    return replace(file, text=Secret(text), digest=hashlib.sha256(text.encode()).hexdigest(), secrets=held)


def _behind_interface(text: str, lines: Mapping[str, str]) -> str:
    head, mark, peers = text.partition("\n\n[") if "\n\n[" in text else text.partition("\n\n#")
    added = "".join(f"{name} = {value}\n" for name, value in lines.items())
    return head.rstrip("\n") + "\n" + added + (mark[1:] + peers if mark else "")


def client_text(endpoint: EndpointSpec, public_host: str, peer: PeerSpec, secret: Secret | None) -> Secret:
    """Return the client's .conf, as AmneziaWG's apps and AmneziaVPN import it."""
    text = plain.client_text(bare(endpoint), public_host, peer, secret).reveal()
    parameters = options.parameters(endpoint.options)
    lines = parameters.of_client(endpoint.options[options.GENERATION], key_of(endpoint))
    return Secret(_behind_interface(text, lines))


def vpn_text(endpoint: EndpointSpec, public_host: str, peer: PeerSpec, secret: Secret) -> Secret:
    """Return the `vpn://` text that AmneziaVPN imports: base64url of Qt's qCompress of JSON.

    Source: amnezia-client, exportController.cpp and awgProtocolConfig.cpp; all values of its protocol are texts.
    """
    generation = endpoint.options[options.GENERATION]
    set_to = plain.options(bare(endpoint))
    lines = options.parameters(endpoint.options).of_client(generation, key_of(endpoint))
    last = lines | _for_client(endpoint, public_host, peer, secret)
    protocol = {
        **lines,
        "port": str(endpoint.port),
        "transport_proto": "udp",
        "isThirdPartyConfig": True,
        "last_config": json.dumps(last),
    }
    if generation in _VERSION:
        protocol["protocol_version"] = _VERSION[generation]
    dns = [*set_to.dns.split(", "), ""] if set_to.dns else ["", ""]
    container = CONTAINER[generation]
    whole = {
        "containers": [{"container": container, "awg": protocol}],
        "defaultContainer": container,
        "description": public_host,
        "dns1": dns[0],
        "dns2": dns[1],
        "hostName": public_host,
    }
    raw = json.dumps(whole).encode()
    packed = struct.pack(">I", len(raw)) + zlib.compress(raw, 8)
    return Secret(f"vpn://{base64.urlsafe_b64encode(packed).decode().rstrip('=')}")


def _for_client(endpoint: EndpointSpec, public_host: str, peer: PeerSpec, secret: Secret) -> dict[str, Any]:
    """Return what AmneziaVPN keeps of a client: the file, and its parts once more."""
    set_to = plain.options(bare(endpoint))
    public = public_key(base64.b64decode(secret.reveal()))
    return {
        "config": client_text(endpoint, public_host, peer, secret).reveal(),
        "hostName": public_host,
        "port": endpoint.port,
        "client_priv_key": secret.reveal(),
        "client_pub_key": public,
        "client_ip": peer.ipv4,
        "server_pub_key": endpoint.identity,
        "psk_key": peer.shared.reveal() if peer.shared else "",
        "clientId": public,
        "mtu": str(set_to.mtu),
        "persistent_keep_alive": str(set_to.keepalive),
        "allowed_ips": set_to.allowed_ips.split(", "),
    }
