"""AmneziaWG: parameters that tools take, files that its apps read, packets in their disguise, and a service with both."""

from __future__ import annotations

import base64
import json
import os
import random
import struct
import zlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vpnctl.protocols.amneziawg import options
from vpnctl.protocols.amneziawg.disguise import DisguisedInitiator, _hidden
from vpnctl.protocols.amneziawg.parameters import GENERATIONS, MOST_TYPE, Parameters, checked, generated, header_key
from vpnctl.protocols.amneziawg.plugin import PLUGIN
from vpnctl.protocols.conversation import Heard
from vpnctl.protocols.interface import BadOption, EndpointSpec, PeerSpec
from vpnctl.protocols.wireguard.handshake import INITIATION, Identity, public_key
from vpnctl.rules.secret import Secret
from vpnctl.store import models
from vpnctl.store.rows import Endpoint

CASES = Path(__file__).parents[1] / "cases/amneziawg"
KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PSK = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="
SET = {
    "jc": 4, "jmin": 10, "jmax": 50, "s1": 20, "s2": 90, "s3": 30, "s4": 7, "h1": "100-199", "h2": "200-299",
    "h3": "300-399", "h4": "400-499", "i1": "<r 2><b 0x8580>", "i2": "", "i3": "", "i4": "", "i5": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("what", "generation", "parameters", "wrong"), yaml.safe_load((CASES / "parameters.yaml").read_text())
)
def test_parameters_are_those_that_the_tools_take(what, generation, parameters, wrong):
    if not wrong:
        assert checked(parameters, generation)
    else:
        with pytest.raises(BadOption) as found:
            checked(parameters, generation)
        assert found.value.option == wrong, what


@given(st.sampled_from(GENERATIONS), st.integers())
def test_drawn_parameters_are_valid_and_within_what_passes_everywhere(generation, seed):
    drawn = generated(generation, random.Random(seed))
    assert checked(vars(drawn), generation) == drawn
    assert (drawn.jmin, drawn.jmax) == (10, 50)
    assert 2 <= drawn.jc <= 6
    assert len({drawn.s1, drawn.s2}) == 2
    assert all(kind.start >= 5 and kind.stop - 1 <= MOST_TYPE for kind in drawn.types())
    assert bool(drawn.i1) == (generation != "1.0")


def test_no_two_new_endpoints_look_alike():
    one, two = (options.complete({}, [], []) for _ in range(2))
    assert [one[name] for name in ("h1", "h2", "h3", "h4")] != [two[name] for name in ("h1", "h2", "h3", "h4")]


def endpoint(**changes):
    plain = {
        "pool_v4": "10.66.0.0/16", "pool_v6": "fd66:1:1::/64", "dns": "1.1.1.1", "mtu": 1376,
        "allowed_ips": "0.0.0.0/0, ::/0", "keepalive": 25, "isolation": True, "generation": "2.0",
    }  # fmt: skip
    return EndpointSpec(
        id="e",
        name="awg0",
        port=51821,
        options=plain | SET | changes,
        forward_rule="none",
        identity=public_key(base64.b64decode(KEY)),
        secret=Secret(KEY),
    )


PEER = PeerSpec("p", public_key(base64.b64decode(KEY)), Secret(PSK), "10.66.0.2", "fd66:1:1::2")


def test_the_clients_file_is_rendered_as_in_the_case():
    assert (
        PLUGIN.client_config(endpoint(), "vpn.example.org", PEER, Secret(KEY)).reveal()
        == (CASES / "client.conf").read_text()
    )


def test_the_servers_file_has_every_parameter_that_both_sides_need_also_those_that_are_off():
    text = PLUGIN.wanted(endpoint(s1=0, h1="1"), [PEER], [], frozenset()).config.text.reveal()
    head = text.partition("\n\n")[0].splitlines()
    assert head[-11:] == [
        "Jc = 4", "Jmin = 10", "Jmax = 50", "S1 = 0", "S2 = 90", "S3 = 30", "S4 = 7", "H1 = 1", "H2 = 200-299",
        "H3 = 300-399", "H4 = 400-499",
    ]  # fmt: skip
    assert "I1" not in text


