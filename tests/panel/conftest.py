"""A server with a panel on it, and vpnctl let in there."""

from __future__ import annotations

import pytest

from tests.conftest import _fp
from tests.panel.people import HOST, get_in
from tests.support.panel import NEW, Panel


@pytest.fixture
def panel(request):
    found = Panel(getattr(request, "param", NEW))
    found.add(3, 8443)
    found.put(3, "guest@there", comment="the keeper's own")
    return found


@pytest.fixture
def node(cli, fleet, panel):
    assert cli("init", "--yes").code == 0
    fake = fleet[HOST]
    fake.panel, fake.listening = panel, {8443, 9443}
    assert cli("node", "add", "p", f"root@{HOST}", "--host-key-fp", _fp()).code == 0
    cli("user", "add", "alice", "bob")
    return fake


@pytest.fixture
def served(cli, node, panel):
    get_in(cli, panel)
    said = cli("node", "provision", "p")
    assert said.code == 0, said.err
    return node
