"""How Xray servers of Marzban are taken over: its inbound of VLESS with REALITY, and its users with their ids.

Shapes: Gozargah/Marzban, xray_config.json and app/db/models.py (tables `users` and `proxies`; v0.4 to v0.8).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.protocols import keypair
from vpnctl.protocols.foreign import ForeignPeer, ForeignServer, Rows
from vpnctl.protocols.interface import BadOption
from vpnctl.protocols.xray.options import REALITY, checked
from vpnctl.rules import grammar
from vpnctl.rules.secret import Secret

_VISION = "xtls-rprx-vision"
_KEY = re.compile(r"[A-Za-z0-9_-]{43}")
_FOLDER = "the folder of its data is /var/lib/marzban"


class XrayAdopter:
    """See `protocols.foreign.Adopter`."""

    clients: tuple[str, ...] = ()
    tables = ("users", "proxies")
    interface = "xr0"
    folder = ("xray_config.json",)
    beside = "db.sqlite3"

    def path(self, interface: str) -> str:
        """Refuse: what stands on the server is in Marzban's container."""
        raise InvalidInput(f"{interface} of somebody else's Xray is not read from the server", "--from DIR")

    def unit(self, _interface: str) -> str:
        """Return none: it is never asked for."""
        return ""

    def cure(self, _interface: str) -> str:
        """Return none: it is never asked for."""
        return ""

    def parse(self, text: str) -> ForeignServer:
        """Return the inbound of VLESS with REALITY in a config of Xray's. InvalidInput unless there is one such."""
        try:
            found = [each for each in json.loads(text)["inbounds"] if _is_ours(each)]
            if len(found) != 1:
                raise InvalidInput(
                    f"that config has {len(found)} inbounds of VLESS over TCP with REALITY", "one of them can be kept"
                )
            return _server(found[0])
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise InvalidInput("that is no config of Xray's", _FOLDER) from None

    def data(self, text: str, _port: int) -> ForeignServer:
        """See `parse`."""
        return self.parse(text)

    def called(self, _text: str) -> Mapping[str, str]:
        """Refuse: names stand in its database."""
        raise InvalidInput("that is not Marzban's database", _FOLDER)

    def database(self, _server: Rows, _peers: Rows) -> ForeignServer:
        """Refuse: the database does not say what the server is."""
        raise InvalidInput("Marzban's database does not hold its inbound", f"--from DIR: {_FOLDER}")

    def peopled(self, server: ForeignServer, first: Rows, second: Rows) -> ForeignServer:
        """Return the server with Marzban's users: those that have an id for VLESS."""
        ids = {row["user_id"]: _settings(row) for row in second if str(row.get("type")).lower() == "vless"}
        peers = tuple(_peer(row, ids[row["id"]]) for row in first if row.get("id") in ids)
        return ForeignServer(**{**vars(server), "peers": peers})

    def client(self, _text: str) -> tuple[str, Secret] | None:
        """Return None: clients have no secrets of their own."""
        return None

    def options(self, server: ForeignServer) -> dict[str, Any]:
        """Return the options that the inbound has."""
        return dict(server.options)

    def unfit(self, _options: Mapping[str, Any], peer: ForeignPeer, _taken: set[str]) -> str:
        """See `Adopter.unfit`."""
        return peer.odd


def _is_ours(inbound: Mapping[str, Any]) -> bool:
    stream = inbound.get("streamSettings") or {}
    over_tcp = stream.get("network", "tcp") in ("tcp", "raw")
    return inbound.get("protocol") == "vless" and over_tcp and stream.get("security") == "reality"


def _server(inbound: Mapping[str, Any]) -> ForeignServer:
    look = inbound["streamSettings"]["realitySettings"]
    names, shorts = look["serverNames"], look["shortIds"]
    if len(names) != 1 or len(shorts) != 1:
        raise InvalidInput(
            f"that inbound has {len(names)} server names and {len(shorts)} short ids; vpnctl keeps one of each",
            "leave one of each in xray_config.json, give people their links anew, then adopt it",
        )
    own = {"inbound": REALITY, "target": str(look.get("dest") or look["target"])}
    own |= {"server_name": str(names[0]), "short_id": str(shorts[0])}
    try:
        options = checked(own)
    except BadOption as error:
        raise InvalidInput(f"that inbound cannot be kept: {error.what}", "docs/adopting.md") from None
    if not _KEY.fullmatch(str(look["privateKey"])):
        raise ValueError("no key")
    raw = base64.urlsafe_b64decode(f"{look['privateKey']}=")
    identity = base64.b64encode(keypair.public(raw)).decode()
    secret = Secret(base64.b64encode(raw).decode())
    return ForeignServer(secret, identity, grammar.port(str(inbound["port"])), (), None, (), (), options)


def _settings(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a proxy's settings; SQLAlchemy keeps JSON as text."""
    found = row.get("settings")
    try:
        read = json.loads(found) if isinstance(found, str) else found
    except ValueError:
        read = None
    return read if isinstance(read, dict) else {}


def _peer(row: Mapping[str, Any], own: Mapping[str, Any]) -> ForeignPeer:
    number = str(own.get("id", ""))
    identity = f"p-{hashlib.sha256(number.encode()).hexdigest()[:20]}"
    odd = "" if number else "it has no id"
    if number and own.get("flow") != _VISION:
        odd = f"its flow is not {_VISION}, so that its link would end"
    return ForeignPeer(
        identity,
        Secret(number) if number else None,
        (),
        grammar.clean(str(row.get("username", "")), 60),
        enabled=str(row.get("status")) in ("active", "on_hold"),
        odd=odd,
        limited=bool(row.get("expire") or row.get("data_limit")),
    )


ADOPTER = XrayAdopter()
