"""Xray and V2Ray: options, configs and links of every kind of endpoint, and a service on the in-memory node."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import uuid
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

from tests import fakenode
from tests.conftest import _fp
from tests.support.xray_core import V2RayPart, XrayPart
from vpnctl.errors import Conflict, InvalidInput
from vpnctl.protocols.interface import AlienSpec, BadOption, ClientKind, EndpointSpec, PeerSpec
from vpnctl.protocols.xray import options, server
from vpnctl.protocols.xray.plugin import PLUGIN
from vpnctl.rules.secret import Secret
from vpnctl.store.rows import Peer

CASES = Path(__file__).parents[1] / "cases/xray"
UUID = "934790aa-a2a1-4375-8745-a3367b9c4282"
PAIR = PLUGIN.server()
TLS = {"server_name": "vpn.example.org", "certificate": "/etc/ssl/vpn.pem", "certificate_key": "/etc/ssl/vpn.key"}
GIVEN = {
    "reality": {"short_id": "1e10"},
    "xhttp": {},
    "ws": TLS,
    "raw": TLS,
    "vmess-ws": TLS,
    "vmess-raw": {},
    "trojan": TLS,
    "shadowsocks": {},
}
PEER = PeerSpec("p", "p-0011", Secret(UUID), title="fi phone")


def spec(inbound="reality", **change):
    made = PLUGIN.complete({"inbound": inbound, **GIVEN[inbound]}, [], [])
    values = {"id": "e", "name": "xr0", "port": 443, "forward_rule": "none", "identity": PAIR.identity}
    return EndpointSpec(**(values | {"options": made, "secret": PAIR.secret} | change))


def config(plugin, endpoint, *people, aliens=()):
    text = plugin.wanted(endpoint, people or [PEER], aliens, frozenset()).config.text.reveal()
    return json.loads(text)


@pytest.mark.parametrize(("what", "given", "wrong"), yaml.safe_load((CASES / "options.yaml").read_text()))
def test_options_are_those_that_the_core_takes(what, given, wrong):
    if wrong is None:
        made = PLUGIN.complete(PLUGIN.checked(given), [], [])
        assert PLUGIN.fitting(made) == made
        assert PLUGIN.from_entry(PLUGIN.to_entry(made)) == made, "an inventory brings the same back"
    else:
        with pytest.raises(BadOption) as found:
            PLUGIN.complete(PLUGIN.checked(given), [], [])
        assert found.value.option == wrong, what


def test_no_two_new_endpoints_look_alike():
    one, two = spec().options, spec("xhttp").options
    assert one["short_id"] != PLUGIN.complete({}, [], [])["short_id"]
    assert two["path"] != spec("xhttp").options["path"]


@pytest.mark.parametrize("inbound", options.INBOUNDS)
def test_everybody_is_one_line_of_the_file_and_the_rest_does_not_depend_on_them(inbound):
    """So the node script tells people from what needs a restart."""
    two = PeerSpec("q", "p-0022", Secret(str(uuid.uuid4())))

    def lines(*people):
        return PLUGIN.wanted(spec(inbound, options=made), people, [], frozenset()).config.text.reveal().splitlines()

    made = spec(inbound).options
    none, both = lines(), lines(PEER, two)
    assert [line for line in both if not line.startswith('{"email"')] == none
    assert len(both) == len(none) + 2


def test_reality_borrows_the_face_of_its_target_with_the_endpoints_own_key():
    stream = config(PLUGIN, spec())["inbounds"][1]["streamSettings"]
    assert stream["security"] == "reality"
    own = stream["realitySettings"]
    assert own["target"] == "dl.google.com:443"
    assert own["serverNames"] == ["dl.google.com"]
    assert base64.urlsafe_b64decode(own["privateKey"] + "=") == base64.b64decode(PAIR.secret.reveal())


def test_the_api_is_a_socket_of_the_endpoints_own_folder_and_nobody_goes_on_to_the_server_itself():
    found = config(PLUGIN, spec())
    assert found["inbounds"][0]["listen"] == "/run/vpnctl-xr0/api"
    assert found["routing"]["rules"][0] == {"type": "field", "inboundTag": ["api"], "outboundTag": "api"}
    closed = found["routing"]["rules"][1]
    assert closed["outboundTag"] == "block"
    assert {"127.0.0.0/8", "::/127", "169.254.0.0/16", "10.0.0.0/8"} <= set(closed["ip"])
    allowed = config(PLUGIN, spec(options=spec().options | {"private_networks": "allow"}))["routing"]["rules"][1]
    assert "10.0.0.0/8" not in allowed["ip"]
    assert "127.0.0.0/8" in allowed["ip"]


def test_every_secret_of_the_file_is_known_to_be_one():
    wanted = PLUGIN.wanted(spec(), [PEER], [], frozenset())
    held = {each.reveal() for each in wanted.config.secrets}
    assert {PAIR.secret.reveal(), UUID, server.url_form(PAIR.secret.reveal())} <= held
    shadowsocks = PLUGIN.wanted(spec("shadowsocks"), [PEER], [], frozenset()).config
    passwords = re.findall(r'"password": "([^"]+)"', shadowsocks.text.reveal())
    assert len(passwords) == 3
    assert set(passwords) <= {each.reveal() for each in shadowsocks.secrets}
    assert UUID not in str(wanted)


@pytest.mark.parametrize(
    ("tag", "secret"),
    [("P-0011", str(uuid.uuid4())), ("p-0022", UUID), ("p-0022", UUID[:14] + "0000" + UUID[18:])],
    ids=["the tag in capitals", "the same UUID", "a UUID that differs where the core does not look"],
)
def test_two_that_the_core_would_take_for_one_are_refused(tag, secret):
    with pytest.raises(Conflict):
        PLUGIN.wanted(spec(), [PEER, PeerSpec("q", tag, Secret(secret))], [], frozenset())


def test_who_is_nobodys_device_is_kept_as_it_was():
    found = config(PLUGIN, spec(), aliens=[AlienSpec("guest", Secret("s3cret"), "")])
    assert {each["email"]: each["id"] for each in found["inbounds"][1]["settings"]["clients"]} == {
        "guest": "s3cret", "p-0011": UUID,
    }  # fmt: skip


def link_of(inbound):
    return PLUGIN.client_config(spec(inbound), "vpn.example.org", PEER, None).reveal().strip()


@pytest.mark.parametrize("inbound", [each for each in options.INBOUNDS if each != "shadowsocks"])
def test_a_link_says_all_that_an_app_needs(inbound):
    parts = urlsplit(link_of(inbound))
    said = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    assert (parts.username, parts.hostname, parts.port) == (UUID, "vpn.example.org", 443)
    assert unquote(parts.fragment) == "fi phone"
    scheme = {"trojan": "trojan", "vmess-ws": "vmess", "vmess-raw": "vmess"}.get(inbound, "vless")
    assert parts.scheme == scheme
    assert said["type"] == {"xhttp": "xhttp", "ws": "ws", "vmess-ws": "ws"}.get(inbound, "tcp")
    assert said["security"] == {"reality": "reality", "xhttp": "reality", "vmess-raw": "none"}.get(inbound, "tls")
    assert ("flow" in said) == (inbound in ("reality", "raw"))
    assert ("pbk" in said) == (inbound in ("reality", "xhttp"))
    if "pbk" in said:
        assert base64.urlsafe_b64decode(said["pbk"] + "=") == base64.b64decode(PAIR.identity)
    if scheme == "vless":
        assert said["encryption"] == "none"


def test_shadowsocks_has_a_password_of_the_server_and_one_of_the_person():
    parts = urlsplit(link_of("shadowsocks"))
    method, ours, theirs = unquote(f"{parts.username}:{parts.password}").split(":")
    found = config(PLUGIN, spec("shadowsocks"))["inbounds"][1]["settings"]
    assert (method, ours) == (found["method"], found["password"])
    assert theirs == found["clients"][0]["password"]
    assert [len(base64.b64decode(each)) for each in (ours, theirs)] == [16, 16]


def test_vmess_has_the_older_form_too_with_texts_only():
    old = PLUGIN.client_forms(spec("vmess-ws"), "vpn.example.org", PEER, None)["vmess"].reveal()
    said = json.loads(base64.b64decode(old.removeprefix("vmess://")))
    assert all(isinstance(value, str) for value in said.values())
    assert (said["id"], said["net"], said["tls"], said["add"], said["port"]) == (
        UUID,
        "ws",
        "tls",
        "vpn.example.org",
        "443",
    )
    assert "vmess" not in PLUGIN.client_forms(spec(), "vpn.example.org", PEER, None)


def test_an_ipv6_address_stands_in_brackets():
    assert "@[2001:db8::1]:443?" in PLUGIN.client_config(spec(), "2001:db8::1", PEER, None).reveal()


@pytest.mark.parametrize("inbound", options.INBOUNDS)
@pytest.mark.parametrize("kind", ClientKind)
def test_a_device_is_an_entry_of_every_link_that_can_carry_it(inbound, kind):
    found = PLUGIN.entry(kind, spec(inbound), "vpn.example.org", PEER, None)
    if inbound == "xhttp" and kind in (ClientKind.SING_BOX, ClientKind.MIHOMO):
        assert found is None
    else:
        assert found
        assert "fi phone" in unquote(json.dumps(found))


def test_what_a_node_says_that_is_no_record_is_refused():
    head = f"{PAIR.identity}\t443"
    assert PLUGIN.observe([head, "p-1\t(same)\t1\t2\t-"])[2]["p-1"].tx == 2
    for odd in (
        [],
        ["x"],
        [head, "p-1\t(same)\t1"],
        [head, "p-1\t(same)\t1\tx\t-"],
        [head, "p-1\t(same)\t1\t2\tnow"],
        ["x\t443"],
        [head, "p 1\x07\t(same)\t1\t2\t-"],
    ):
        with pytest.raises(ValueError):
            PLUGIN.observe(odd)


def test_no_key_of_the_users_own_is_taken():
    with pytest.raises(InvalidInput, match="no keys of the user's own"):
        PLUGIN.issue("x" * 44)


def test_a_password_of_the_server_needs_its_secret():
    with pytest.raises(ValueError, match="needs the server's key"):
        server.server_password(spec("shadowsocks", secret=None))


PARTS = [Path(__file__).parents[2] / f"vpnctl/protocols/{name}/node.sh" for name in ("xray", "v2ray")]


@pytest.mark.parametrize("number", [0, 2**31, 10**12, 2**53])
def test_large_counters_are_whole_numbers_on_the_way(number):
    """What Debian's awk writes as 3e+09 makes a node's whole answer unreadable."""
    stats = json.dumps({"stat": [{"name": f"user>>>p-1>>>traffic>>>{way}", "value": number} for way in ("uplink", "downlink")]}, indent=1)  # fmt: skip
    text = "".join(part.read_text() for part in PARTS)
    script = f"""{text}
