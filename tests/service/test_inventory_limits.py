"""What an inventory leaves alone."""

from __future__ import annotations

import pytest


@pytest.fixture
def fi(fleet):
    return fleet["fi.example.org"]


def test_an_inventory_leaves_alone_what_it_does_not_say(service, tmp_path, fi):
    service("user", "add", "eve", "--note", "vip", "--display-name", "Eve")
    service("user", "block", "eve")
    path = tmp_path / "i.yaml"
    path.write_text("users:\n  - {name: eve, devices: 3}\n")
    assert service("inventory", "apply", str(path), "--yes").code == 0
    row = service("user", "show", "eve", "--json").json
    assert (row["state"], row["note"], row["display_name"], row["device_limit"]) == ("blocked", "vip", "Eve", 3)


@pytest.mark.parametrize(
    "line", ["host: other.example.org", "host: root@fi.example.org, host_key: garbage", "local: true"]
)
def test_an_inventory_does_not_change_the_way_into_a_node(service, tmp_path, line):
    path = tmp_path / "i.yaml"
    path.write_text(f"nodes:\n  - {{name: fi, {line}}}\n")
    assert service("inventory", "apply", str(path), "--yes").code == 2
