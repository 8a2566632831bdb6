"""The server's side of Xray: its config, in lines that the node script can take apart, and the units that run it.

The file is what a restart brings back; who is in it is also told to the running core, so that nobody's connection ends
for somebody else. Each person is one line that begins with `{"email": `; all else is the head, which needs a restart.
Format: Xray-core infra/conf (v26.3.27), and V2Ray 4.34 for what both have.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from vpnctl.errors import Conflict
from vpnctl.protocols.interface import EndpointSpec
from vpnctl.protocols.xray import options
from vpnctl.protocols.xray.options import XrayOptions
from vpnctl.rules.desired import File
from vpnctl.rules.secret import Secret

FOLDER = "/etc/vpnctl/xray"
NOBODY = "vpnctl-nobody"
"""Shadowsocks takes people one by one only where there is somebody when it begins: this one, whom nobody is."""
METHOD = "2022-blake3-aes-128-gcm"
PRIVATE = (
    "10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7",
)  # fmt: skip
OWN = (
    "127.0.0.0/8", "169.254.0.0/16", "0.0.0.0/8", "100.100.100.200/32", "::/127", "fe80::/10", "fd00:ec2::254/128",
)  # fmt: skip
"""The server itself and what its provider tells it: nobody goes there."""
UNTOLD = "X-Vpnctl-Nobody-Sends-This"
"""The only header that is believed about where a connection comes from; any other one is anybody's word."""


@dataclass(frozen=True)
class Core:
    """A program that runs such a config: its name, and the command that takes `-config FILE`."""

    name: str
    command: str
    tells_online: bool = False
    """Whether it tells who has a connection open."""


def runtime(name: str) -> str:
    """Return the folder of an endpoint that runs."""
    return f"/run/vpnctl-{name}"


def secret_of(inbound: str, shared: Secret) -> Secret:
    """Return what a person's UUID is in the config of an inbound. Shadowsocks takes 16 bytes, base64."""
    if inbound != options.SHADOWSOCKS:
        return shared
    return Secret(base64.b64encode(uuid.UUID(shared.reveal()).bytes).decode())


def server_password(endpoint: EndpointSpec, whose: str = "") -> Secret:
    """Return the server's own part of Shadowsocks' password: 16 bytes of its secret's digest, base64.

    `whose`: another one that only the server knows.
    """
    if endpoint.secret is None:
        raise ValueError("this needs the server's key")
    digest = hashlib.sha256(f"{whose}{endpoint.secret.reveal()}".encode()).digest()
    return Secret(base64.b64encode(digest[:16]).decode())


def url_form(key: str) -> str:
    """Return a key as Xray writes it: base64url without padding."""
    return key.translate(str.maketrans("+/", "-_")).rstrip("=")


