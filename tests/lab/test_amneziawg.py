"""AmneziaWG on a real server, with packets through the real amneziawg-go: the life of a device, a reboot, drift by hand."""

from __future__ import annotations

import pytest

from tests.conftest import cannot
from tests.lab import amneziawg, repository
from tests.lab.network import FAR_V4, FAR_V6

SET_BY_HAND = (
    "grep -vE '^(Address|MTU) = ' /etc/amnezia/amneziawg/awg0.conf | sed 's/^S1 = .*/S1 = 1/; s/^H2 = .*/H2 = 7/' |"
    " awg syncconf awg0 /dev/stdin"
)


@pytest.fixture
def disguised(operator, pool):
    """A server with WireGuard and AmneziaWG, and alice."""
    if amneziawg.why_not():
        cannot("AmneziaWG lab tests", amneziawg.why_not())
    node = operator.take("fi", pool[0])
    added = operator("endpoint", "add", "fi", "amneziawg")
    assert "serves amneziawg on awg0" in added.err
    operator("user", "add", "alice")
    return node


def test_a_device_lives_on_amneziawg_as_on_wireguard(operator, disguised, lab):
    phone = lab.client()
    config = operator("peer", "add", "alice/phone", "--protocol", "amneziawg").out
    assert "I1 = " in config
    phone.connect(config)
    assert phone.ping(FAR_V4, 20)
    assert phone.get(FAR_V4) == disguised.address
    assert phone.get(FAR_V6) == disguised.address6
    phone.upload(FAR_V4, 300_000)
    row = operator("peer", "list", "--live", "--json").json[0]
    assert (row["protocol"], row["online"], row["received"] > 300_000) == ("amneziawg", True, True)
    assert operator("peer", "verify", "alice/phone", "--json").json["handshake"] == "ok"
    operator("peer", "suspend", "alice/phone")
    assert phone.silent(FAR_V4)
    operator("peer", "resume", "alice/phone")
    assert phone.ping(FAR_V4, 30)
    new = operator("peer", "regen", "alice/phone").out
    assert phone.silent(FAR_V4)
    phone.connect(new)
    assert phone.ping(FAR_V4, 20)
    disguised.reboot()
    assert phone.ping(FAR_V4, 60), "after a reboot everything is as it was"
    operator("node", "check", "fi")
    operator("peer", "revoke", "alice/phone")
    assert phone.silent(FAR_V4)
    assert "PublicKey" not in disguised.sh("grep -A2 '# peer' /etc/amnezia/amneziawg/awg0.conf", check=False)
    phone.disconnect()


def test_parameters_that_were_changed_by_hand_are_named_and_put_right_and_others_feel_nothing(operator, disguised, lab):
    phone, laptop = lab.client(), lab.client()
    phone.connect(operator("peer", "add", "alice/phone", "--protocol", "amneziawg").out)
    laptop.connect(operator("peer", "add", "alice/laptop").out)
    assert phone.ping(FAR_V4, 20)
    assert laptop.ping(FAR_V4, 20)
    disguised.sh(SET_BY_HAND)
    said = operator("node", "check", "fi", code=4)
    assert "h2 is another one than in the file" in said.out
    assert "s1 is another one than in the file" in said.out
    with laptop.running_ping(FAR_V4) as log:
        operator("node", "sync", "fi")
    assert laptop.lost(log)[1] == 0, "WireGuard beside it goes on"
    assert phone.ping(FAR_V4, 30)
    operator("node", "check", "fi")
    phone.disconnect()
    laptop.disconnect()


def test_adding_and_removing_one_device_costs_another_no_packet(operator, disguised, lab):
    phone = lab.client()
    phone.connect(operator("peer", "add", "alice/phone", "--protocol", "amneziawg").out)
    assert phone.ping(FAR_V4, 20)
    with phone.running_ping(FAR_V4) as log:
        operator("user", "add", "bob")
        operator("peer", "add", "bob", "--protocol", "amneziawg")
        operator("peer", "revoke", "bob")
    sent, lost = phone.lost(log)
    assert sent > 10
    assert lost == 0
    phone.disconnect()


def test_the_first_generation_is_upgraded_beside_itself_and_nobody_is_cut(operator, disguised, lab):
    operator("endpoint", "remove", "fi", "awg0", "--yes")
    operator("endpoint", "add", "fi", "amneziawg", "--option", "generation=1.0")
    phone = lab.client()
    phone.connect(operator("peer", "add", "alice/phone", "--protocol", "amneziawg").out)
    assert phone.ping(FAR_V4, 20)
    operator("endpoint", "upgrade", "fi", "awg0")
    new = operator("user", "migrate", "alice", "--to", "fi", "--endpoint", "awg1").out
    assert phone.ping(FAR_V4, 5), "the old file works until the new one connected"
    phone.disconnect()
    phone.connect(new)
    assert phone.ping(FAR_V4, 20)
    operator("jobs", "run", "sync")
    assert [row["state"] for row in operator("peer", "list", "--json").json] == ["active"]
    operator("endpoint", "remove", "fi", "awg0", "--yes")
    assert phone.ping(FAR_V4, 5)
    operator("node", "check", "fi")
    phone.disconnect()


