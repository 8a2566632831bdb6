"""Lists and previews as people read them."""

from __future__ import annotations

import re
import sys

import pytest


def _fp():
    from tests.conftest import HOST_KEY
    from vpnctl.remote.ssh import fingerprint

    return fingerprint(HOST_KEY)


def test_the_traffic_limit_of_a_new_node_is_kept(service):
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--traffic-limit", "20 TB")
    assert service("node", "show", "de", "--json").json["traffic_limit"] == 20 * 10**12


def test_the_living_node_is_shown_and_not_a_retired_namesake(service):
    service("node", "retire", "fi", "--yes")
    service("node", "add", "fi", "root@new.example.org", "--host-key-fp", _fp(), "--provision")
    assert "new.example.org" in service("node", "show", "fi").out
    assert service("node", "show", "fi", "--json").json["state"] != "retired"


def test_lists_say_of_when_their_figures_are(service):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    assert "as of 2027-01-15" in service("peer", "list").err


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_table_on_a_terminal_breaks_no_word_and_names_what_it_left_out(width, monkeypatch, capsys, app, serve):
    import io

    from vpnctl.cli import output
    from vpnctl.cli.front import Front
    from vpnctl.cli.nodes import COLUMNS
    from vpnctl.reports import fleet

    serve("a-node-with-a-rather-long-name")
    with app.store.read() as tx:
        rows = fleet.nodes(tx, app.clock())

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", str(width))
    output.show_list(Front(_settings=app.settings), rows, COLUMNS)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
    assert max(len(line) for line in lines) <= width
    assert any("a-node-with-a-rather-long-name" in line for line in lines)
    assert "--wide shows all" in capsys.readouterr().err
