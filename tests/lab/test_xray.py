"""Xray on real servers: every kind of endpoint with clients of three makers, the cut, and what goes wrong there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import cannot
from tests.lab import cores
from tests.lab.conftest import Operator, wipe
from tests.lab.host import run as on_host
from tests.lab.network import BLOB, FAR_V4, SITE
from tests.lab.phones import Phone

FACE = (f"target={FAR_V4}:443", f"server_name={SITE}")
TLS = (f"server_name={SITE}", "certificate=/etc/ssl/site.pem", "certificate_key=/etc/ssl/site.pem")
KINDS = {
    "reality": FACE, "xhttp": FACE, "ws": TLS, "raw": TLS, "vmess-ws": TLS, "vmess-raw": (), "trojan": TLS, "shadowsocks": (),
}  # fmt: skip


@pytest.fixture(scope="module")
def service(lab, booted, tmp_path_factory):
    """An operator with one node that serves every kind of Xray endpoint, from port 443 on, and dave on each of them."""
    if cores.why_not():
        cannot("Xray lab tests", cores.why_not())
    operator = Operator(tmp_path_factory.mktemp("xray"), more={"VPNCTL_XRAY_ARCHIVE": cores.setting(lab.base)})
    operator("init", "--yes")
    node = operator.take("fi", booted[0])
    (node.root / "etc/ssl/site.pem").write_text(lab.certificate.read_text())
    operator("user", "add", "dave", "bob")
    operator("user", "add", "nobody", "--limited")
    inventory = yaml.safe_load(operator("inventory", "export").out)
    for number, (kind, more) in enumerate(KINDS.items()):
        given = dict(each.split("=", 1) for each in (f"inbound={kind}", "private_networks=allow", *more))
        entry = {"protocol": "xray", "interface": f"xr{number}", "port": 443 + number, **given}
        inventory["nodes"][0]["endpoints"].append(entry)
    path = tmp_path_factory.mktemp("inventory") / "i.yaml"
    path.write_text(yaml.safe_dump(inventory))
    operator("inventory", "apply", str(path), "--yes")
    operator("node", "sync", "fi")
    for number, kind in enumerate(KINDS):
        operator("peer", "add", f"dave/{kind}", "--node", "fi", "--endpoint", f"xr{number}")
    yield operator
    wipe(node)


@pytest.fixture
def fi(service):
    return service.nodes["fi"]


def inside(client, lab, *argv, **more):
    env = {**os.environ, "SSL_CERT_FILE": str(lab.certificate)}
    return subprocess.Popen(
        ["ip", "netns", "exec", client.namespace, *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=env,
        **more,
    )


def seen_through(client, port):
    """Return the address that the far side saw; empty when nothing came within ten seconds."""
    end = time.monotonic() + 10
    ask = ("curl", "-sS", "-m3", "--socks5-hostname", f"127.0.0.1:{port}", f"http://{FAR_V4}/")
    while True:
        done = subprocess.run(
            ["ip", "netns", "exec", client.namespace, *ask], capture_output=True, text=True, check=False
        )
        if done.returncode == 0 or time.monotonic() > end:
            return done.stdout
        time.sleep(0.2)


def config_of(service, kind, core, path):
    """Write what such a core reads to connect as dave on that kind; return (arguments, port), or None where it cannot."""
    if core == "xray":
        path.write_text(service("peer", "config", f"dave/{kind}", "--form", "json").out)
        return ("run", "-format", "json", "-config", str(path)), 10808
    text = service("user", "link", "dave", "--format", core).out
    if core == "mihomo":
        whole = yaml.safe_load(text)
        names = [each["name"] for each in whole["proxies"] if each["name"].endswith(f" {kind}")]
        whole["proxy-groups"][0]["proxies"] = names
        path.write_text(json.dumps(whole))
        return (("-d", str(path.parent), "-f", str(path)), 7890) if names else None
    whole = json.loads(text)
    names = [each["tag"] for each in whole["outbounds"] if each["tag"].endswith(f" {kind}")]
    whole["inbounds"] = whole["inbounds"][1:]  # a tun would take this machine's own traffic
    whole["outbounds"][0]["outbounds"] = names
    whole["route"].pop("auto_detect_interface")
    path.write_text(json.dumps(whole))
    return (("run", "-c", str(path)), 2080) if names else None


@pytest.mark.parametrize("core", ("xray", "mihomo", "sing-box"))
def test_every_kind_carries_traffic_of_a_client_of_that_maker(service, lab, core, tmp_path):
    client = lab.client()
    tool = lab.base / cores.TOOLS / core
    carried = set()
    for kind in KINDS:
        found = config_of(service, kind, core, tmp_path / f"{kind}.json")
        if found is None:
            continue
        arguments, port = found
        running = inside(client, lab, str(tool), *arguments)
        try:
            assert seen_through(client, port) == service.nodes["fi"].address, f"{core} over {kind}"
        finally:
            running.terminate()
            running.wait()
        carried.add(kind)
    assert carried == set(KINDS) - (set() if core == "xray" else {"xhttp"})


HOLD = """
import socket, time
held = socket.create_connection(("127.0.0.1", 10808))
held.sendall(b"\\x05\\x01\\x00"); held.recv(2)
held.sendall(b"\\x05\\x01\\x00\\x01" + socket.inet_aton("%s") + (80).to_bytes(2, "big")); held.recv(10)
held.sendall(b"GET "); time.sleep(60)
"""


def heard_of(service, kind):
    rows = service("peer", "list", "--user", "dave", "--live", "--json").json
    return next(row["handshake_at"] for row in rows if row["device"] == kind)


def test_somebody_who_has_a_connection_open_is_online_though_nothing_passes(service, lab, tmp_path):
    client, kind = lab.client(), "reality"
    arguments, port = config_of(service, kind, "xray", tmp_path / "idle.json")
    running = inside(client, lab, str(lab.base / cores.TOOLS / "xray"), *arguments)
    try:
        assert seen_through(client, port)
        holding = inside(client, lab, sys.executable, "-c", HOLD % FAR_V4)
        time.sleep(2)
        heard_of(service, kind)
        time.sleep(1)
        first = heard_of(service, kind)
        time.sleep(2)
        assert heard_of(service, kind) > first
        holding.kill()
        holding.wait()
    finally:
        running.terminate()
        running.wait()
    time.sleep(1)
    heard_of(service, kind)
    gone = heard_of(service, kind)
    time.sleep(1)
    assert heard_of(service, kind) == gone, "once gone, nothing new is heard"


@pytest.mark.parametrize(("form", "check"), [("mihomo", ("-t", "-f")), ("sing-box", ("check", "-c")), ("xray", ())])
def test_what_a_link_says_is_what_that_core_reads(service, lab, form, check, tmp_path):
    tool = str(lab.base / cores.TOOLS / form)
    for person in ("dave", "nobody"):
        text = service("user", "link", person, "--format", form).out
        parts = [json.dumps(each) for each in json.loads(text)] if form == "xray" else [text]
        for number, part in enumerate(parts):
            path = tmp_path / f"{person}{number}.json"
            path.write_text(part)
            arguments = check or ("run", "-test", "-format", "json", "-config")
            done = subprocess.run([tool, *arguments, str(path)], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


def test_a_killed_core_comes_back_with_everybody_and_no_traffic_is_lost_or_invented(service, fi, lab):
    phone = Phone(lab.client(), "dave/reality")
    phone.connect(service, "xray")
    phone.upload(500_000)
    service("jobs", "run", "usage")
    before = traffic_of(service, "reality")
    fi.sh("kill -9 $(systemctl show -p MainPID --value vpnctl-xray@xr0)")
    assert phone.reaches()
    phone.upload(400_000)
    service("jobs", "run", "usage")
    after = traffic_of(service, "reality")
    assert 400_000 <= after - before < 450_000
    phone.disconnect()


def traffic_of(service, device):
    return next(row["received"] for row in service("peer", "list", "--json").json if row["device"] == device)


def test_who_was_added_by_hand_is_named_kept_and_counted_as_nobody(service, fi):
    add = (
        '{ echo \'{"inbounds": [\'; sed -n \'/^{"tag": "xr5"/p\' /etc/vpnctl/xray/xr5.json;'
        ' echo \'{"email": "guest", "id": "11111111-2222-4333-8444-555555555555"}\'; echo \'], "decryption": "none"}}]}\'; }'
        " | /usr/local/bin/xray api adu --server=unix:///run/vpnctl-xr5/api stdin:"
    )
    assert "Added 1 user" in fi.sh(add)
    said = service("node", "check", "fi", code=4)
    assert "alien peer xr5 guest" in said.out
    service("node", "sync", "fi")
    assert '"guest"' in fi.sh("cat /etc/vpnctl/xray/xr5.json"), "what is not ours is kept"
    service("node", "check", "fi")


def test_a_target_that_does_not_answer_is_refused_before_anything_is_changed(service, fi):
    before = fi.sh("sha256sum /etc/vpnctl/xray/xr0.json; systemctl show -p MainPID vpnctl-xray@xr0")
    said = service("endpoint", "set", "fi", "xr0", "--option", f"target={FAR_V4}:81", "--yes", code=3)
    assert "does not answer with TLS 1.3" in said.err
    assert fi.sh("sha256sum /etc/vpnctl/xray/xr0.json; systemctl show -p MainPID vpnctl-xray@xr0") == before
    service("endpoint", "set", "fi", "xr0", "--option", f"target={FAR_V4}:443", "--yes")
    service("node", "check", "fi")


def test_a_target_that_died_is_named_with_what_to_type(service, fi):
    fi.sh(f"nft add table inet lab; nft add chain inet lab out '{{ type filter hook output priority 0; }}'; nft add rule inet lab out ip daddr {FAR_V4} tcp dport 443 reject")  # fmt: skip
    try:
        said = service("node", "check", "fi", code=4)
        assert "packets do not pass xr0 (the site whose face it borrows does not answer" in said.out
        assert "vpnctl endpoint set fi xr0 --option target=HOST:443" in said.out
    finally:
        fi.sh("nft delete table inet lab")
    service("node", "check", "fi")


def test_an_archive_with_another_checksum_is_not_installed(service, fi):
    fi.sh("mv /usr/local/bin/xray /usr/local/bin/kept")
    try:
        good = service.more["VPNCTL_XRAY_ARCHIVE"]
        service.more["VPNCTL_XRAY_ARCHIVE"] = f"{good.partition('#')[0]}#sha256={'0' * 64}"
        said = service("node", "sync", "fi", code=3)
        assert "its checksum differs" in said.err
        assert "No such file" in fi.sh("ls /usr/local/bin/xray 2>&1", check=False)
        service.more["VPNCTL_XRAY_ARCHIVE"] = good
    finally:
        fi.sh("mv /usr/local/bin/kept /usr/local/bin/xray")
    service("node", "sync", "fi")


def test_a_certificate_that_ends_soon_is_named(service, fi, lab):
    short = fi.sh(f"openssl req -x509 -days 3 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /dev/null -subj /CN={SITE} 2>/dev/null")  # fmt: skip
    path = fi.root / "etc/ssl/site.pem"
    whole = path.read_text()
    try:
        path.write_text(short)
        said = service("node", "check", "fi", code=4)
        assert re.search(r"certificate ends xr2 \(in [23] days\)", said.out)
    finally:
        path.write_text(whole)
    service("node", "check", "fi")


FORGET = "PATH=/usr/local/bin:$PATH; sleep() { command sleep 0.3; }; export -f sleep; timeout 4 bash /etc/vpnctl/xray/xr0.sessions xray xr0 443"
"""The loop that runs each minute, faster."""


def test_who_was_connected_is_forgotten_and_who_is_can_still_be_cut(service, fi, lab):
    phone = Phone(lab.client(), "dave/reality")
    phone.connect(service, "xray")
    assert phone.get() == fi.address
    with phone.uploading() as running:
        fi.sh(FORGET, check=False)
        kept = fi.sh("cat /run/vpnctl-cores/xr0.kept").splitlines()
        assert len(kept) == 1, "the upload alone"
        assert "email:" not in fi.sh("cat /run/vpnctl-xr0/access")
        service("peer", "suspend", "dave/reality")
        assert running.wait(2) != 0
    fi.sh(FORGET, check=False)
    assert fi.sh("cat /run/vpnctl-cores/xr0.kept") == ""
    service("peer", "resume", "dave/reality")
    assert phone.reaches()
    phone.disconnect()


@pytest.mark.parametrize("kind", ["xhttp", "ws", "raw", "vmess-raw", "trojan", "shadowsocks"])
def test_who_is_cut_loses_what_is_open_on_every_kind_whatever_origin_is_claimed(service, fi, lab, kind, tmp_path):
    client = lab.client()
    config = json.loads(service("peer", "config", f"dave/{kind}", "--form", "json").out)
    stream = config["outbounds"][0].get("streamSettings", {})
    for network in ("wsSettings", "xhttpSettings"):
        if network in stream:
            stream[network]["headers"] = {"X-Forwarded-For": "203.0.113.9"}
    path = tmp_path / "claims.json"
    path.write_text(json.dumps(config))
    core = inside(client, lab, str(lab.base / cores.TOOLS / "xray"), "run", "-format", "json", "-config", str(path))
    body = tmp_path / "body"
    body.write_bytes(bytes(100_000_000))
    try:
        assert seen_through(client, 10808) == fi.address
        send = (
            "-m60",
            "--limit-rate",
            "1M",
            "--socks5-hostname",
            "127.0.0.1:10808",
            "-T",
            str(body),
            f"http://{FAR_V4}/",
        )
        running = inside(client, lab, "curl", "-sS", *send)
        time.sleep(1.5)
        assert running.poll() is None
        service("peer", "suspend", f"dave/{kind}")
        assert running.wait(2) != 0
    finally:
        core.terminate()
        core.wait()
        service("peer", "resume", f"dave/{kind}")


PEOPLE = 200
DOWNLOADS = Path(__file__).with_name("downloads.py")


def test_one_of_two_hundred_is_cut_and_all_other_downloads_arrive_whole(service, fi, lab, tmp_path):
    """All of them from one address, each with a connection of its own."""
    names = [f"crowd-{number}" for number in range(PEOPLE)]
    names_file = tmp_path / "names"
    names_file.write_text("".join(f"{name}\n" for name in names))
    service("user", "add", "--from", str(names_file))
    service(
        "peer", "add", "--from", str(names_file), "--node", "fi", "--endpoint", "xr0", "--out", str(tmp_path / "all")
    )
    links = {name: (tmp_path / "all" / f"{name}.txt").read_text().strip() for name in names}
    client = lab.client()
    # What a machine has received already arrives, cut or not: with the usual buffers that is all of it.
    small = [f"net.ipv4.tcp_{each}mem=4096 32768 65536" for each in "rw"]
    on_host("ip", "netns", "exec", client.namespace, "sysctl", "-qw", *small)
    crowd = tmp_path / "crowd.json"
    crowd.write_text(json.dumps(crowded(links)))
    core = inside(client, lab, str(lab.base / cores.TOOLS / "xray"), "run", "-format", "json", "-config", str(crowd))
    results = tmp_path / "results.json"
    try:
        assert seen_through(client, 20000) == fi.address
        before = fi.sh("systemctl show -p MainPID vpnctl-xray@xr0")
        running = inside(client, lab, sys.executable, str(DOWNLOADS), str(PEOPLE), FAR_V4, str(BLOB), str(results))
        end = time.monotonic() + 60
        while not results.with_name("results.json.begun").exists() and time.monotonic() < end:
            time.sleep(0.2)
        assert int(fi.sh("ss -Htn state established sport = :443 | wc -l")) >= PEOPLE
        service("peer", "suspend", "crowd-7")
        assert running.wait(120) == 0
        assert fi.sh("systemctl show -p MainPID vpnctl-xray@xr0") == before
    finally:
        core.terminate()
        core.wait()
    got = json.loads(results.read_text())
    whole = hashlib.sha256(bytes(range(256)) * (BLOB // 256)).hexdigest()
    others = {number: got[str(number)] for number in range(PEOPLE) if got[str(number)] != whole}
    assert others.pop(7, "").startswith("broken")
    assert others == {}
    service("user", "remove", "crowd-7", "--yes")


def crowded(links):
    """A client's config that has all of these links, each behind a SOCKS port of its own from 20000 on."""
    from urllib.parse import parse_qs, urlsplit

    inbounds, outbounds, rules = [], [], []
    for number, link in enumerate(links.values()):
        parts, tag = urlsplit(link), str(number)
        said = {key: value[0] for key, value in parse_qs(parts.query).items()}
        reality = {
            "serverName": said["sni"],
            "fingerprint": said["fp"],
            "publicKey": said["pbk"],
            "shortId": said["sid"],
        }
        person = {"id": parts.username, "encryption": "none", "flow": said["flow"]}
        inbounds.append({"tag": f"in{tag}", "listen": "127.0.0.1", "port": 20000 + number, "protocol": "socks"})
        outbounds.append(
            {
                "tag": tag,
                "protocol": "vless",
                "settings": {"vnext": [{"address": parts.hostname, "port": parts.port, "users": [person]}]},
                "streamSettings": {"network": "raw", "security": "reality", "realitySettings": reality},
            }
        )
        rules.append({"type": "field", "inboundTag": [f"in{tag}"], "outboundTag": tag})
    return {"log": {"loglevel": "none"}, "inbounds": inbounds, "outbounds": outbounds, "routing": {"rules": rules}}
