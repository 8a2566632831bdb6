"""One life of a device, the same for every protocol, with real traffic on real servers and clients of other makers."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from tests.conftest import cannot
from tests.lab import amneziawg, cores, panel
from tests.lab.conftest import Operator, wipe
from tests.lab.network import FAR_V4, SITE
from tests.lab.phones import Phone


@dataclass
class Way:
    """A protocol as the journey needs it."""

    protocol: str
    endpoint: str
    options: tuple[str, ...] = ()
    spoil: str = ""
    """What somebody does by hand on the server, as a script; then the device is to be cut."""
    node: str = "fi"

    @property
    def add(self):
        return ("endpoint", "add", "fi", self.protocol, *(word for each in self.options for word in ("--option", each)))


LAN = "private_networks=allow"
"""The far side of the laboratory has a private address."""
WAYS = {
    "WireGuard": Way("wireguard", "wg0", spoil="wg set wg0 peer $(wg show wg0 allowed-ips | awk '/10[.]/ {print $1; exit}') remove"),
    "AmneziaWG 2.0": Way("amneziawg", "awg0", spoil="awg set awg0 peer $(awg show awg0 allowed-ips | awk '/10[.]/ {print $1; exit}') remove"),
    "VLESS-REALITY": Way(
        "xray", "xr0", (f"target={FAR_V4}:443", f"server_name={SITE}", LAN),
        spoil="/usr/local/bin/xray api rmu --server=unix:///run/vpnctl-xr0/api -tag=xr0 $(grep -o 'p-[0-9a-f]*' /etc/vpnctl/xray/xr0.json)",
    ),
    "a 3x-ui panel": Way("3x-ui", "in1", node="px", spoil=panel.TAKE_OUT),
    "VMess on Debian's V2Ray": Way("v2ray", "v2r0", (LAN,), spoil="systemctl stop vpnctl-v2ray@v2r0"),
}  # fmt: skip


@pytest.fixture(scope="module")
def service(lab, booted, tmp_path_factory):
    """An operator with two nodes; `fi` serves all ways, `de` WireGuard. Nodes reach no network: what they install is there."""
    for reason in (cores.why_not(), amneziawg.why_not()):
        if reason:
            cannot("the journey through all protocols", reason)
    operator = Operator(tmp_path_factory.mktemp("journey"), more={"VPNCTL_XRAY_ARCHIVE": cores.setting(lab.base)})
    operator("init", "--yes")
    for name, node in zip(("fi", "de"), booted, strict=True):
        operator.take(name, node)
    for each in WAYS.values():
        if each.protocol not in ("wireguard", "3x-ui"):
            operator(*each.add)
    _serve_panel(operator, booted[0])
    yield operator
    for node in booted:
        wipe(node)


def _serve_panel(operator, node):
    """The same server once more: what lives in its panel is a node of its own."""
    panel.install(node)
    key = ("--host-key-fp", node.fingerprint(), "--identity", str(node.key))
    operator("node", "add", "px", f"root@{node.address}", *key)
    operator("node", "panel", "px", "--username", panel.LOGIN, "--password-stdin", stdin=panel.PASSWORD)
    operator("node", "provision", "px")
    operator.nodes["px"] = node


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


@pytest.fixture
def phone(lab, service, way):
    """A device that alice has on `fi`, connected; she is gone afterwards."""
    service("user", "add", "alice", "--unlimited")
    service("peer", "add", "alice/phone", "--node", way.node, "--protocol", way.protocol)
    device = Phone(lab.client(), "alice/phone")
    try:
        device.connect(service, way.protocol)
        assert device.reaches()
        yield device
    finally:
        device.disconnect()
        service("user", "remove", "alice", "--yes", code=None)


def _counted(operator):
    """Return the only device, once its traffic was counted: a panel reads its own counters every ten seconds."""
    end = time.monotonic() + 30
    while True:
        row = operator("peer", "list", "--live", "--json").json[0]
        if (row["online"] and row["received"] > 300_000) or time.monotonic() > end:
            return row
        time.sleep(1)


def test_a_device_lives_on_every_protocol_as_on_any_other(way, service, phone):
    operator, fi = service, service.nodes[way.node]
    assert phone.get() == fi.address
    phone.upload(300_000)
    row = _counted(operator)
    assert (row["protocol"], row["state"], row["online"]) == (way.protocol, "active", True)
    assert row["received"] > 300_000
    operator("peer", "suspend", "alice/phone")
    assert phone.cut()
    operator("peer", "resume", "alice/phone")
    assert phone.reaches(40)
    operator("peer", "regen", "alice/phone")
    assert phone.cut(), "the old file ended"
    phone.connect(operator, way.protocol)
    assert phone.reaches()
    fi.sh(way.spoil)
    assert phone.cut()
    assert operator("node", "check", way.node, code=None).code == 4
    operator("node", "sync", way.node)
    assert phone.reaches(40)
    fi.reboot()
    assert phone.reaches(60), "after a reboot everything is as it was"
    operator("node", "check", way.node)


def _used_up(operator):
    end = time.monotonic() + 30
    while True:
        operator("jobs", "run", "usage", "sync")
        row = next(each for each in operator("user", "list", "--json").json if each["name"] == "alice")
        if row["access"] != "ok" and "used up" in row["access"]:
            return
        assert time.monotonic() < end, row
        time.sleep(1)


def test_a_quota_cuts_and_a_larger_one_lets_in_again(way, service, phone, tmp_path):
    operator = service
    plans = tmp_path / "plans.yaml"
    plans.write_text(
        "plans:\n- name: small\n  days: 30\n  traffic: 1 MiB\n- name: large\n  days: 30\n  traffic: 1 GiB\n"
    )
    operator("inventory", "apply", str(plans), "--yes")
    operator("user", "set", "alice", "--limited")
    operator("subscription", "grant", "alice", "--plan", "small")
    assert phone.reaches(40)
    phone.upload(2_000_000)
    _used_up(operator)
    assert phone.cut()
    row = next(each for each in operator("user", "list", "--json").json if each["name"] == "alice")
    assert row["access"] == "traffic of this month used up"
    operator("subscription", "cancel", "alice", "--yes")
    operator("subscription", "grant", "alice", "--plan", "large")
    assert phone.reaches(40)


def test_a_move_to_another_node_and_protocol_breaks_nothing_before_the_new_one_works(way, service, phone, lab):
    operator = service
    operator("user", "migrate", "alice", "--to", "de", "--protocol", "wireguard")
    assert phone.reaches(5), "make before break"
    new = Phone(lab.client(), "alice/phone")
    new.connect(operator, "wireguard")
    assert new.reaches()
    assert new.get() == operator.nodes["de"].address
    operator("jobs", "run", "sync")
    assert phone.cut(), "the old one ended when the new one was heard of"
    new.disconnect()


def test_who_is_revoked_loses_what_is_open_and_nobody_else_does(way, service, phone, lab):
    operator, fi = service, service.nodes["fi"]
    operator("user", "add", "bob", "--unlimited")
    operator("peer", "add", "bob/phone", "--node", way.node, "--protocol", way.protocol)
    other = Phone(lab.client(), "bob/phone")
    other.connect(operator, way.protocol)
    assert other.reaches()
    core = "pidof xray-linux-amd64"
    if way.protocol != "3x-ui":
        core = f"systemctl show -p MainPID vpnctl-{way.protocol}@{way.endpoint}"
    before = fi.sh(core)
    with phone.uploading() as mine, other.uploading() as theirs:
        operator("peer", "revoke", "alice/phone")
        if way.protocol == "v2ray":
            state = fi.sh("systemctl is-enabled v2ray.service", check=False).strip()
            assert state == "masked", "the package's own server does not run beside ours"
        if way.protocol in ("xray", "v2ray", "3x-ui"):
            assert mine.wait(2) != 0, "its connection ended"
        assert phone.cut()
        time.sleep(1)
        assert theirs.poll() is None, "nobody else's did"
    assert fi.sh(core) == before
    other.disconnect()
    operator("user", "remove", "bob", "--yes")
