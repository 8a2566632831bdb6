"""The main job on real servers with real packets."""

from __future__ import annotations

import pytest

from tests.lab.network import FAR_V4, FAR_V6


@pytest.fixture
def phone(lab):
    client = lab.client()
    yield client
    client.disconnect()


def connect(phone, config):
    phone.connect(config)
    assert phone.ping(FAR_V4, 20)


def test_a_second_provision_changes_nothing(served, fi):
    before = fi.sh(
        "cat /var/lib/vpnctl/token; stat -c '%n %Y %i' /etc/wireguard/* /etc/vpnctl/* /etc/sysctl.d/60-vpnctl.conf"
    )
    assert served("node", "provision", "fi", "--json").json["changed"] is False
    assert (
        fi.sh(
            "cat /var/lib/vpnctl/token; stat -c '%n %Y %i' /etc/wireguard/* /etc/vpnctl/* /etc/sysctl.d/60-vpnctl.conf"
        )
        == before
    )


def test_a_dry_run_of_provision_on_a_bare_server_writes_nothing(operator, pool):
    node = pool[0]
    operator(
        "node", "add", "bare", f"root@{node.address}", "--host-key-fp", node.fingerprint(), "--identity", str(node.key)
    )
    shown = operator("node", "provision", "bare", "--dry-run")
    assert "write /etc/wireguard/wg0.conf (missing)" in shown.out
    assert node.sh("ls -d /etc/wireguard/* /etc/vpnctl /var/lib/vpnctl 2>/dev/null", check=False).strip() == ""
    assert operator("endpoint", "list").out == ""


def test_a_delivered_config_carries_packets_of_both_families_translated(served, fi, phone):
    served("user", "add", "alice")
    connect(phone, served("peer", "add", "alice", "--node", "fi").out)
    assert phone.get(FAR_V4) == fi.address
    assert phone.get(FAR_V6) == fi.address6
    listed = served("peer", "list", "--live", "--json").json[0]
    assert listed["online"] is True
    assert listed["received"] > 0
    assert listed["sent"] > 0


def test_clients_are_kept_from_each_other_unless_told(served, lab):
    served("user", "add", "alice", "bob")
    one, two = lab.client(), lab.client()
    one.connect(served("peer", "add", "alice", "--node", "fi").out)
    two.connect(served("peer", "add", "bob", "--node", "fi").out)
    assert one.ping(FAR_V4, 20)
    assert two.ping(FAR_V4, 20)
    other = served("peer", "show", "bob", "--json").json["ipv4"]
    assert one.silent(other)
    served("endpoint", "set", "fi", "wg0", "--no-isolation")
    assert one.ping(other, 20)
    one.disconnect()
    two.disconnect()


def test_suspend_cuts_resume_restores_and_revoke_ends_it(served, fi, phone):
    served("user", "add", "alice")
    connect(phone, served("peer", "add", "alice", "--node", "fi").out)
    served("peer", "suspend", "alice")
    assert phone.silent(FAR_V4)
    served("peer", "resume", "alice")
    assert phone.ping(FAR_V4, 30)
    said = served("peer", "revoke", "alice")
    assert "checked: no longer on fi" in said.err
    assert phone.silent(FAR_V4)
    assert fi.people() == set()
    assert "AllowedIPs" not in fi.sh("cat /etc/wireguard/wg0.conf"), "only our probe is left"


def test_regen_cuts_the_old_key_at_once_and_keeps_the_address(served, fi, phone):
    served("user", "add", "alice")
    connect(phone, served("peer", "add", "alice", "--node", "fi").out)
    before = served("peer", "show", "alice", "--json").json
    config = served("peer", "regen", "alice").out
    assert phone.silent(FAR_V4)
    connect(phone, config)
    after = served("peer", "show", "alice", "--json").json
    assert after["ipv4"] == before["ipv4"]
    assert after["public_key"] != before["public_key"]


def test_regen_with_overlap_keeps_both_until_the_first_handshake(served, lab):
    served("user", "add", "alice")
    old, new = lab.client(), lab.client()
    old.connect(served("peer", "add", "alice", "--node", "fi").out)
    assert old.ping(FAR_V4, 20)
    config = served("peer", "regen", "alice", "--overlap").out
    assert old.ping(FAR_V4)
    new.connect(config)
    assert new.ping(FAR_V4, 20)
    served("jobs", "run", "sync")
    assert old.silent(FAR_V4)
    assert new.ping(FAR_V4)
    assert len(served("peer", "list", "--json").json) == 1
    old.disconnect()
    new.disconnect()