xray_api() {{ cat; }}
v2ctl() {{ printf 'stat: <\\n name: "user>>>p-1>>>traffic>>>uplink"\\n value: {number}\\n>\\n'; }}
xray_traffic xr0; v2ray_traffic v2r0
printf 'user\\tp-1\\tx\\ntraffic\\tp-1\\t{number}\\t{number}\\n' | xray_people xr0 /dev/null
"""
    done = subprocess.run(["bash", "-c", script], input=stats, capture_output=True, text=True, check=True)
    xray, v2ray, record = done.stdout.splitlines()
    assert (xray, v2ray, record) == (f"p-1\t{number}\t{number}", f"p-1\t{number}\t0", f"|p-1\tx\t{number}\t{number}\t-")


def test_open_connections_of_people_who_are_gone_are_told_from_all_others():
    """Live, gone, nobody's, one of IPv6, one that was somebody else's before, and the test of a path."""
    lines = {
        "p-live": "10.0.0.1:1000",
        "p-gone": "10.0.0.2:1000",
        "p-old": "[2001:db8::1]:2000",
        "vpnctl-proof": "127.0.0.1:3000",
    }
    access = "".join(f"2026/11/27 18:00:00.1 from {where} accepted tcp:x:80 [xr0 >> direct] email: {tag}\\n" for tag, where in lines.items())  # fmt: skip
    again = "2026/11/27 18:00:01.1 from 10.0.0.1:1000 accepted tcp:x:80 [xr0 >> direct] email: p-live\\n"
    there = ["10.0.0.1]:1000", "10.0.0.2]:1000", "10.0.0.3]:1000", "127.0.0.1]:3000"]
    opened = "".join(f"ESTAB 0 0 [::ffff:10.9.9.9]:443 [::ffff:{each}\\n" for each in there)
    opened += "CLOSE-WAIT 0 0 [2001:db8::9]:443 [2001:db8::1]:2000\\n"
    script = f"""{PARTS[0].read_text()}

