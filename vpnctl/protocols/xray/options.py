"""What can be set on an Xray endpoint: how its connections look from outside, and where people may go from there.

Names and limits: Xray-core, infra/conf (v26.3.27).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vpnctl.protocols.interface import BadOption, MissingOption
from vpnctl.rules.grammar import MAX_PORT

REALITY, XHTTP, WS, RAW = "reality", "xhttp", "ws", "raw"
VMESS_WS, VMESS_RAW, TROJAN, SHADOWSOCKS = "vmess-ws", "vmess-raw", "trojan", "shadowsocks"
INBOUNDS = (REALITY, XHTTP, WS, RAW, VMESS_WS, VMESS_RAW, TROJAN, SHADOWSOCKS)
"""Kinds of endpoints; the first one is what people get who name none."""
WITH_PATH = (XHTTP, WS, VMESS_WS)
BORROWING = (REALITY, XHTTP)
"""These need no certificate: they borrow the face of another site."""
USUAL_TARGET = "dl.google.com:443"
FINGERPRINTS = ("chrome", "firefox", "safari", "edge", "ios", "android", "random")

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?"
_FORMS = {
    "target": re.compile(rf"({_HOST}):([1-9][0-9]{{0,4}})"),
    "server_name": re.compile(_HOST),
    "short_id": re.compile(r"(?:[0-9a-f]{2}){1,8}"),
    "path": re.compile(r"/[A-Za-z0-9._~/-]{0,64}"),
    "certificate": re.compile(r"/[A-Za-z0-9._/@+-]{1,200}"),
    "certificate_key": re.compile(r"/[A-Za-z0-9._/@+-]{1,200}"),
}
_WORDS = {"inbound": INBOUNDS, "fingerprint": FINGERPRINTS, "private_networks": ("deny", "allow")}
_MEANT = {
    "target": "HOST:PORT of a site that speaks TLS 1.3",
    "server_name": "a host name",
    "short_id": "hex digits, an even number of them, 16 at most",
    "path": "a path such as /a1b2",
    "certificate": "an absolute path on the server",
    "certificate_key": "an absolute path on the server",
}


@dataclass(frozen=True)
class XrayOptions:
    """All options of one endpoint. Empty where its kind has no use for one."""

    inbound: str = REALITY
    target: str = ""
    """HOST:PORT of the site whose face REALITY borrows."""
    server_name: str = ""
    """The name that clients ask for in the open."""
    short_id: str = ""
    path: str = ""
    certificate: str = ""
    """Where the certificate chain is on the server."""
    certificate_key: str = ""
    fingerprint: str = FINGERPRINTS[0]
    """Whose first TLS message clients imitate."""
    private_networks: str = "deny"
    """Whether people may go on to private networks from the server."""

    @property
    def vmess(self) -> bool:
        """Whether people speak VMess."""
        return self.inbound in (VMESS_WS, VMESS_RAW)

    @property
    def flows(self) -> bool:
        """Whether people's TLS goes through as it is, without a second one around it (vision)."""
        return self.inbound in (REALITY, RAW)

    @property
    def under_tls(self) -> bool:
        """Whether TLS with a certificate of its own guards it. VMess needs none: it encrypts by itself."""
        return not self.borrows and self.inbound != SHADOWSOCKS and not (self.vmess and not self.certificate)

    @property
    def borrows(self) -> bool:
        """Whether REALITY guards it."""
        return self.inbound in BORROWING and not self.certificate


NAMES = tuple(XrayOptions.__dataclass_fields__)


def checked(given: Mapping[str, Any], kinds: Sequence[str] = INBOUNDS) -> dict[str, Any]:
    """Return options in their canonical form, each for itself. BadOption for one that there is not, or is not so.

    `kinds` are the inbounds that the core has.
    """
    if given.get("inbound", kinds[0]) not in kinds:
        raise BadOption("inbound", f"one of: {', '.join(kinds)}")
    for name, value in given.items():
        if name not in NAMES:
            raise BadOption(name, "unknown key")
        if not isinstance(value, str):
            raise BadOption(name, "expected a valid string")
        if name in _WORDS and value not in _WORDS[name]:
            raise BadOption(name, f"one of: {', '.join(_WORDS[name])}")
        if name == "short_id" and not value:
            raise BadOption(name, f"expected {_MEANT[name]}")
        found = _FORMS[name].fullmatch(value) if name in _FORMS and value else None
        if name in _FORMS and value and (found is None or (name == "target" and int(found[2]) > MAX_PORT)):
            raise BadOption(name, f"expected {_MEANT[name]}")
    return {name: value.lower() if name == "server_name" else value for name, value in given.items()}


def fitting(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of an endpoint. BadOption where one does not fit the kind, MissingOption where one lacks."""
    found = XrayOptions(**given)
    needed = {"fingerprint", "private_networks", "inbound"}
    needed |= {"target", "server_name", "short_id"} if found.borrows else set()
    needed |= {"path"} if found.inbound in WITH_PATH else set()
    if found.under_tls:
        needed |= {"server_name", "certificate", "certificate_key"}
    needed -= {"fingerprint"} if found.inbound == SHADOWSOCKS else set()
    for name, value in asdict(found).items():
        if value and name not in needed and name != "fingerprint":
            raise BadOption(name, f"{found.inbound} has no such option")
        if not value and name in needed:
            raise MissingOption(name)
    return asdict(found)


def complete(given: Mapping[str, Any], usual: str = REALITY) -> dict[str, Any]:
    """Return all options of a new endpoint: what is not given is drawn, or the usual."""
    named = {"inbound": usual, **given}
    drawn: dict[str, Any] = {}
    if named["inbound"] in WITH_PATH:
        drawn["path"] = f"/{secrets.token_hex(4)}"
    if named["inbound"] in BORROWING and not named.get("certificate"):
        target = named.get("target") or USUAL_TARGET
        drawn |= {"target": target, "server_name": target.rpartition(":")[0].lower(), "short_id": secrets.token_hex(8)}
    return fitting(drawn | {name: value for name, value in named.items() if value != ""})


def entry(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an inventory's entry says: what is not empty."""
    return {name: value for name, value in given.items() if value}
