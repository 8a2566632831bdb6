"""What a person's link says, as each app reads it: all devices that the app can carry, or why there is none.

Formats: base64 as v2rayN's wiki has it; sing-box 1.13; mihomo 1.19; Xray's client config, one a device, in an array.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from vpnctl.protocols.interface import ClientKind, Entry
from vpnctl.rules.secret import Secret

SELECTOR = "vpnctl"
"""What the choice between devices is called in an app."""
_NUMBER = re.compile(r"[0-9.eE+_-]+")
_NOBODY = "00000000-0000-0000-0000-000000000000"


def written(kind: ClientKind, entries: Sequence[Entry], ended: str = "") -> Secret:
    """Return the text. Where `ended` is not empty there are no devices, and one entry says that instead."""
    return Secret(_FORMS[kind](entries, ended))


def _base64(entries: Sequence[Entry], ended: str) -> str:
    links = [str(each) for each in entries]
    if ended:  # an address that nobody has, so that the app shows the text and connects to nothing
        links = [f"vless://{_NOBODY}@127.0.0.1:1?type=tcp&encryption=none&security=none#{quote(ended, safe='')}"]
    return base64.b64encode("\n".join(links).encode()).decode() + "\n"


def _amnezia(entries: Sequence[Entry], ended: str) -> str:
    return f"# {ended}\n" if ended else "".join(f"{each}\n" for each in entries)


def _sing_box(entries: Sequence[Entry], ended: str) -> str:
    made: list[Any] = (
        [{"type": "socks", "tag": ended, "server": "127.0.0.1", "server_port": 1}] if ended else [*entries]
    )
    tags = [each["tag"] for each in made]
    selector = {"type": "selector", "tag": SELECTOR, "outbounds": tags or ["direct"]}
    local, remote = {"type": "local", "tag": "local"}, {"type": "tcp", "tag": "remote", "server": "1.1.1.1"}
    tun = {"type": "tun", "tag": "tun", "address": ["172.19.0.1/30", "fdfe:dcba:9876::1/126"], "auto_route": True}
    whole = {
        "dns": {"servers": [{**remote, "detour": SELECTOR}, local], "final": "remote"},
        "inbounds": [
            {**tun, "strict_route": True},
            {"type": "mixed", "tag": "mixed", "listen": "127.0.0.1", "listen_port": 2080},
        ],
        "outbounds": [
            selector,
            *(each for each in made if each["type"] != "wireguard"),
            {"type": "direct", "tag": "direct"},
        ],
        "endpoints": [each for each in made if each["type"] == "wireguard"],
        "route": {
            "rules": [{"action": "sniff"}, {"protocol": "dns", "action": "hijack-dns"}],
            "final": SELECTOR,
            "auto_detect_interface": True,
            "default_domain_resolver": "local",
        },
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _mihomo(entries: Sequence[Entry], ended: str) -> str:
    """Return YAML; JSON is YAML too, but people read and change this one."""
    nothing = {"type": "socks5", "server": "127.0.0.1", "port": 1}
    made: list[Any] = [{"name": ended, **nothing}] if ended else [*entries]
    names = [each["name"] for each in made]
    whole = {
        "mixed-port": 7890,
        "mode": "rule",
        "log-level": "warning",
        "ipv6": True,
        "proxies": made,
        "proxy-groups": [{"name": SELECTOR, "type": "select", "proxies": names or ["DIRECT"]}],
        "rules": [f"MATCH,{SELECTOR}"],
    }
    return _yaml(whole)


def _yaml(whole: dict[str, Any]) -> str:
    """Return YAML in which a text that another reader could take for a number, such as 1e10, is quoted."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="'" if _NUMBER.fullmatch(value) else None)

    Dumper.add_representer(str, text)
    return str(yaml.dump(whole, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=4096))


def _xray(entries: Sequence[Entry], ended: str) -> str:
    made: list[Any] = [{"tag": ended, "protocol": "blackhole"}] if ended else [*entries]
    listens = [
        {"listen": "127.0.0.1", "port": 10808, "protocol": "socks", "settings": {"udp": True}},
        {"listen": "127.0.0.1", "port": 10809, "protocol": "http"},
    ]
    configs = [
        {
            "remarks": each["tag"],
            "log": {"loglevel": "warning"},
            "inbounds": listens,
            "outbounds": [{**each, "tag": "proxy"}],
        }
        for each in made
    ]
    return json.dumps(configs, indent=2, ensure_ascii=False) + "\n"


_FORMS: dict[ClientKind, Callable[[Sequence[Entry], str], str]] = {
    ClientKind.LINKS: _base64,
    ClientKind.SING_BOX: _sing_box,
    ClientKind.MIHOMO: _mihomo,
    ClientKind.XRAY: _xray,
    ClientKind.AMNEZIA: _amnezia,
}
