"""The real 3x-ui panel (2.9.4) on a node of the laboratory, as its own installer would leave it."""

from __future__ import annotations

import json
import shlex
import shutil
import sqlite3
from contextlib import closing

from tests.lab import cores
from tests.lab.network import FAR_V4, SITE
from tests.lab.node import Node

HOME = "usr/local/x-ui"
PORT, BASE = 2053, "lab"
LOGIN, PASSWORD = "keeper", "s3cret-of-the-panel"
INBOUND = 8444
KEY = "YEJOYskrGK9iFc0ulBJ_FOhWCUzir0ZBsXka68F0FHk"
"""REALITY's private key; made for this."""
UNIT = """\
[Unit]
After=network.target
[Service]
WorkingDirectory=/usr/local/x-ui
ExecStart=/usr/local/x-ui/x-ui
Restart=on-failure
RestartSec=2
[Install]
WantedBy=multi-user.target
"""
TEMPLATE = {
    "log": {"access": "./access.log", "loglevel": "warning"},
    "api": {"tag": "api", "services": ["HandlerService", "LoggerService", "StatsService"]},
    "inbounds": [
        {
            "tag": "api",
            "listen": "127.0.0.1",
            "port": 62789,
            "protocol": "tunnel",
            "settings": {"address": "127.0.0.1"},
        }
    ],
    "outbounds": [{"tag": "direct", "protocol": "freedom"}],
    "policy": {"levels": {"0": {"statsUserDownlink": True, "statsUserUplink": True}}},
    "routing": {"rules": [{"type": "field", "inboundTag": ["api"], "outboundTag": "api"}]},
    "stats": {},
}
"""The panel's own one without what needs lists of addresses, which no package brings, and with an access log."""
STREAM = {
    "network": "tcp",
    "security": "reality",
    "realitySettings": {
        "show": False,
        "target": f"{FAR_V4}:443",
        "serverNames": [SITE],
        "privateKey": KEY,
        "shortIds": ["ab12"],
        "settings": {"publicKey": "", "fingerprint": "chrome"},
    },
    "tcpSettings": {"header": {"type": "none"}},
}
GUEST = {"id": "11111111-1111-4111-8111-111111111111", "email": "guest", "enable": True, "flow": "xtls-rprx-vision"}
TAKE_OUT = f"""\
u=http://127.0.0.1:{PORT}/{BASE} a='X-Requested-With: XMLHttpRequest'
curl -sS -c /run/jar -H "$a" -d 'username={LOGIN}&password={PASSWORD}' $u/login >/dev/null
name=$(curl -sS -b /run/jar -H "$a" $u/panel/api/inbounds/list | grep -o 'p-[0-9a-f]\\{{20\\}}' | head -n 1)
curl -sS -b /run/jar -H "$a" -X POST $u/panel/api/inbounds/1/delClientByEmail/$name
"""
"""A script that takes the first of our clients out, as its keeper might."""


def install(node: Node) -> None:
    """Put the panel on a server, with one inbound that somebody else's client is in."""
    home = node.root / HOME
    (home / "bin").mkdir(parents=True)
    tools = node.lab.base / cores.TOOLS
    shutil.copy(tools / "x-ui", home / "x-ui")
    shutil.copy(tools / "xray", home / "bin/xray-linux-amd64")
    (node.root / "etc/systemd/system/x-ui.service").write_text(UNIT)
    node.sh("apt-get -qq update; apt-get -qqy install curl >/dev/null; mkdir -p /etc/x-ui")
    setting = f"-port {PORT} -webBasePath /{BASE}/ -username {LOGIN} -password {PASSWORD} -listenIP 127.0.0.1"
    node.sh(f"cd /{HOME} && ./x-ui setting {setting} >/dev/null")
    with closing(sqlite3.connect(node.root / "etc/x-ui/x-ui.db")) as base, base:
        base.execute("insert into settings (key, value) values ('xrayTemplateConfig', ?)", (json.dumps(TEMPLATE),))
    node.sh("systemctl daemon-reload; systemctl enable --now x-ui")
    node.sh(f"for i in $(seq 50); do curl -so /dev/null http://127.0.0.1:{PORT}/ && exit; sleep 0.2; done; exit 1")
    inbound = {
        "remark": "lab",
        "enable": True,
        "protocol": "vless",
        "port": INBOUND,
        "listen": "",
        "settings": json.dumps({"clients": [GUEST], "decryption": "none"}),
        "streamSettings": json.dumps(STREAM),
        "sniffing": json.dumps({"enabled": False}),
    }
    call(node, "panel/api/inbounds/add", inbound)


def call(node: Node, path: str, body: dict[str, object] | None = None) -> dict[str, object]:
    """Ask the panel as its keeper."""
    url, ajax = f"http://127.0.0.1:{PORT}/{BASE}", "-H 'X-Requested-With: XMLHttpRequest'"
    sent = f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}" if body is not None else ""
    login = f"curl -sS -c /run/jar {ajax} -d 'username={LOGIN}&password={PASSWORD}' {url}/login >/dev/null"
    said = json.loads(node.sh(f"{login}; curl -sS -b /run/jar {ajax} {sent} {url}/{path}"))
    assert said["success"], said
    return dict(said)


def clients(node: Node) -> dict[str, dict[str, object]]:
    """Return who is in the inbound, by name."""
    (inbound,) = call(node, "panel/api/inbounds/list")["obj"]  # type: ignore[misc]
    return {each["email"]: each for each in json.loads(inbound["settings"])["clients"]}