def config_file(endpoint: EndpointSpec, people: Mapping[str, Secret], core: Core) -> File:
    """Return the config. `people` maps tags to credentials; Conflict where the core would take two for one."""
    if endpoint.secret is None:
        raise ValueError("a server file needs the server's key")
    set_to = XrayOptions(**endpoint.options)
    _refuse_twins(people)
    rows = [_person(set_to, tag, secret) for tag, secret in sorted(people.items())]
    if set_to.inbound == options.SHADOWSOCKS:
        rows.append(f" {_person(set_to, NOBODY, server_password(endpoint, NOBODY))}")
    lines = ",\n".join(rows) + ("\n" if rows else "")  # the head is the same whether there is anybody or not
    before, after = json.dumps(_inbound(endpoint, set_to, core)).split('"clients": []', 1)
    log = {"loglevel": "warning", "access": f"{runtime(endpoint.name)}/access"}
    online = {"statsUserOnline": True} if core.tells_online else {}
    head = {
        "vpnctl": {"endpoint": endpoint.id, "identity": endpoint.identity, "port": endpoint.port},
        "log": log,
        "stats": {},
        "policy": {"levels": {"0": {"statsUserUplink": True, "statsUserDownlink": True, **online}}},
        "api": {"tag": "api", "services": ["HandlerService", "StatsService", "LoggerService"]},
        "routing": _routing(set_to),
        "outbounds": [
            {"tag": "direct", "protocol": "freedom", "settings": {"finalRules": [{"action": "allow"}]}},
            {"tag": "block", "protocol": "blackhole"},
        ],
    }
    parts = [f"{json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items()]
    way = {"address": "127.0.0.1", "port": 1, "network": "unix"}
    api = {"tag": "api", "listen": f"{runtime(endpoint.name)}/api", "protocol": "dokodemo-door", "settings": way}
    body = f'{before}"clients": [\n{lines}]{after}'
    text = "{\n" + "".join(parts) + f'"inbounds": [\n{json.dumps(api)},\n{body}\n]\n}}\n'
    derived = (Secret(url_form(endpoint.secret.reveal())), *(server_password(endpoint, each) for each in ("", NOBODY)))
    secrets = (endpoint.secret, *derived, *people.values())
    return file(f"{FOLDER}/{endpoint.name}.json", "600", text, secrets)


def _refuse_twins(people: Mapping[str, Secret]) -> None:
    """Tags are compared without case, and two bytes of a UUID are not looked at: the second of two would be both."""
    tags = {tag.lower() for tag in people}
    uuids = {_as_compared(secret.reveal()) for secret in people.values()}
    if len(tags) < len(people) or len(uuids) < len(people):
        raise Conflict("two devices of one endpoint have the same credentials", "renew one: vpnctl peer regen USER")


def _as_compared(text: str) -> str:
    try:
        digits = uuid.UUID(text).hex
    except ValueError:
        return text
    return digits[:12] + digits[16:]


def _person(set_to: XrayOptions, tag: str, secret: Secret) -> str:
    word = "password" if set_to.inbound in (options.TROJAN, options.SHADOWSOCKS) else "id"
    named: dict[str, Any] = {"email": tag, word: secret.reveal()}
    if set_to.flows:
        named["flow"] = "xtls-rprx-vision"
    if set_to.vmess:
        return json.dumps({**named, "alterId": 0}, ensure_ascii=False)
    return json.dumps(named, ensure_ascii=False)


def _inbound(endpoint: EndpointSpec, set_to: XrayOptions, core: Core) -> dict[str, Any]:
    kind = set_to.inbound
    people: dict[str, Any] = {"clients": []}
    if set_to.vmess:
        protocol = "vmess"
    elif kind == options.SHADOWSOCKS:
        protocol = "shadowsocks"
        people |= {"method": METHOD, "password": server_password(endpoint).reveal(), "network": "tcp"}
    elif kind == options.TROJAN:
        protocol = "trojan"
    else:
        protocol = "vless"
        people["decryption"] = "none"
    found = {
        "tag": endpoint.name,
        "listen": "::" if endpoint.ipv6 else "0.0.0.0",  # noqa: S104 - it serves the world
        "port": endpoint.port,
        "protocol": protocol,
        "settings": people,
    }
    return found if kind == options.SHADOWSOCKS else {**found, "streamSettings": _stream(endpoint, set_to, core)}


def _stream(endpoint: EndpointSpec, set_to: XrayOptions, core: Core) -> dict[str, Any]:
    plain = "raw" if core.name == "xray" else "tcp"
    network = {options.XHTTP: "xhttp", options.WS: "ws", options.VMESS_WS: "ws"}.get(set_to.inbound, plain)
    stream: dict[str, Any] = {"network": network}
    if set_to.path:
        stream[f"{network}Settings"] = {"path": set_to.path}
        stream["sockopt"] = {"trustedXForwardedFor": [UNTOLD]}
    if set_to.borrows:
        secret = endpoint.secret.reveal() if endpoint.secret else ""
        names = {"serverNames": [set_to.server_name], "shortIds": [set_to.short_id]}
        own = {"target": set_to.target, "privateKey": url_form(secret), **names}
        return {**stream, "security": "reality", "realitySettings": own}
    if not set_to.under_tls:
        return stream
    pair = {"certificateFile": set_to.certificate, "keyFile": set_to.certificate_key}
    alpn = {options.XHTTP: ["h2", "http/1.1"], options.WS: ["http/1.1"], options.VMESS_WS: ["http/1.1"]}
    tls = {"serverName": set_to.server_name, "certificates": [pair]}
    return {**stream, "security": "tls", "tlsSettings": tls | {"alpn": alpn.get(set_to.inbound, ["h2", "http/1.1"])}}


def _routing(set_to: XrayOptions) -> dict[str, Any]:
    """The API's own inbound goes to the API. Names are resolved before they are judged."""
    closed = [*OWN, *(PRIVATE if set_to.private_networks == "deny" else ())]
    return {
        "domainStrategy": "IPOnDemand",
        "rules": [
            {"type": "field", "inboundTag": ["api"], "outboundTag": "api"},
            {"type": "field", "ip": closed, "outboundTag": "block"},
        ],
    }


def unit(core: Core, name: str) -> str:
    """Return the unit that runs an endpoint."""
    return f"vpnctl-{core.name}@{name}.service"


def unit_files(core: Core, endpoint: EndpointSpec) -> tuple[File, ...]:
    """Return the unit that runs it, and the one beside it that forgets who was connected, with its script."""
    name, config = endpoint.name, f"{FOLDER}/{endpoint.name}.json"
    log, script = f"vpnctl-{core.name}-log@{name}.service", f"{FOLDER}/{name}.sessions"
    may = "CAP_NET_BIND_SERVICE"
    if XrayOptions(**endpoint.options).certificate:  # where it is the server's own, it is root's to read
        may += " CAP_DAC_READ_SEARCH"
    runs = _UNIT.format(
        core=core.name, name=name, log=log, program=core.command, config=config, own=runtime(name), may=may
    )
    arguments = f"{core.name} {name} {endpoint.port}"
    forgets = _LOG_UNIT.format(name=name, unit=unit(core, name), script=script, arguments=arguments)
    text = resources.files("vpnctl.protocols.xray").joinpath("sessions.sh").read_text(encoding="ascii")
    folder = "/etc/systemd/system"
    return (
        file(script, "600", text),
        file(f"{folder}/{log}", "644", forgets),
        file(f"{folder}/{unit(core, name)}", "644", runs),
    )


_UNIT = """\
[Unit]
Description=vpnctl {core} {name}
After=network-online.target
Wants={log}

[Service]
Type=exec
DynamicUser=yes
AmbientCapabilities={may}
CapabilityBoundingSet={may}
LoadCredential=config:{config}
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
UMask=0077
RuntimeDirectory=vpnctl-{name}
RuntimeDirectoryMode=0700
LimitNOFILE=1048576
Restart=always
RestartSec=2
ExecStartPre=/bin/cp ${{CREDENTIALS_DIRECTORY}}/config {own}/begun
ExecStart={program} -config ${{CREDENTIALS_DIRECTORY}}/config
ExecStartPost=/bin/sh -c 'for i in $$(seq 100); do [ -S {own}/api ] && exit 0; sleep 0.1; done; exit 1'

[Install]
WantedBy=multi-user.target
"""

_LOG_UNIT = """\
[Unit]
Description=vpnctl forgets who was connected to {name}
PartOf={unit}
After={unit}

[Service]
ExecStart=/bin/bash {script} {arguments}
ProtectSystem=strict
ReadWritePaths=/run
Restart=always
RestartSec=5
"""


def file(path: str, mode: str, text: str, secrets: Sequence[Secret] = ()) -> File:
    """Return a file as the node must have it."""
    return File(path, mode, Secret(text), hashlib.sha256(text.encode()).hexdigest(), tuple(secrets))
