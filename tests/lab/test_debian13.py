"""The main job on Debian 13, whose tools are newer in everything that we lean on (bash, nftables, systemd, apt 3)."""

from __future__ import annotations

from tests.lab import image
from tests.lab.network import FAR_V4, FAR_V6


def test_the_main_job_on_debian_13(operator, lab):
    node = lab.node(suite=image.NEXT)
    assert "trixie" in node.sh("cat /etc/os-release")
    try:
        operator.take("se", node)
        assert "not among the systems" not in operator("node", "provision", "se").err
        operator("user", "add", "alice", "bob")
        client, other = lab.client(), lab.client()
        client.connect(operator("peer", "add", "alice").out)
        other.connect(operator("peer", "add", "bob").out)
        assert client.ping(FAR_V4, 20)
        assert client.get(FAR_V6) == node.address6
        operator("peer", "suspend", "alice")
        assert client.silent(FAR_V4)
        operator("peer", "resume", "alice")
        assert client.ping(FAR_V4, 30)
        client.connect(operator("peer", "regen", "alice").out)
        assert client.ping(FAR_V4, 20)
        node.sh("ip addr flush dev wg0; nft flush ruleset")
        assert "missing address" in operator("node", "check", "se", code=4).out
        operator("node", "sync", "se")
        assert other.ping(FAR_V4, 20)
        node.reboot()
        operator("node", "check", "se")
        assert client.ping(FAR_V4, 30)
        operator("peer", "revoke", "alice")
        assert client.silent(FAR_V4)
        assert other.ping(FAR_V4, 20), "others are not cut"
        operator("node", "retire", "se", "--revoke-peers", "--yes")
        assert node.sh("ls -A /etc/wireguard; ls -A /etc/vpnctl 2>/dev/null", check=False).strip() == ""
    finally:
        node.destroy()
        lab.nodes.remove(node)