def test_the_first_generation_has_no_parameters_of_later_ones():
    first = endpoint(generation="1.0", s3=0, s4=0, h1="5", h2="6", h3="7", h4="8", i1="")
    for text in (
        PLUGIN.wanted(first, [PEER], [], frozenset()).config.text.reveal(),
        PLUGIN.client_config(first, "vpn.example.org", PEER, Secret(KEY)).reveal(),
    ):
        assert "S3 = " not in text
        assert "I1" not in text
        assert "H4 = 8" in text


def unpacked(link):
    packed = base64.urlsafe_b64decode(link.removeprefix("vpn://") + "==")
    (length,) = struct.unpack(">I", packed[:4])
    raw = zlib.decompress(packed[4:])
    assert len(raw) == length, "Qt's qUncompress refuses another length"
    return json.loads(raw)


@pytest.mark.parametrize(
    ("generation", "container", "version"), [("2.0", "amnezia-awg2", "2"), ("1.0", "amnezia-awg", None)]
)
def test_the_link_of_amneziavpn_holds_all_that_the_file_says(generation, container, version):
    old = {} if generation == "2.0" else {"s3": 0, "s4": 0, "h1": "5", "h2": "6", "h3": "7", "h4": "8", "i1": ""}
    spec = endpoint(generation=generation, **old)
    whole = unpacked(PLUGIN.client_forms(spec, "vpn.example.org", PEER, Secret(KEY))["vpn"].reveal())
    (inner,) = whole["containers"]
    last = json.loads(inner["awg"]["last_config"])
    assert (whole["defaultContainer"], inner["container"]) == (container, container)
    assert inner["awg"].get("protocol_version") == version
    assert last["config"] == PLUGIN.client_config(spec, "vpn.example.org", PEER, Secret(KEY)).reveal()
    assert last["allowed_ips"] == ["0.0.0.0/0", "::/0"]
    assert (last["Jc"], last["mtu"], last["port"]) == ("4", "1376", 51821)
    assert PLUGIN.client_forms(spec, "vpn.example.org", PEER, None) == {}, "without a private key there is none"


def test_a_first_message_is_disguised_and_one_to_a_server_without_parameters_is_not():
    talk = DisguisedInitiator(Identity(os.urandom(32), base64.b64decode(endpoint().identity)), Parameters(**SET))
    packet = talk.say(1_800_000_000, 0)
    assert len(packet) == 20 + INITIATION
    assert 100 <= int.from_bytes(packet[20:24], "little") <= 199
    plain = DisguisedInitiator(Identity(os.urandom(32), base64.b64decode(endpoint().identity)), Parameters())
    assert plain.say(1_800_000_000, 0)[:4] == struct.pack("<I", 1)
    assert talk.hear(b"") is Heard.FOREIGN
    assert talk.hear(os.urandom(90 + 92)) is Heard.FOREIGN


@pytest.fixture
def awg(service):
    """A service whose node `fi` has WireGuard and AmneziaWG."""
    assert service("endpoint", "add", "fi", "amneziawg").code == 0
    service("user", "add", "alice")
    return service


def test_a_person_has_devices_on_both_protocols_and_the_verbs_are_the_same(awg, fleet):
    fi = fleet["fi.example.org"]
    file = awg("peer", "add", "alice", "--device", "phone", "--protocol", "amneziawg").out
    assert "H1 = " in file
    assert awg("peer", "add", "alice", "--device", "laptop").out.count("H1") == 0, "WireGuard where none is named"
    assert len(fi.live_keys("awg0")) == len(fi.live_keys("wg0")) == 1
    assert awg("peer", "suspend", "alice/phone").code == 0
    assert fi.live_keys("awg0") == set()
    assert awg("peer", "resume", "alice/phone").code == 0
    before = fi.live_keys("awg0")
    assert awg("peer", "regen", "alice/phone").code == 0
    assert fi.live_keys("awg0").isdisjoint(before)
    assert {row["protocol"] for row in awg("peer", "list", "--json").json} == {"wireguard", "amneziawg"}
    assert awg("peer", "verify", "alice/phone").code == 0
    assert awg("peer", "revoke", "alice/phone").code == 0
    assert fi.live_keys("awg0") == set()
    assert awg("node", "check", "fi").code == 0


