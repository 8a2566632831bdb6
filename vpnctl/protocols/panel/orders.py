"""How a panel is told who may connect: the requests of its API, by generation.

A client that is written anew loses every field that is left out, so what the panel has is read, changed, and written
whole. Source: MHSanaei/3x-ui, web/controller (v1.7 to v3.6.0).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from vpnctl.protocols.panel.inbounds import KEEPER, Inbound, held
from vpnctl.protocols.xray import outside
from vpnctl.rules.changes import Change, PeerDiffers, PeerMissing, PeerStale
from vpnctl.rules.desired import WantedEndpoint, WantedPeer

MOST = 100
"""Clients that are added by one request."""
_OLD, _NEW = "panel/api/inbounds", "panel/api/clients"


@dataclass(frozen=True)
class PanelRequest:
    """One request: a path below the panel's own, and its body. A body of None is fetched with GET."""

    path: str
    body: Any = field(default=None, repr=False)


LIST = PanelRequest(f"{_OLD}/list")


def read_record(identity: str) -> PanelRequest:
    """Return what reads the record of a client that newer panels keep beside the inbound."""
    return PanelRequest(f"{_NEW}/get/{quote(identity, safe='')}")


def updated(changes: Iterable[Change], want: WantedEndpoint) -> list[str]:
    """Return the identities of clients that will be written anew."""
    mine = [each for each in changes if isinstance(each, PeerDiffers | PeerStale) and each.name == want.name]
    return [each.identity for each in mine if isinstance(each, PeerDiffers) or each.identity in want.resting]


def cut(changes: Iterable[Change], want: WantedEndpoint) -> list[str]:
    """Return the identities whose open connections must end: who is cut off, and whose secret was another one."""
    mine = [each for each in changes if isinstance(each, PeerDiffers | PeerStale) and each.name == want.name]
    return sorted({each.identity for each in mine if isinstance(each, PeerStale) or each.what == want.shared})


def requests(
    want: WantedEndpoint, found: Mapping[int, Inbound], changes: Sequence[Change], hwids: dict[str, int], *, apart: bool
) -> list[PanelRequest]:
    """Return what makes these changes of one inbound of those that were `found`; who is cut comes first.

    `apart`: the panel has clients apart from inbounds. `hwids`: limits of its records, which stay.
    """
    seen = found[want.inbound or 0]
    homes = {name: each for each in found.values() for name in each.clients} | dict.fromkeys(seen.clients, seen)
    stale = [each.identity for each in changes if isinstance(each, PeerStale) and each.name == want.name]
    wrong = [each.identity for each in changes if isinstance(each, PeerDiffers) and each.name == want.name]
    lacking = [each.identity for each in changes if isinstance(each, PeerMissing) and each.name == want.name]
    said = []
    resting = [each for each in stale if each in want.resting]
    gone = [each for each in stale if each not in want.resting]
    for identity in resting:
        client = {**homes[identity].clients[identity], "enable": False}
        said.append(_update(homes[identity], identity, client, hwids, apart=apart))
    moved = [each for each in lacking if each in homes] if seen.options else []
    leaving = gone + moved
    left = {homes[each].number: homes[each] for each in leaving}.values()
    empty = [home for home in left if not apart and home.clients.keys() <= set(leaving)]
    said += [_add(home, [_keeper(home)], apart=False) for home in empty]  # it would not let the last one go
    said += [_delete(homes[each], each, apart=apart) for each in leaving]
    if not seen.options:
        return said  # people cannot use it as it is: nobody is put in
    for identity in wrong:
        client = {**seen.clients[identity], **_ours(seen, want.peers[identity])}
        said.append(_update(seen, identity, client, hwids, apart=apart))
    new = [_client(seen, want.peers[identity]) for identity in lacking]
    size = 1 if apart else MOST
    return said + [_add(seen, new[start : start + size], apart=apart) for start in range(0, len(new), size)]


def _ours(seen: Inbound, peer: WantedPeer) -> dict[str, Any]:
    """Return the fields of a client that are ours; a limit of the panel's own would cut who may connect."""
    secret = peer.shared.reveal() if peer.shared else ""
    flow = {"flow": seen.options["flow"]} if seen.protocol == outside.VLESS else {}
    return {held(seen.protocol): secret, **flow, "enable": True, "totalGB": 0, "expiryTime": 0}


def _client(seen: Inbound, peer: WantedPeer) -> dict[str, Any]:
    """Return a new client. Where its own subscription is found is as secret as the client itself."""
    secret = peer.shared.reveal() if peer.shared else ""
    found = {"email": peer.identity, "limitIp": 0, "reset": 0, "comment": "vpnctl"}
    found["subId"] = hashlib.sha256(f"subscription {secret}".encode()).hexdigest()[:24]
    found |= {"security": "auto"} if seen.protocol == outside.VMESS else {}
    return {**found, **_ours(seen, peer)}


def _keeper(seen: Inbound) -> dict[str, Any]:
    """Return a client that may not connect."""
    name = f"{KEEPER}{seen.number}"
    return {"email": name, held(seen.protocol): str(uuid.uuid4()), "enable": False, "comment": "vpnctl"}


def _add(seen: Inbound, clients: list[dict[str, Any]], *, apart: bool) -> PanelRequest:
    if apart:
        return PanelRequest(f"{_NEW}/add", {"client": clients[0], "inboundIds": [seen.number]})
    return PanelRequest(f"{_OLD}/addClient", _old_body(seen, clients))


def _update(
    seen: Inbound, identity: str, client: dict[str, Any], hwids: dict[str, int], *, apart: bool
) -> PanelRequest:
    if apart:
        limit = {"limitHwid": hwids[identity]} if hwids.get(identity) else {}
        return PanelRequest(f"{_NEW}/update/{_name(seen, identity)}", {**client, **limit})
    return PanelRequest(f"{_OLD}/updateClient/{_key(seen, identity)}", _old_body(seen, [client]))


def _delete(seen: Inbound, identity: str, *, apart: bool) -> PanelRequest:
    if apart:
        return PanelRequest(f"{_NEW}/del/{_name(seen, identity)}", {})
    return PanelRequest(f"{_OLD}/{seen.number}/delClient/{_key(seen, identity)}", {})


def _old_body(seen: Inbound, clients: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": seen.number, "settings": json.dumps({"clients": clients})}


def _name(seen: Inbound, identity: str) -> str:
    return quote(str(seen.clients[identity]["email"]), safe="")


def _key(seen: Inbound, identity: str) -> str:
    """Return what older panels find a client by: its secret, or its name for Shadowsocks."""
    client = seen.clients[identity]
    if seen.protocol == outside.SHADOWSOCKS:
        return _name(seen, identity)
    return quote(str(client.get(held(seen.protocol), "")), safe="")
