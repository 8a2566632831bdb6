"""Whether a device can connect, seen from both sides: what the node holds, and whether it answers on UDP."""

from __future__ import annotations

from dataclasses import dataclass

from vpnctl.actions.fleet import probes
from vpnctl.actions.fleet.desired import desired, load
from vpnctl.actions.fleet.driving import drive, look, proven
from vpnctl.actions.fleet.settle import settle
from vpnctl.actions.people.peers import place
from vpnctl.app import App
from vpnctl.errors import DRIFT, OK, PENDING, Distrust, Unreachable, VpnctlError
from vpnctl.remote.driver import Query
from vpnctl.remote.probe import Handshake, Verdict
from vpnctl.rules.changes import PEOPLE
from vpnctl.rules.desired import WantedEndpoint, WantedPeer
from vpnctl.rules.observed import Observed, shared_differs
from vpnctl.store import find
from vpnctl.store.rows import Peer


@dataclass(frozen=True)
class Verified:
    """What was found. `on_node`: `right`, `different`, `absent`, `not read`; `handshake` is our probe's own."""

    user: str
    device: str
    node: str
    verdict: str
    may_connect: bool
    reason: str | None
    on_node: str
    handshake: str
    milliseconds: float | None
    code: int
    advice: str


def verify(app: App, text: str) -> Verified:
    """Read the node and shake hands with it, with the node's probe peer and never with the user's key."""
    with app.store.read() as tx:
        owner, peer = find.peer(tx, text)
        endpoint, node = place(tx, peer)
    if endpoint.probe_identity is None and endpoint.transport == "udp":
        probes.ensure(app, [node.id])
        settle(app, [node.id])
        with app.store.read() as tx:
            endpoint = place(tx, peer)[0]
    sign = probes.shake(app, node.public_host, endpoint)
    with app.store.read() as tx:
        view = load(tx, node.id, app.clock())
    try:
        with drive(app, view) as way:
            observed: Observed | None = look(app, view, way, Query(PEOPLE, proven(view)))
    except Distrust:
        raise
    except VpnctlError:
        observed = None
    ipv6 = observed is None or observed.ipv6
    wanted = next(each for each in desired(app, view, ipv6=ipv6).endpoints if each.endpoint_id == endpoint.id)
    want = wanted.peers.get(peer.identity)
    on_node = _on_node(observed, wanted, peer, want)
    reason = view.reasons[peer.id]
    verdict, code, advice = _verdict(on_node, sign, node.name, allowed=reason is None)
    if code == OK and reason is None and node.path_error:
        verdict, code, advice = f"packets do not pass: {node.path_error}", DRIFT, f"vpnctl node check {node.name}"
    took = sign.milliseconds if sign else None
    shown = str(sign.verdict) if sign else "no probe peer"
    return Verified(
        owner.name, peer.device, node.name, verdict, reason is None, str(reason) if reason else None, on_node, shown,
        took, code, advice,
    )  # fmt: skip


def _on_node(observed: Observed | None, one: WantedEndpoint, peer: Peer, want: WantedPeer | None) -> str:
    if observed is None:
        return "not read"
    seen = observed.endpoints.get(one.name)
    found = (seen.strays | seen.peers).get(peer.identity) if seen else None
    if found is None or (want is None and found.switched_off):
        return "absent"
    if not found.enabled:
        return "different"
    file = observed.files.get(one.config.path)
    ours = file is not None and file[0] == one.config.digest
    same = want is None or (
        want.allowed_ips == found.allowed_ips and not shared_differs(want.shared, found.shared, file_is_ours=ours)
    )
    return "right" if same else "different"


def _verdict(on_node: str, sign: Handshake | None, node: str, *, allowed: bool) -> tuple[str, int, str]:
    """Return (words, exit code, what to type)."""
    sync = f"vpnctl node sync {node}"
    if not allowed:
        return _not_allowed(on_node, sync)
    if on_node in ("absent", "different"):
        word = "the node does not have it" if on_node == "absent" else "the node has it with other parameters"
        return word, DRIFT, sync
    answers = {
        Verdict.OK: ("ok", OK, ""),
        Verdict.PSK_MISMATCH: ("the node answers, but our probe's preshared key differs there", DRIFT, sync),
        Verdict.REFUSED: ("nothing listens on the port", Unreachable.code, sync),
        Verdict.SILENT: (
            "no answer on UDP: a firewall, or the port is blocked on the way",
            Unreachable.code,
            f"vpnctl node check {node}; look at the provider's firewall",
        ),
        Verdict.UNRESOLVED: ("the node's public host does not resolve", Unreachable.code, f"vpnctl node show {node}"),
        Verdict.UNREACHABLE: ("there is no way to the node from here", Unreachable.code, f"vpnctl node check {node}"),
    }
    words, code, advice = answers[sign.verdict] if sign else ("the node has no probe peer yet", PENDING, sync)
    if on_node == "not read" and code == OK:
        return "the tunnel answers, but we could not read the node", PENDING, f"vpnctl node check {node}"
    return words, code, advice


def _not_allowed(on_node: str, sync: str) -> tuple[str, int, str]:
    if on_node == "absent":
        return "cut, as it should be", OK, ""
    if on_node == "not read":
        return "it may not connect, but the node could not be read", PENDING, sync
    return "it may not connect, but the node still has it", DRIFT, sync