def test_the_link_is_handed_out_where_there_is_one(awg):
    awg("peer", "add", "alice/phone", "--protocol", "amneziawg")
    awg("peer", "add", "alice/laptop")
    assert unpacked(awg("peer", "config", "alice/phone", "--link").out.strip())["hostName"] == "fi.example.org"
    refused = awg("peer", "config", "alice/laptop", "--link")
    assert (refused.code, "no link of WireGuard" in refused.err) == (2, True)


def test_parameters_that_somebody_changed_on_the_node_are_drift_and_put_right(awg, fleet):
    live = fleet["fi.example.org"].links["awg0"]
    right = dict(live.disguise)
    live.disguise["h1"], live.disguise["s1"] = "9", "0"
    said = awg("node", "check", "fi")
    assert said.code == 4
    assert "h1 is another one than in the file" in said.out
    assert awg("node", "sync", "fi").code == 0
    assert live.disguise == right


def test_a_parameter_that_both_sides_need_is_not_changed_without_a_word_about_the_files(awg):
    awg("peer", "add", "alice/phone", "--protocol", "amneziawg")
    change = ("endpoint", "set", "fi", "awg0", "--option", "s1=33", "--option", "s2=77")
    refused = awg(*change)
    assert (refused.code, "1 device will be cut off" in refused.err) == (6, True)
    assert "alice/phone" in awg(*change, "--dry-run").err
    said = awg(*change, "--yes")
    assert said.code == 0
    assert "these devices need a new file" in said.err
    assert "alice/phone" in said.err
    assert "S1 = 33" in awg("peer", "config", "alice/phone").out
    assert awg("endpoint", "set", "fi", "awg0", "--option", "generation=1.0").code == 2, "that is another endpoint"


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("jmax=1", "jmax"), ("h1=0x5", "h1"), ("s2=-1", "s2"), ("nonsense=1", "nonsense"), ("jc", "NAME=VALUE"),
        ("i1=<r -5>", "i1"), ("generation=7", "generation"), ("h1=5-", "h1"), ("jc=0", "jc"), ("port=5001", "--port"),
        ("mtu=1300", "--mtu"), ("interface=awg9", "--interface"),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_refused_by_name_before_anything_is_changed(awg, fleet, option, told):
    before = fleet["fi.example.org"].writes
    said = awg("endpoint", "set", "fi", "awg0", "--option", option)
    assert (said.code, told in said.err) == (2, True), said.err
    assert fleet["fi.example.org"].writes == before


def test_an_inventory_carries_every_parameter_and_comes_back_the_same(awg, tmp_path):
    text = awg("inventory", "export").out
    (node,) = yaml.safe_load(text)["nodes"]
    ours = next(each for each in node["endpoints"] if each["protocol"] == "amneziawg")
    assert ours["generation"] == "2.0"
    assert "private" not in text.lower()
    file = tmp_path / "all.yaml"
    file.write_text(text)
    assert "nothing to change" in awg("inventory", "apply", str(file)).err


