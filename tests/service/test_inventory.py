"""Inventory: YAML out and in again, previews, and files that are not what they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import HOST_KEY
from vpnctl.errors import InvalidInput
from vpnctl.rules import yamldoc


def test_export_wipe_apply_gives_the_same_rows(service, settings, fleet, monkeypatch, tmp_path):
    service("node", "set", "fi", "--region", "Helsinki", "--capacity", "200", "--rent-due", "2027-06-30")
    service("endpoint", "add", "fi", "wireguard", "--pool-v6", "none", "--no-isolation", "--keepalive", "0")
    service("user", "add", "alice", "--display-name", "Алиса", "--devices", "2", "--note", "x")
    service("user", "add", "bob")
    service("user", "block", "bob")
    exported = service("inventory", "export", "--users").out
    assert "rivate" not in exported
    monkeypatch.setenv("VPNCTL_STATE_DIR", str(tmp_path / "other"))
    monkeypatch.setenv("VPNCTL_KEY_FILE", str(tmp_path / "other.key"))
    fleet.nodes.clear()
    service("init", "--yes")
    run = service("inventory", "apply", "-", "--yes", stdin=exported)
    assert run.code == 0, run
    assert service("inventory", "export", "--users").out == exported
    again = service("inventory", "apply", "-", "--yes", "--json", stdin=exported)
    assert again.json["changed"] is False


def test_a_preview_changes_nothing_and_what_is_missing_stays(service, tmp_path):
    file = tmp_path / "i.yaml"
    file.write_text(
        "nodes:\n- name: de\n  host: root@de.example.org\n  host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJbeUjQt/bDeAK6smLQiZsG7ODkwca1KgBwY8xy0jyuj\nusers:\n- name: carol\n"
    )
    before = service("event", "list", "--json").out
    run = service("inventory", "apply", str(file), "--dry-run")
    assert run.out.splitlines() == ["add node de (de.example.org)", "add user carol"]
    assert "node fi is not in the file; it stays" in run.err
    assert service("event", "list", "--json").out == before
    assert service("inventory", "apply", str(file)).code == 6
    assert service("inventory", "apply", str(file), "--yes").code == 0
    assert [row["name"] for row in service("node", "list", "--json").json] == ["de", "fi"]


def test_the_example_is_valid(service):
    example = Path(__file__).parents[2] / "inventory/example.yaml"
    assert service("inventory", "apply", str(example), "--dry-run").code == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2\n", "x:2: 'a' is given twice"),
        ("a: &b 1\nc: *b\n", "x:1: anchors and tags"),
        ("a: !!python/object:os.system x\n", "anchors and tags"),
        ("a: [1\n", "not valid YAML"),
        ("\x1b: 1\n", "not valid YAML"),
        ("[1]: 2\n", "must be a plain word"),
        ("a: " + "[" * 40 + "]" * 40, "nested too deeply"),
    ],
)
def test_yaml_that_is_refused_names_the_line(text, says):
    with pytest.raises(InvalidInput) as caught:
        yamldoc.load(text, "x")
    assert says in caught.value.what


def test_yaml_means_what_it_says():
    assert yamldoc.load("a: 010\nb: no\nc: 10\nd: true\ne:\nf: '5'\ng: 1_0\n", "x").data == {
        "a": "010", "b": "no", "c": 10, "d": True, "e": None, "f": "5", "g": "1_0",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("nodes:\n- name: x\n  host: root@h\n", "that is not an SSH host key"),
        ("nodes:\n- name: x\n", "give either"),
        ("nodes:\n- name: X\n  local: true\n", "i.yaml:2: 'X' is not a valid node name"),
        ("users:\n- name: ok\n- name: 'a\n    b'\n", "i.yaml:3: 'a b' is not a valid user name"),
        ("users: 5\n", "i.yaml:1: users: expected a valid list"),
        (
            "nodes:\n- name: fi\n  host: root@h\n  endpoints:\n  - protocol: wireguard\n    interface: wg0\n    port: no\n    pool: 10.66.0.0/16\n",
            "i.yaml:7: nodes.0.endpoints.0.port: expected a valid integer",
        ),
    ],
)
def test_a_wrong_inventory_names_file_line_and_what_was_expected(service, tmp_path, body, says):
    file = tmp_path / "i.yaml"
    file.write_text(body)
    run = service("inventory", "apply", str(file), "--yes")
    assert run.code == 2
    assert says in run.err
    assert service("user", "list", "--json").json == []


def test_of_an_endpoint_that_is_there_only_what_changes_need_stand_in_the_file(service, tmp_path):
    before = service("endpoint", "show", "fi", "wg0", "--json").json
    file = tmp_path / "one.yaml"
    file.write_text(
        "nodes:\n  - name: fi\n    host: root@fi.example.org\n    host_key: "
        + HOST_KEY
        + "\n    endpoints:\n      - {protocol: wireguard, interface: wg0, port: 51999}\n"
    )
    assert service("--yes", "inventory", "apply", str(file)).code == 0
    after = service("endpoint", "show", "fi", "wg0", "--json").json
    assert after["port"] == 51999
    assert {key: after[key] for key in ("pool_v4", "pool_v6", "mtu")} == {
        key: before[key] for key in ("pool_v4", "pool_v6", "mtu")
    }
