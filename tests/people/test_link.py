"""What is said beside a link: which devices are not in it, and why not."""

from __future__ import annotations

import pytest


@pytest.fixture
def alice(service):
    service("user", "add", "alice")
    for device in ("phone", "laptop"):
        assert service("peer", "add", f"alice/{device}").code == 0
    return service


def test_a_suspended_device_is_named_as_one_that_may_not_connect(alice):
    alice("peer", "suspend", "alice/phone")
    said = alice("user", "link", "alice", "--format", "sing-box")
    assert "not in it, for they may not connect now: phone" in said.err
    assert "carry" not in said.err


def test_where_all_are_suspended_it_is_not_the_app_that_is_blamed(alice):
    alice("peer", "suspend", "alice/phone")
    alice("peer", "suspend", "alice/laptop")
    said = alice("user", "link", "alice", "--format", "sing-box")
    assert "they may not connect now: laptop, phone" in said.err
    assert "can be carried" not in said.err
    assert alice("user", "link", "alice", "--json").json["closed"] == ["laptop", "phone"]
