"""How we get into a panel on a server: addresses, tokens, passwords, and that none of them is shown."""

from __future__ import annotations

import pytest

from tests.conftest import _fp
from tests.panel.people import add, mine
from tests.support.panel import ANCIENT, MIDDLE, NEW, OLD


def test_the_server_itself_says_where_its_panel_is_and_makes_a_token(node, cli, panel):
    node.panel_says = {
        "-show": "current panel settings as follows:\nhasDefaultCredential: false\nport: 2053\nwebBasePath: /abc/\n",
        "-getApiToken": f"apiToken: {panel.token}\n",
    }
    said = cli("node", "provision", "p", "--protocol", "3x-ui")
    assert said.code == 0, said.err
    assert cli("node", "show", "p", "--json").json["protocols"] == "3x-ui:8443"


def test_a_server_without_token_asks_for_the_password(node, cli, panel):
    node.panel_says = {"-show": "port: 2053\nwebBasePath: /abc/\n"}
    said = cli("node", "provision", "p", "--protocol", "3x-ui")
    assert said.code == 2
    assert "--username NAME --password-stdin" in said.err
    panel.generation = OLD
    assert cli("node", "panel", "p", "--username", "admin", "--password-stdin", stdin="s3cret").code == 0
    assert cli("node", "provision", "p").code == 0


@pytest.mark.parametrize("panel", [ANCIENT, OLD, MIDDLE, NEW], indirect=True)
def test_a_wrong_password_is_said_and_nothing_is_saved(node, cli, panel):
    said = cli(
        "node", "panel", "p", "http://127.0.0.1:2053/abc", "--username", "admin", "--password-stdin", stdin="bad"
    )
    assert said.code == 10
    assert "does not let admin log in" in said.err
    assert "bad" not in said.err
    said = cli(
        "node", "panel", "p", "http://127.0.0.1:2053/abc", "--username", "admin", "--password-stdin", stdin="s3cret"
    )
    assert said.code == 0, said.err


def test_no_secret_of_a_panel_stands_in_an_event_or_a_list(served, cli, panel):
    add(cli)
    said = "".join(
        cli(*args).out for args in (("event", "list", "--json"), ("node", "show", "p"), ("node", "panel", "p"))
    )
    assert panel.token not in said
    assert mine(panel)["id"] not in said
    assert mine(panel)["subId"] not in said


@pytest.mark.parametrize("url", ["https://host:99999/", "https://[bad/", "http://127.0.0.1:2053/a?b"])
@pytest.mark.parametrize("name", ["p", "new"])
def test_an_address_that_is_none_is_said_to_be_none(node, cli, name, url):
    said = cli("node", "panel", name, url, "--token-stdin", stdin="x")
    assert said.code == 2
    assert "is not a panel's address" in said.err


def test_a_node_that_serves_something_itself_has_no_panel_beside_it(node, cli, fleet, panel):
    assert cli("node", "add", "fi", "root@fi.example.org", "--host-key-fp", _fp(), "--provision").code == 0
    said = cli("node", "panel", "fi", "http://127.0.0.1:2053/abc", "--token-stdin", stdin=panel.token)
    assert said.code == 5
    assert "fi-panel" in said.err


@pytest.mark.parametrize("token", ["tok\u0416en", "two words"])
def test_a_token_has_one_grammar(node, cli, token):
    said = cli("node", "panel", "p", "http://127.0.0.1:2053/abc", "--token-stdin", stdin=token)
    assert (said.code, "that is not a token" in said.err) == (2, True)
