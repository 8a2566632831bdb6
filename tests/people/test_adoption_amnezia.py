"""AmneziaWG servers that somebody else set up: their parameters, AmneziaVPN's folders and names, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vpnctl.errors import InvalidInput
from vpnctl.protocols import adopter, plugin

CASES = Path(__file__).parents[1] / "cases/foreign"


def adopt(run, folder, *more):
    return run("node", "adopt", "fi", "--from", str(folder), "--protocol", "amneziawg", *more)


@pytest.mark.parametrize(("case", "generation"), [("amnezia-1", "1.0"), ("amnezia-2", "2.0")])
def test_amneziavpns_folder_brings_key_port_parameters_and_names(service, fleet, case, generation):
    done = adopt(service, CASES / case)
    assert done.code == 0, done.err
    row = next(each for each in service("endpoint", "list", "fi", "--json").json if each["protocol"] == "amneziawg")
    assert (row["interface"], row["port"], row["generation"]) == ("awg0", 36911, generation)
    assert (row["pool_v4"], row["own_v4"]) == ("10.8.1.0/24", "10.8.1.0")
    people = service("user", "list", "--json").json
    assert {each["display_name"] for each in people} >= {"Admin [macOS 14]", "Мама"}
    file = fleet["fi.example.org"].files["/etc/amnezia/amneziawg/awg0.conf"][1].decode()
    was = next((CASES / case).glob("*.conf")).read_text()
    kept = [
        line
        for line in was.splitlines()
        if line.split(" = ")[0] in ("PrivateKey", "Address", "ListenPort", "Jc", "S1", "S2", "H1", "H4")
    ]
    assert [line for line in kept if line not in file] == []
    assert file.count("PresharedKey") >= 3, "one for all, as it was"
    again = adopt(service, CASES / case)
    assert (again.code, "nothing new was found" in again.err) == (0, True)


def test_a_preview_takes_nothing_over(service, fleet):
    writes = fleet["fi.example.org"].writes
    told = adopt(service, CASES / "amnezia-2", "--dry-run")
    assert told.code == 0
    assert "would be adopted: " in told.err
    assert fleet["fi.example.org"].writes == writes


def test_a_device_that_has_the_first_address_is_a_device_like_any_other(service):
    adopt(service, CASES / "amnezia-2")
    first = next(each for each in service("peer", "list", "--json").json if each["ipv4"] == "10.8.1.1")
    assert first["state"].startswith("active")
    service("user", "add", "carol")
    text = service("peer", "add", "carol/phone", "--node", "fi", "--protocol", "amneziawg").out
    assert "10.8.1.4/32" in text


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("[Peer]", "HeaderProtectionKey = x\n[Peer]"), "third generation"),
        (("H1 = 471800590-471800690\n", ""), "none of AmneziaWG's parameters"),
        (("H2 = 1246894907-1246895000", "H2 = 471800600"), "overlaps"),
        (("Jmax = 50", "Jmax = 10"), "jmax"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_what_to_do(change, why):
    text = (CASES / "amnezia-2/awg0.conf").read_text()
    with pytest.raises(InvalidInput) as found:
        adopter("amneziawg").parse(text.replace(*change, 1))
    assert why in found.value.what
    assert found.value.hint


def test_a_server_is_not_taken_for_one_of_another_protocol(service):
    wrong = service("node", "adopt", "fi", "--from", str(CASES / "amnezia-2"))
    assert (wrong.code, wrong.err.count("--protocol amneziawg")) == (2, 1), wrong.err
    with pytest.raises(InvalidInput, match="AmneziaWG"):
        adopter("wireguard").parse((CASES / "amnezia-2/awg0.conf").read_text())


@pytest.mark.parametrize("table", ["", "{}x", '[{"clientId": 1}]', "[7]"])
def test_a_table_that_makes_no_sense_is_refused(service, tmp_path, table):
    shutil.copytree(CASES / "amnezia-2", tmp_path / "amnezia")
    (tmp_path / "amnezia/clientsTable").write_text(table)
    said = adopt(service, tmp_path / "amnezia")
    assert said.code == 2
    assert "clientsTable" in said.err


def test_a_folder_without_a_servers_file_is_named(service, tmp_path):
    said = adopt(service, tmp_path)
    assert said.code == 2
    assert "awg0.conf" in said.err


def test_what_was_kept_of_it_is_nobodys_to_set_and_goes_with_no_successor():
    kind = plugin("amneziawg")
    with pytest.raises(InvalidInput):
        kind.checked({"own_v4": "10.8.1.0"})
    server = adopter("amneziawg").parse((CASES / "amnezia-2/awg0.conf").read_text())
    whole = kind.complete(adopter("amneziawg").options(server), [], []) | {"own_v4": "10.8.1.0"}
    assert "own_v4" not in kind.renewed(whole)
    assert "own_v4" not in kind.to_entry(whole)