ss() {{ printf '{opened}'; }}
sed() {{ if [ "$1" = 's/^/line\\t/' ]; then printf '{access}{again}' | command sed "$1"; else command sed "$@"; fi; }}
xray_lingering xray bash 443 p-live
"""
    made = script.replace('"/run/vpnctl-cores/$2.kept" "/run/vpnctl-$2/access.1" "/run/vpnctl-$2/access"', "/dev/null").replace("[ ! -f \"$each\" ] ||", "")  # fmt: skip
    done = subprocess.run(["bash", "-c", made], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"10.0.0.2]1000", "2001:db8::1]2000"}


# The service, on the in-memory node.


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.setitem(fakenode.PARTS, "xray", XrayPart)
    monkeypatch.setitem(fakenode.PARTS, "v2ray", V2RayPart)


@pytest.fixture
def fi(cores, cli, fleet):
    """A node that serves WireGuard, Xray and V2Ray, and alice."""
    assert cli("init", "--yes").code == 0
    cli("user", "add", "alice", "bob")
    assert cli("node", "add", "fi", "root@fi.example.org", "--host-key-fp", _fp(), "--provision").code == 0
    said = cli("endpoint", "add", "fi", "xray")
    assert said.code == 0, said.err
    assert cli("endpoint", "add", "fi", "v2ray").code == 0
    return fleet["fi.example.org"]


def users_of(node, name="xr0", part="xray"):
    return node.parts[part].running[name][1]


def add(cli, *args, protocol="xray"):
    said = cli("peer", "add", *args, "--protocol", protocol)
    assert said.code == 0, said.err
    return urlsplit(said.out.strip()).username


def test_a_person_gets_a_link_and_is_seen_on_the_node_without_a_restart(fi, cli):
    begun = fi.parts["xray"].running["xr0"][2]
    secret = add(cli, "alice")
    assert [row[0] for row in users_of(fi).values()] == [secret]
    assert fi.parts["xray"].running["xr0"][2] == begun
    assert "xray" in fi.packages
    row = cli("peer", "list", "--json").json[0]
    assert (row["state"], row["protocol"], row["ipv4"]) == ("active", "xray", None)


def test_the_forms_of_a_device_are_shown_by_name(fi, cli):
    add(cli, "alice", protocol="v2ray")
    assert cli("peer", "config", "alice", "--link").out == cli("peer", "config", "alice", "--form", "link").out
    assert cli("peer", "config", "alice", "--form", "vmess").out.startswith("vmess://ey")
    assert json.loads(cli("peer", "config", "alice", "--form", "json").out)["outbounds"][0]["protocol"] == "vmess"
    said = cli("peer", "config", "alice", "--form", "vpn")
    assert (said.code, "one of: link, vmess, json" in said.err) == (2, True)


@pytest.mark.parametrize("protocol", ["xray", "v2ray"])
def test_suspended_resumed_renewed_and_revoked_are_seen_on_the_node(fi, cli, protocol):
    name = {"xray": "xr0", "v2ray": "v2r0"}[protocol]
    first, other = add(cli, "alice", protocol=protocol), add(cli, "bob", protocol=protocol)

    def there():
        return {row[0] for row in users_of(fi, name, protocol).values()}

    cli("peer", "suspend", "alice")
    assert there() == {other}
    cli("peer", "resume", "alice")
    assert there() == {first, other}
    assert cli("peer", "regen", "alice").code == 0
    assert first not in there()
    assert len(there()) == 2
    assert cli("peer", "revoke", "alice").code == 0
    assert there() == {other}


def test_a_core_that_says_ok_and_does_nothing_leaves_it_pending_and_named(fi, cli):
    add(cli, "alice")
    fi.parts["xray"].deaf = True
    said = cli("peer", "revoke", "alice")
    assert said.code == 3
    assert "still differs after the change" in said.err
    fi.parts["xray"].deaf = False
    assert cli("node", "sync", "fi").code == 0
    assert users_of(fi) == {}


def test_a_restart_that_zeroes_counters_loses_no_traffic_and_invents_none(fi, cli, clock):
    add(cli, "alice")
    tag = next(iter(users_of(fi)))
    clock.forward(minutes=5)
    users_of(fi)[tag][1:] = [1000, 2000]
    cli("jobs", "run", "usage")
    fi.parts["xray"].start("xr0")
    clock.forward(minutes=5)
    users_of(fi)[tag][1:] = [10, 20]
    cli("jobs", "run", "usage")
    row = cli("peer", "list", "--json").json[0]
    assert (row["received"], row["sent"]) == (1010, 2020)


def other_settings(node):
    live = node.parts["xray"].running["xr0"]
    live[0] = json.dumps({"vpnctl": json.loads(live[0])["vpnctl"], "log": "another"})


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda node: node.parts["xray"].stop("xr0"), "not running"),
        (lambda node: users_of(node).clear(), "missing peer"),
        (lambda node: next(iter(users_of(node).values())).__setitem__(0, "x"), "parameter drift"),
        (lambda node: users_of(node).__setitem__("guest", ["pw", 0, 0]), "alien peer"),
        (other_settings, "parameter drift"),
        (lambda node: node.packages.discard("xray"), "program"),
        (lambda node: node.files.pop("/etc/systemd/system/vpnctl-xray@xr0.service"), "write"),
    ],
    ids=["stopped", "emptied", "another UUID", "a guest", "other settings", "no program", "no unit"],
)  # fmt: skip
def test_drift_is_named_and_healed(fi, cli, spoil, kind):
    secret = add(cli, "alice")
    spoil(fi)
    said = cli("node", "check", "fi", "--json")
    assert said.code == 4
    assert kind in {change["kind"] for node in said.json for change in node["changes"]}
    assert cli("node", "sync", "fi").code == 0
    assert secret in {row[0] for row in users_of(fi).values()}
    assert cli("node", "check", "fi").code == 0


def test_a_certificate_that_ends_is_named_before_and_after(fi, cli, clock):
    fi.parts["xray"].ends = int(clock().timestamp()) + 3 * 86400
    said = cli("node", "check", "fi")
    assert said.code == 4
    assert "certificate ends xr0 (in 3 days)" in said.out
    clock.forward(days=4)
    assert "nobody can connect" in cli("node", "check", "fi").out
    fi.parts["xray"].ends = int(clock().timestamp()) + 60 * 86400
    assert cli("node", "check", "fi").code == 0


def test_what_stands_in_links_is_changed_only_with_yes_and_names_the_devices(fi, cli):
    add(cli, "alice")
    said = cli("endpoint", "set", "fi", "xr0", "--option", "server_name=www.example.org", "--yes")
    assert said.code == 0, said.err
    assert "alice/main" in said.err
    assert "inbound of an endpoint does not change" in cli("endpoint", "set", "fi", "xr0", "--option", "inbound=ws").err


def test_the_operators_own_source_of_the_program_is_the_one_that_is_used(fi, cli, monkeypatch):
    seen = []
    monkeypatch.setattr(
        fakenode._Run, "do_fetch", lambda run, *args: seen.append(args) or run.node.packages.add(args[0])
    )
    monkeypatch.setenv("VPNCTL_XRAY_ARCHIVE", f"file:///opt/x.zip#sha256={'a' * 64}")
    fi.packages.discard("xray")
    assert cli("node", "sync", "fi").code == 0
    assert seen == [("xray", f"x86_64 {'a' * 64} file:///opt/x.zip", f"aarch64 {'a' * 64} file:///opt/x.zip")]
    monkeypatch.setenv("VPNCTL_XRAY_ARCHIVE", "https://example.org/x.zip")
    assert "expected URL#sha256=HEX" in cli("node", "list").err


@pytest.mark.parametrize("form", ClientKind)
def test_a_link_has_all_devices_that_the_app_carries_and_names_the_others(fi, cli, app, form):
    add(cli, "alice")
    add(cli, "alice/tab", protocol="v2ray")
    assert cli("peer", "add", "alice/laptop").code == 0
    said = cli("user", "link", "alice", "--format", form)
    assert said.code == 0
    text = base64.b64decode(said.out).decode() if form == "base64" else said.out
    named = {name for name in ("main", "tab", "laptop") if f"fi {name}" in unquote(text)}
    carries_wireguard = form in ("sing-box", "mihomo")
    assert named == {"main", "tab"} | ({"laptop"} if carries_wireguard else set())
    assert ("laptop" in said.err) == (not carries_wireguard)
    with app.store.read() as tx:
        how = {peer.device: peer.delivered_how for peer in tx.all(Peer)}
    assert {name for name, way in how.items() if way == "link"} == named


@pytest.mark.parametrize("form", ClientKind)
def test_who_has_no_access_gets_one_entry_that_says_why(fi, cli, form):
    secret = add(cli, "alice")
    cli("user", "set", "alice", "--limited")
    said = cli("user", "link", "alice", "--format", form)
    text = base64.b64decode(said.out).decode() if form == "base64" else said.out
    assert "You have no subscription yet." in unquote(text)
    assert secret not in text
    assert "no access" in said.err


def test_a_suspended_device_is_in_no_link(fi, cli):
    secret, other = add(cli, "alice"), add(cli, "alice/tab")
    cli("peer", "suspend", "alice/main")
    text = base64.b64decode(cli("user", "link", "alice").out).decode()
    assert secret not in text
    assert other in text


def test_texts_that_look_like_numbers_are_quoted_in_yaml(fi, cli):
    cli("endpoint", "set", "fi", "xr0", "--option", "short_id=1e10", "--yes")
    add(cli, "alice")
    assert re.search(r"short-id: '1e10'", cli("user", "link", "alice", "--format", "mihomo").out)


@pytest.mark.parametrize("verb", ["suspend", "regen", "revoke"])
def test_a_live_change_takes_one_connection_and_two_calls(fi, cli, monkeypatch, verb):
    """One to look, one to apply and look again."""
    add(cli, "alice")
    opened = []
    connect = fakenode.FakeNode.connect
    monkeypatch.setattr(fakenode.FakeNode, "connect", lambda node, login: opened.append(1) or connect(node, login))
    fi.calls = 0
    assert cli("peer", verb, "alice").code == 0
    assert (len(opened), fi.calls) == (1, 2)


def test_who_has_something_open_is_online_without_traffic_and_one_whose_core_does_not_tell_is_not(fi, cli, clock):
    cli("peer", "add", "alice/phone", "--protocol", "xray")
    cli("peer", "add", "bob/phone", "--protocol", "xray")
    tag = cli("peer", "show", "alice/phone", "--json").json["public_key"]
    fi.parts["xray"].open = {tag}
    clock.forward(hours=1)
    rows = cli("peer", "list", "--live", "--json").json
    assert {row["user"]: row["online"] for row in rows if row["protocol"] == "xray"} == {"alice": True, "bob": False}