@pytest.fixture
def lacking(operator, disguised, pool, tmp_path):
    """A second server whose sources have no AmneziaWG, and its makers' repository in a folder there; it gets all back."""
    other = operator.take("de", pool[1])
    other.sh("apt-get -qq -y purge amneziawg-tools >/dev/null 2>&1; cp -a /srv/apt /srv/kept", check=False)
    other.sh("sed -i 's/^Package: amneziawg-tools/Package: something-else/' /srv/apt/Packages")
    deb = next((other.root / "srv/apt").glob("amneziawg-tools_*.deb"))
    fingerprint = repository.make(other.root / "srv/makers", deb, "jammy", tmp_path / "gpg")
    operator.more["VPNCTL_AMNEZIAWG_REPOSITORY"] = f"file:///srv/makers file:///srv/makers/key.asc {fingerprint}"
    yield other
    ours = "/etc/apt/keyrings/vpnctl-* /etc/apt/sources.list.d/vpnctl-* /etc/apt/preferences.d/vpnctl-*"
    other.sh(f"rm -rf /srv/makers /srv/apt {ours} && mv /srv/kept /srv/apt && apt-get -qq update")


def test_a_server_without_the_packages_gets_them_from_their_makers_whose_key_is_pinned(operator, lacking, lab):
    operator("endpoint", "add", "de", "amneziawg")
    phone = lab.client()
    phone.connect(operator("peer", "add", "alice/tablet", "--node", "de", "--protocol", "amneziawg").out)
    assert phone.ping(FAR_V4, 20)
    phone.disconnect()
    said = lacking.sh("apt-cache policy amneziawg-tools")
    assert "1 file:/srv/makers jammy/main" in said, said
    operator("node", "check", "de")


def test_a_repository_brings_only_what_it_is_there_for(operator, lacking):
    other = lacking.root / "srv/makers/dists/jammy/main/binary-amd64/Packages"
    assert other.exists()
    operator("endpoint", "add", "de", "amneziawg")
    pin = (lacking.root / "etc/apt/preferences.d/vpnctl-amneziawg").read_text()
    assert pin.endswith("Package: *\nPin: release o=LP-PPA-amnezia\nPin-Priority: 1\n")
    said = lacking.sh("apt-cache policy")
    assert "   1 file:/srv/makers jammy/main amd64 Packages" in said, said


@pytest.mark.parametrize("whose", ["another", "one more"])
def test_another_key_than_the_pinned_one_is_not_trusted_and_wireguard_serves_on(
    operator, lacking, lab, tmp_path, whose
):
    public = lacking.root / "srv/makers/key.asc"
    good = public.read_text()
    repository.key(tmp_path / "other", public)
    if whose == "one more":
        public.write_text(good + public.read_text())
    said = operator("endpoint", "add", "de", "amneziawg", code=3)
    assert "is not the key" in said.err
    assert "amneziawg_repository" in said.err
    assert "No such file" in lacking.sh("ls /etc/apt/sources.list.d/vpnctl-amneziawg.sources 2>&1", check=False)
    phone = lab.client()
    phone.connect(operator("peer", "add", "alice/phone", "--node", "de", code=3).out)
    assert phone.ping(FAR_V4, 20), "the endpoint that is up serves"
    phone.disconnect()
    operator("endpoint", "remove", "de", "awg0", "--yes")
    operator("node", "check", "de")


def test_a_repository_that_lacks_the_package_is_taken_away_again(operator, lacking):
    packages = lacking.root / "srv/makers/dists/jammy"
    packages.rename(packages.with_name("focal"))
    said = operator("endpoint", "add", "de", "amneziawg", code=3)
    assert "does not bring amneziawg-tools for jammy" in said.err
    assert "No such file" in lacking.sh("ls /etc/apt/sources.list.d/vpnctl-amneziawg.sources 2>&1", check=False)


def test_a_server_whose_programs_are_too_old_is_told_so_before_anything_is_applied(operator, disguised, lab):
    phone = lab.client()
    phone.connect(operator("peer", "add", "alice/phone", "--protocol", "amneziawg").out)
    assert phone.ping(FAR_V4, 20)
    said = operator("endpoint", "add", "fi", "amneziawg", "--option", "generation=3.1", code=3)
    assert "the tools of amneziawg on this server do not know headerprotectionkey" in said.err.lower()
    assert "HeaderProtectionKey = " not in said.err
    assert not (disguised.root / "etc/amnezia/amneziawg/awg1.conf").exists()
    assert disguised.sh("ip link show vpnctl-try 2>&1", check=False).count("does not exist") == 1
    assert phone.ping(FAR_V4, 20), "nobody else felt it"
    operator("endpoint", "remove", "fi", "awg1", "--yes")
    operator("node", "check", "fi")
