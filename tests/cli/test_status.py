"""The status page."""

from __future__ import annotations

import pytest


@pytest.fixture
def fi(fleet):
    return fleet["fi.example.org"]


def test_an_alarm_that_a_check_showed_is_not_forgotten_by_status(service, fi):
    fi.host_key = "ssh-ed25519 other"
    assert service("node", "check").code == 7
    assert "the host key of fi.example.org changed" in service("status").out


def test_a_missing_key_file_stands_on_the_status_page(service, settings):
    settings.key_file.rename(settings.key_file.with_suffix(".away"))
    assert "key file" in service("status").out


def test_a_fresh_service_says_what_is_next(cli):
    cli("init", "--yes")
    assert "vpnctl node add" in cli("status").out
