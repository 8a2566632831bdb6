"""What people are handed: a device's config in the forms that apps import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from vpnctl.actions.fleet.desired import endpoint_spec
from vpnctl.actions.people import peers
from vpnctl.actions.people.issue import Issued
from vpnctl.app import App
from vpnctl.errors import InvalidInput
from vpnctl.protocols import plugin
from vpnctl.protocols.interface import ClientKind, EndpointSpec, Entry, PeerSpec
from vpnctl.rules import grammar
from vpnctl.rules.secret import Secret
from vpnctl.store import models
from vpnctl.store.rows import Peer, User


def config(app: App, issued: Issued) -> Secret:
    """Return what the client imports."""
    return plugin(issued.endpoint.protocol).client_config(*_rendered(app, issued))


def forms(app: App, issued: Issued) -> Mapping[str, Secret]:
    """Return by name what apps import otherwise; the first is one that is pasted or opened."""
    return plugin(issued.endpoint.protocol).client_forms(*_rendered(app, issued))


def form(app: App, issued: Issued, name: str = "") -> Secret:
    """Return what an app imports otherwise; the first without a name. InvalidInput where there is no such thing."""
    found = forms(app, issued)
    if name not in found and (name or not found):
        title = plugin(issued.endpoint.protocol).title
        known = f"one of: {', '.join(found)}" if found else "hand out the file: leave --link and --form out"
        what = f"form '{grammar.clean(name)}'" if name else "link"
        raise InvalidInput(f"for this device there is no {what} of {title}", known)
    return Secret(found[name or next(iter(found))].reveal().rstrip("\n") + "\n")


def entry(app: App, issued: Issued, kind: ClientKind) -> Entry | None:
    """Return a device as one entry of what an app of that kind reads; None where that cannot carry it."""
    return plugin(issued.endpoint.protocol).entry(kind, *_rendered(app, issued))


def kept(app: App, peer_ids: Sequence[str]) -> tuple[list[Issued], list[str]]:
    """Return live peers with their secrets, and the devices (USER/DEVICE) whose client's secret was not kept."""
    issued, lost = [], []
    with app.store.read() as tx:
        for peer_id in peer_ids:
            peer = tx.one(Peer, models.peer.c.id == peer_id, models.peer.c.revoked_at.is_(None))
            owner = tx.one(User, models.user.c.id == peer.user_id) if peer else None
            if peer is not None and owner is not None:
                one = peers.unsealed(tx, app, owner, peer)
                issued += [] if one.forgotten else [one]
                lost += [f"{owner.name}/{peer.device}"] if one.forgotten else []
    return issued, lost


def _rendered(app: App, issued: Issued) -> tuple[EndpointSpec, str, PeerSpec, Secret | None]:
    """Return what a client's config is rendered from; with the server's secret only where part of it is needed."""
    peer, node = issued.peer, issued.node
    vault = app.vault if plugin(issued.endpoint.protocol).supports.server_secret else None
    spec = PeerSpec(peer.id, peer.identity, issued.shared, peer.ipv4, peer.ipv6, f"{node.name} {peer.device}")
    endpoint = endpoint_spec(issued.endpoint, vault)
    theirs = replace(endpoint, options={**endpoint.options, **(peer.options or {})})
    return theirs, node.public_host, spec, issued.secret
