"""What tests of a panel do with people, and where they look for them."""

from __future__ import annotations

import pytest

from tests.support.panel import GENERATIONS

HOST = "p.example.org"


every = pytest.mark.parametrize("panel", GENERATIONS, indirect=True)


def get_in(cli, panel):
    """Tell where the panel is, by the means that this generation has."""
    url = "http://127.0.0.1:2053/abc/"
    if panel.csrf:
        said = cli("node", "panel", "p", url, "--token-stdin", stdin=panel.token)
    else:
        said = cli("node", "panel", "p", url, "--username", "admin", "--password-stdin", stdin="s3cret")
    assert said.code == 0, said.err
    return said


def add(cli, name="alice", *more):
    said = cli("peer", "add", name, *more)
    assert said.code == 0, said.err
    return said.out.strip()


def mine(panel, number=3):
    """Return our only client in an inbound."""
    (found,) = [each for email, each in panel.clients(number).items() if email.startswith("p-")]
    return found


def mine_of(cli, panel, user):
    row = next(each for each in cli("peer", "list", "--json").json if each["user"] == user)
    return panel.clients(3)[row["public_key"]]


def mine_there(cli, panel, user):
    row = next(each for each in cli("peer", "list", "--json").json if each["user"] == user)
    return panel.clients(4)[row["public_key"]]


def seen_absent(cli):
    return [each for each in cli("event", "list", "--json").json if each["verb"] == "peer.seen_absent"]