def test_a_migration_makes_before_it_breaks(served, lab, fi, de):
    served("user", "add", "alice")
    old, new = lab.client(), lab.client()
    old.connect(served("peer", "add", "alice", "--node", "fi").out)
    assert old.ping(FAR_V4, 20)
    with old.running_ping(FAR_V4) as log:
        config = served("user", "migrate", "alice", "--to", "de").out
        again = served("user", "migrate", "alice", "--to", "de").out
        assert again == config, "run again, the same successor: no duplicate"
    assert old.lost(log)[1] == 0, "running traffic sees no gap before the switch"
    new.connect(config)
    assert new.ping(FAR_V4, 20)
    assert new.get(FAR_V4) == de.address
    served("jobs", "run", "sync")
    assert old.silent(FAR_V4)
    assert [row["node"] for row in served("peer", "list", "--json").json] == ["de"]
    assert fi.people() == set()
    old.disconnect()
    new.disconnect()


def test_other_peoples_packets_are_not_lost_by_a_change_among_200(served, lab, fi):
    names = "\n".join(f"u{number}" for number in range(200))
    served("user", "add", "--from", "-", stdin=names)
    served("peer", "add", "--from", "-", "--node", "fi", "--out", str(served.home / "configs"), stdin=names)
    watcher = lab.client()
    watcher.connect((served.home / "configs/u0.conf").read_text())
    assert watcher.ping(FAR_V4, 20)
    served("user", "add", "late")
    with watcher.running_ping(FAR_V4, 0.004) as log:
        served("peer", "add", "late", "--node", "fi")
        served("peer", "regen", "u8")
        served("peer", "revoke", "u9")
        for _ in range(10):  # a whole sync loses one of these pings in about fifteen changes
            served("peer", "suspend", "u7")
            served("peer", "resume", "u7")
    sent, lost = watcher.lost(log)
    assert sent > 500
    assert lost == 0
    assert len(fi.people()) == 200
    watcher.disconnect()


def test_after_a_reboot_everything_is_as_before(served, fi, phone):
    served("user", "add", "alice")
    connect(phone, served("peer", "add", "alice", "--node", "fi").out)
    fi.reboot()
    assert phone.ping(FAR_V4, 40)
    assert served("node", "check", "fi").code == 0


def test_a_node_that_is_off_during_revoke_cuts_when_it_is_back(served, fi, phone):
    served("user", "add", "alice")
    connect(phone, served("peer", "add", "alice", "--node", "fi").out)
    fi.power_loss()
    said = served("peer", "revoke", "alice", code=3)
    assert "pending on fi" in said.err
    assert "not seen cut on fi yet" in served("status").out
    assert [row["state"] for row in served("peer", "list", "--json").json] == ["revoked, cut pending"]
    fi.up()
    served("jobs", "run", "sync")
    assert phone.silent(FAR_V4)
    assert "! fi" not in served("status").out


def test_a_key_of_the_user_works_without_our_ever_seeing_the_private_one(served, lab, phone):
    from tests.lab.host import run

    private = run("wg", "genkey").strip()
    public = run("wg", "pubkey", stdin=private).strip()
    served("user", "add", "alice")
    config = served("peer", "add", "alice", "--node", "fi", "--public-key", public).out
    assert "# PrivateKey = " in config
    connect(phone, config.replace("# PrivateKey = ", f"PrivateKey = {private}"))


def test_a_blocked_user_is_out_everywhere_and_comes_back_with_the_same_config(served, lab):
    served("user", "add", "alice")
    one, two = lab.client(), lab.client()
    one.connect(served("peer", "add", "alice", "--node", "fi", "--device", "phone").out)
    two.connect(served("peer", "add", "alice", "--node", "de", "--device", "laptop").out)
    assert one.ping(FAR_V4, 20)
    assert two.ping(FAR_V4, 20)
    served("user", "block", "alice")
    assert one.silent(FAR_V4)
    assert two.silent(FAR_V4)
    served("user", "unblock", "alice")
    assert one.ping(FAR_V4, 30)
    assert two.ping(FAR_V4, 30)
    one.disconnect()
    two.disconnect()


def test_retire_removes_what_we_installed(operator, pool):
    node = operator.take("gone", pool[0])
    operator("node", "retire", "gone", "--yes")
    left = node.sh(
        "ls -d /etc/wireguard/wg0.conf /etc/vpnctl /var/lib/vpnctl /etc/systemd/system/vpnctl* 2>/dev/null", check=False
    )
    assert left == ""
    assert "vpnctl" not in (node.root / "root/.ssh/authorized_keys").read_text()
    assert node.sh("wg show interfaces").strip() == ""
    operator("node", "sync", "gone", code=5)
