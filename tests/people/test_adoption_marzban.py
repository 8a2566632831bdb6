"""Marzban's Xray: its inbound of VLESS with REALITY becomes an endpoint, its users' links stay."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from vpnctl.errors import InvalidInput
from vpnctl.protocols import adopter, plugin
from vpnctl.protocols.interface import EndpointSpec, PeerSpec

CASE = Path(__file__).parents[1] / "cases/foreign/marzban"


@pytest.fixture
def folder(tmp_path):
    """Marzban's data as it lies in its folder."""
    found = tmp_path / "marzban"
    found.mkdir()
    shutil.copy(CASE / "xray_config.json", found)
    with closing(sqlite3.connect(found / "db.sqlite3")) as connection:
        connection.executescript((CASE / "db.sql").read_text())
    return found


def adopt(run, folder, *more):
    return run("--json", "node", "adopt", "fi", "--from", str(folder), "--protocol", "xray", *more)


def test_a_preview_tells_who_would_become_a_device_and_who_not(service, folder):
    told = service("node", "adopt", "fi", "--from", str(folder), "--protocol", "xray", "--dry-run")
    assert "would be adopted: reza/main, sara/main" in told.err
    assert "stays a stranger: its flow is not xtls-rprx-vision" in told.err
    assert "limits that were set elsewhere end for reza/main" in told.err


def test_the_links_that_people_have_are_what_they_would_get_now(service, folder):
    adopt(service, folder)  # the in-memory server installs no Xray; the real one does: tests/lab/test_adoption.py
    (row,) = [each for each in service("endpoint", "list", "fi", "--json").json if each["protocol"] == "xray"]
    assert (row["interface"], row["port"], row["inbound"]) == ("xr0", 8443, "reality")
    assert (row["target"], row["server_name"], row["short_id"]) == ("tgju.org:443", "tgju.org", "6ba85179e30d4fc2")
    link = service("peer", "config", "reza/main").out
    assert "0c5e1c3a-5c0e-4f6f-9a76-2f6a4bb8a001@fi.example.org:8443" in link
    assert "sid=6ba85179e30d4fc2" in link
    states = {each["user"]: each["state"] for each in service("peer", "list", "--json").json}
    assert states["sara"].startswith("suspended")
    assert set(states) == {"reza", "sara"}
    assert len(adopt(service, folder).json["peers"]) == 0, "run again, nobody is new"


def test_the_key_is_the_one_that_clients_know():
    server = adopter("xray").parse((CASE / "xray_config.json").read_text())
    spec = EndpointSpec(
        "e", "xr0", server.port, plugin("xray").complete(server.options, [], []), "none", server.identity, server.secret
    )
    kept = json.loads((CASE / "xray_config.json").read_text())["inbounds"][1]["streamSettings"]["realitySettings"][
        "privateKey"
    ]
    wanted = plugin("xray").wanted(spec, [PeerSpec("p", "p-1", None)][:0], [], frozenset())
    assert kept in wanted.config.text.reveal() + "".join(file.text.reveal() for file in wanted.files)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('"serverNames": [', '"serverNames": ["a.org", '), "2 server names"),
        (('"reality"', '"tls"'), "has 0 inbounds"),
        (('"6ba85179e30d4fc2"', '""'), "cannot be kept: short_id"),
        (('"privateKey": "', '"privateKey": "!'), "no config of Xray's"),
        (('"port": 8443', '"port": 0'), "port"),
        (("{", "[", ), "no config of Xray's"),
    ],
)  # fmt: skip
def test_an_inbound_that_cannot_be_kept_is_refused(change, why):
    text = (CASE / "xray_config.json").read_text().replace(*change, 1)
    with pytest.raises(InvalidInput) as found:
        adopter("xray").parse(text)
    assert why in found.value.what
    assert found.value.hint


def test_a_database_alone_or_a_foreign_one_is_refused(service, folder):
    assert adopt(service, folder / "db.sqlite3").code == 2
    with closing(sqlite3.connect(folder / "db.sqlite3")) as connection:
        connection.executescript("DROP TABLE proxies")
    assert adopt(service, folder).code == 2
    assert [each["protocol"] for each in service("endpoint", "list", "fi", "--json").json] == ["wireguard"]