def test_a_move_takes_people_from_one_protocol_to_another_only_when_it_is_there(awg, fleet):
    from tests.conftest import _fp

    awg("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    awg("peer", "add", "alice/phone", "--protocol", "amneziawg")
    refused = awg("user", "migrate", "alice", "--to", "de")
    assert refused.code == 5
    assert "amneziawg" in refused.err
    assert awg("endpoint", "add", "de", "amneziawg").code == 0
    assert awg("user", "migrate", "alice", "--to", "de").code == 0
    assert len(fleet["de.example.org"].live_keys("awg0")) == 1


def test_an_older_generation_is_upgraded_beside_itself_and_taken_back_at_any_step(service, fleet, clock):
    """Everybody moves when it suits them: the old endpoint goes on until it is empty."""
    fi = fleet["fi.example.org"]
    service("endpoint", "add", "fi", "amneziawg", "--option", "generation=1.0")
    service("user", "add", "alice", "bob")
    for name in ("alice", "bob"):
        assert service("peer", "add", f"{name}/phone", "--protocol", "amneziawg").code == 0
    done = service("endpoint", "upgrade", "fi", "awg0")
    assert done.code == 0
    assert "vpnctl user migrate NAME --from fi --to fi --endpoint awg1" in done.err
    assert service("endpoint", "show", "fi", "awg1", "--json").json["generation"] == "2.0"
    assert len(fi.live_keys("awg0")) == 2, "nobody was cut"
    assert service("endpoint", "upgrade", "fi", "awg0").code == 0
    assert len(service("endpoint", "list", "fi", "--json").json) == 3, "run again, it finds the one that is there"
    service("peer", "add", "alice/laptop", "--protocol", "wireguard")
    new = service("user", "migrate", "alice", "--to", "fi", "--endpoint", "awg1").out
    assert "H1 = " in new
    assert "I1 = " in new
    assert (len(fi.live_keys("awg0")), len(fi.live_keys("awg1"))) == (2, 1), "the old file works until the new one does"
    again = service("user", "migrate", "alice", "--to", "fi", "--endpoint", "awg1")
    assert again.code == 0
    assert len(fi.live_keys("awg1")) == 1, "run again, no duplicate"
    before = set(fi.live_keys("awg0"))
    back = service("user", "migrate", "alice", "--from", "fi", "--to", "fi", "--endpoint", "awg0")
    assert back.code == 0
    assert fi.live_keys("awg1") == set(), "what nobody used ends"
    assert fi.live_keys("awg0") == before, "and what everybody has is the device again, with its own key"
    assert service("user", "migrate", "alice", "--to", "fi", "--endpoint", "awg0").code == 0
    clock.forward(hours=26)
    service("jobs", "run", "sync")
    assert fi.live_keys("awg0") == before, "nothing of it runs out"
    assert {row["device"] for row in service("peer", "list", "--user", "alice", "--json").json} == {"phone", "laptop"}
    assert len(fi.live_keys("wg0")) == 1, "devices of another protocol are not meant"
    kept = service("endpoint", "remove", "fi", "awg0", "--yes")
    assert (kept.code, "bob/phone" in kept.err) == (5, True), "it is not empty"
    assert service("endpoint", "upgrade", "fi", "awg1").code == 0
    assert service("endpoint", "show", "fi", "awg2", "--json").json["generation"] == "3.1"
    refused = service("endpoint", "upgrade", "fi", "awg2")
    assert (refused.code, "newest generation" in refused.err) == (5, True)
    assert service("endpoint", "upgrade", "fi", "wg0").code == 5


def test_new_devices_go_to_the_newest_generation_unless_an_endpoint_is_named(service, fleet):
    fi = fleet["fi.example.org"]
    service("endpoint", "add", "fi", "amneziawg", "--option", "generation=1.0")
    service("endpoint", "add", "fi", "amneziawg")
    service("user", "add", "alice")
    service("peer", "add", "alice/new", "--protocol", "amneziawg")
    assert (len(fi.live_keys("awg0")), len(fi.live_keys("awg1"))) == (0, 1)
    service("peer", "add", "alice/old", "--node", "fi", "--endpoint", "awg0")
    assert len(fi.live_keys("awg0")) == 1
    assert service("peer", "add", "alice/x", "--endpoint", "awg0").code == 2, "on which node?"
    assert service("peer", "add", "alice/x", "--node", "fi", "--endpoint", "awg7").code == 5
    clash = service("peer", "add", "alice/x", "--node", "fi", "--endpoint", "awg0", "--protocol", "wireguard")
    assert clash.code == 5


def test_a_person_moves_from_one_protocol_to_the_other_on_the_same_node(awg, fleet, clock):
    fi = fleet["fi.example.org"]
    awg("peer", "add", "alice/phone")
    moved = awg("user", "migrate", "alice", "--to", "fi", "--protocol", "amneziawg")
    assert moved.code == 0
    assert "H1 = " in moved.out
    fi.people("awg0")[0][2] = str(int(clock().timestamp()))
    awg("jobs", "run", "sync")
    assert fi.live_keys("wg0") == set(), "the first handshake ends the old one"
    assert [row["protocol"] for row in awg("peer", "list", "--json").json] == ["amneziawg"]


def test_a_node_that_serves_amneziawg_alone_needs_no_word_about_it(cli, fleet):
    from tests.conftest import _fp

    cli("init", "--yes")
    cli("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp())
    assert cli("node", "provision", "de", "--protocol", "amneziawg").code == 0
    cli("user", "add", "alice")
    assert "H1 = " in cli("peer", "add", "alice").out


def test_an_endpoint_that_is_down_keeps_nobodys_change_on_another_from_being_made(awg, fleet):
    fi = fleet["fi.example.org"]
    awg("peer", "add", "alice/laptop")
    awg("peer", "add", "alice/phone", "--protocol", "amneziawg")
    fi.links.pop("awg0")
    revoked = awg("peer", "revoke", "alice/laptop")
    assert (revoked.code, "fi: awg0 is not up; what concerns it is saved and pending, all else" in revoked.err) == (
        3,
        True,
    )
    assert "saved, but pending" not in revoked.err
    assert fi.live_keys("wg0") == set(), "the one that is up was told"
    assert {row["device"] for row in awg("peer", "list", "--json").json} == {"phone"}, "and its absence was read"
    awg("peer", "revoke", "alice/phone")
    assert "cut pending" in awg("peer", "list", "--json").out
    assert awg("node", "sync", "fi").code == 0
    assert awg("peer", "list", "--json").json == []


def test_a_move_to_another_node_keeps_the_generation_or_says_that_it_cannot(service, fleet):
    from tests.conftest import _fp

    service("endpoint", "add", "fi", "amneziawg", "--option", "generation=1.0")
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    service("endpoint", "add", "de", "amneziawg")
    service("user", "add", "alice")
    service("peer", "add", "alice/phone", "--protocol", "amneziawg")
    refused = service("user", "migrate", "alice", "--to", "de")
    assert (refused.code, "another generation" in refused.err, "--endpoint awg0" in refused.err) == (5, True, True)
    service("endpoint", "add", "de", "amneziawg", "--option", "generation=1.0")
    assert "S3 = " not in service("user", "migrate", "alice", "--to", "de").out
    assert len(fleet["de.example.org"].live_keys("awg1")) == 1


def test_an_inventory_draws_parameters_for_a_new_endpoint_and_takes_a_part_for_one_that_is_there(service, tmp_path):
    file = tmp_path / "one.yaml"
    whole = "nodes:\n- name: fi\n  endpoints:\n  - {protocol: amneziawg, interface: awg0, port: 51821, pool: 10.9.0.0/16%s}\n"
    node = yaml.safe_load(service("inventory", "export").out)["nodes"][0]
    head = f"  host: {node['host']}\n  host_key: {node['host_key']}\n"
    file.write_text((whole % "").replace("  endpoints", head + "  endpoints"))
    assert service("--yes", "inventory", "apply", str(file)).code == 0
    before = service("endpoint", "show", "fi", "awg0", "--json").json
    assert before["pool_v6"] is None
    assert before["h1"] != "1", "it is disguised"
    assert "nothing to change" in service("inventory", "apply", str(file)).err
    file.write_text((whole % ", jmin: 40, h1: 9, generation: 2.0").replace("  endpoints", head + "  endpoints"))
    assert service("--yes", "inventory", "apply", str(file)).code == 0
    after = service("endpoint", "show", "fi", "awg0", "--json").json
    assert (after["jmin"], after["h1"], after["h2"]) == (40, "9", before["h2"])


def test_a_plan_for_a_place_finds_the_protocol_that_is_served_there(service, fleet, tmp_path):
    from tests.conftest import _fp

    service("node", "add", "nl", "root@nl.example.org", "--host-key-fp", _fp(), "--region", "Amsterdam")
    service("node", "provision", "nl", "--protocol", "amneziawg")
    plans = tmp_path / "plans.yaml"
    plans.write_text("plans:\n- {name: ams, days: 30, locations: [Amsterdam]}\n")
    service("--yes", "inventory", "apply", str(plans))
    service("user", "add", "bob")
    service("subscription", "grant", "bob", "--plan", "ams")
    assert "H1 = " in service("peer", "add", "bob/phone").out


def test_a_link_is_no_file(awg, tmp_path):
    awg("peer", "add", "alice/phone", "--protocol", "amneziawg")
    refused = awg("peer", "config", "alice/phone", "--link", "--out", str(tmp_path / "x.conf"))
    assert (refused.code, (tmp_path / "x.conf").exists()) == (2, False)
    assert awg("peer", "config", "alice/phone", "--link").out.endswith("\n")


@pytest.mark.parametrize(("generation", "named"), [("2.0", "AmneziaWG 2.0.0 or later"), ("1.0", "AmneziaWG")])
def test_the_app_and_its_oldest_version_are_named_beside_a_file(service, tmp_path, generation, named):
    service("user", "add", "alice")
    assert service("endpoint", "add", "fi", "amneziawg", "--option", f"generation={generation}").code == 0
    said = service("peer", "add", "alice", "--protocol", "amneziawg", "--out", str(tmp_path / "a.conf"))
    assert f"it is read by: {named}," in said.err
    assert service("peer", "list", "--json").json[0]["app"].split(", ")[0] == named


def later(generation):
    """An endpoint of a generation that hides headers."""
    drawn = options.complete({"generation": generation, "pool_v6": None}, [], [])
    return endpoint(**drawn)


@pytest.mark.parametrize(("generation", "version"), [("3.0", "3"), ("3.1", "3.1")])
def test_files_of_a_generation_that_hides_headers_say_all_of_it_and_alike(generation, version):
    spec = later(generation)
    server = PLUGIN.wanted(spec, [PEER], [], frozenset()).config
    client = PLUGIN.client_config(spec, "vpn.example.org", PEER, Secret(KEY)).reveal()
    ours = {line for line in server.text.reveal().splitlines() if " = " in line}
    for word in ("HeaderProtectionKey", "ContentPaddingAddition", "RekeyAfterTime", "S4", "H4"):
        (line,) = [each for each in ours if each.startswith(f"{word} = ")]
        assert line in client.splitlines(), "both sides are alike"
    assert ("RandomTrailers = on" in ours) == (generation == "3.1")
    assert ("DisableCookies = off" in ours) == (generation == "3.1")
    text = PLUGIN.client_forms(spec, "vpn.example.org", PEER, Secret(KEY))["vpn"].reveal().removeprefix("vpn://")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    container = json.loads(zlib.decompress(raw[4:]))["containers"][0]
    assert (container["container"], container["awg"]["protocol_version"]) == ("amnezia-awg2", version)


def test_the_key_that_hides_headers_is_a_secret_of_the_server():
    spec = later("3.1")
    config = PLUGIN.wanted(spec, [PEER], [], frozenset()).config
    (key,) = [line.split(" = ")[1] for line in config.text.reveal().splitlines() if line.startswith("HeaderProtection")]
    assert key in {each.reveal() for each in config.secrets}
    assert key not in json.dumps(dict(spec.options))
    assert key != header_key(Secret(PSK)).reveal(), "another server has another one"


def test_headers_are_hidden_by_chacha20_from_its_beginning():
    """RFC 8439, appendix A.1, test vector 1."""
    assert _hidden(bytes(32), bytes(12), bytes(16)).hex() == "76b8e0ada0f13d90405d6ae55386bd28"
    assert _hidden(b"", bytes(12), b"plain") == b"plain"


def test_a_first_message_to_a_server_that_hides_headers_shows_no_number():
    spec = later("3.1")
    secret, parameters = Secret(KEY), options.parameters(spec.options)
    own = PLUGIN.issue()
    talk = PLUGIN.conversation(spec.identity, own, spec.options, secret)
    packet = talk.say(1_800_000_000, 0)
    assert len(packet) == parameters.s1 + INITIATION
    key = base64.b64decode(header_key(secret).reveal())
    shown = _hidden(key, packet, packet[parameters.s1 :])
    assert int.from_bytes(shown[:4], "little") in parameters.types()[0]
    assert shown != packet[parameters.s1 :]


def test_an_endpoint_that_was_made_before_an_option_is_as_it_was(service, app):
    assert service("endpoint", "add", "fi", "amneziawg").code == 0
    with app.store.write() as tx:
        row = tx.one(Endpoint, models.endpoint.c.protocol == "amneziawg")
        old = {name: value for name, value in row.options.items() if name not in ("random_trailers", "rekey_timeout")}
        tx.update(Endpoint, models.endpoint.c.id == row.id, options=old)
    assert service("node", "check", "fi").code == 0
    assert service("endpoint", "set", "fi", row.name, "--option", "jc=5").code == 0
    assert service("node", "check", "fi").code == 0
