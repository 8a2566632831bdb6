"""WireGuard's files, read back by wg-quick itself and by the rules of the GUI clients."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import cannot
from vpnctl.protocols.interface import AlienSpec, EndpointSpec, PeerSpec
from vpnctl.protocols.wireguard.handshake import public_key
from vpnctl.protocols.wireguard.plugin import PLUGIN
from vpnctl.rules.secret import Secret
from vpnctl.texts import handout

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PUBLIC = "9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="
PSK = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="
CASES = Path(__file__).parents[1] / "cases/wireguard"


OPTIONS = {
    "pool_v4": "10.66.0.0/16", "pool_v6": "fd66:1:1::/64", "dns": "1.1.1.1", "mtu": 1420,
    "allowed_ips": "0.0.0.0/0, ::/0", "keepalive": 25, "isolation": True,
}  # fmt: skip


def endpoint(forward_rule="none", ipv6=True, **options):
    return EndpointSpec(
        id="0e6f9a4e-0000-4000-8000-000000000001",
        name="wg0",
        port=51820,
        options=OPTIONS | options,
        forward_rule=forward_rule,
        identity=public_key(base64.b64decode(KEY)),
        secret=Secret(KEY),
        ipv6=ipv6,
    )


def peer(number=2, **change):
    values = {
        "id": f"0e6f9a4e-0000-4000-8000-{number:012}",
        "identity": PUBLIC,
        "shared": Secret(PSK),
        "ipv4": f"10.66.0.{number}",
        "ipv6": f"fd66:1:1::{number}",
    }
    return PeerSpec(**(values | change))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "server.conf",
            lambda: PLUGIN.wanted(endpoint(), [peer()], [AlienSpec(KEY, None, "10.9.9.9/32")], frozenset()).config.text,
        ),
        ("firewall.nft", lambda: PLUGIN.wanted(endpoint(), [], [], frozenset()).firewall.text),
        (
            "firewall-open-v4.nft",
            lambda: PLUGIN.wanted(endpoint(isolation=False, pool_v6=None), [], [], frozenset()).firewall.text,
        ),
        ("docker.conf", lambda: PLUGIN.wanted(endpoint(forward_rule="docker"), [], [], frozenset()).drop_in.text),
        ("client.conf", lambda: PLUGIN.client_config(endpoint(), "vpn.example.org", peer(), Secret(KEY))),
        (
            "client-own-key.conf",
            lambda: PLUGIN.client_config(endpoint(dns="", keepalive=0), "2001:db8::1", peer(ipv6=None), None),
        ),
    ],
)
def test_files_are_rendered_as_in_the_cases(name, text):
    assert text().reveal() == (CASES / name).read_text()


def test_rendering_does_not_depend_on_the_order_of_rows():
    two = [peer(2), peer(3, identity=KEY)]
    assert PLUGIN.wanted(endpoint(), two, [], frozenset()) == PLUGIN.wanted(endpoint(), two[::-1], [], frozenset())


def test_the_server_file_is_taken_by_wg_quick_itself(tmp_path):
    if not shutil.which("wg-quick"):
        cannot("wg-quick test", "wireguard-tools is not installed")
    path = tmp_path / "wg0.conf"
    path.write_text(PLUGIN.wanted(endpoint(), [peer()], [], frozenset()).config.text.reveal())
    path.chmod(0o600)
    done = subprocess.run(["wg-quick", "strip", str(path)], capture_output=True, text=True, check=True)
    ours = [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "Address", "MTU"))]
    assert [line for line in done.stdout.splitlines() if line and not line.startswith("#")] == ours


PORTABLE = {
    "Interface": {"PrivateKey", "Address", "DNS", "MTU"},
    "Peer": {"PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive"},
}


def test_the_client_file_holds_only_what_every_client_imports():
    section = ""
    seen = set()
    for line in PLUGIN.client_config(endpoint(), "vpn.example.org", peer(), Secret(KEY)).reveal().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line:
            key, equals, value = line.partition(" = ")
            assert equals, line
            assert value
            assert key in PORTABLE[section]
            assert (section, key) not in seen, "a key given twice is an error on iOS"
            seen.add((section, key))


@given(
    st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=32).filter(lambda text: text[0] not in "-_"),
    st.uuids(),
)
def test_every_file_name_is_one_that_every_client_takes(user, peer_id):
    name = handout.file_name("wireguard", user, "phone", str(peer_id))
    assert re.fullmatch(r"[a-zA-Z0-9_=+.-]{1,15}\.conf", name)
    assert not re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)", name.removesuffix(".conf"))


@pytest.mark.parametrize(
    ("user", "device", "name"),
    [
        ("alice", "main", "alice.conf"),
        ("alice", "phone", "alice-phone.conf"),
        ("bob", "living-room-tv-2", None),
        ("con", "main", None),
    ],
)
def test_short_names_stay_readable(user, device, name):
    found = handout.file_name("wireguard", user, device, "0e6f9a4e-0000-4000-8000-000000000001")
    assert found == name if name else re.fullmatch(rf"{user[:3]}[a-z-]*-[0-9a-f]{{6}}\.conf", found)


def test_steps_exist_for_every_platform_and_name_the_file():
    for platform in handout.TITLES:
        text = "\n".join(handout.steps("wireguard", platform, "alice.conf"))
        assert "alice.conf" in text
        assert text in handout.all_steps("wireguard", "alice.conf").replace("\n  ", "\n").replace("1. ", "").replace(
            "2. ", ""
        ).replace("3. ", "")


def test_both_qr_codes_are_read_by_an_independent_reader(tmp_path):
    if not shutil.which("zbarimg"):
        cannot("QR test", "zbar-tools is not installed")
    config = PLUGIN.client_config(endpoint(), "vpn.example.org", peer(), Secret(KEY))
    picture = tmp_path / "qr.png"
    picture.write_bytes(handout.png(config))
    assert _read(picture) == config.reveal()
    assert _read(_photograph(handout.terminal_qr(config), tmp_path)) == config.reveal()


def _read(picture):
    done = subprocess.run(
        ["zbarimg", "-q", "--raw", "-Sdisable", "-Sqrcode.enable", str(picture)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.removesuffix("\n")


def _photograph(text, tmp_path):
    """Draw the half blocks as a dark terminal shows them: a full block is light."""
    from PIL import Image

    lines = [line.replace("\xa0", " ") for line in text.splitlines()]
    size = 4
    picture = Image.new("L", (max(map(len, lines)) * size, len(lines) * size * 2), 0)
    for y, line in enumerate(lines):
        for x, letter in enumerate(line):
            upper, lower = letter in "█▀", letter in "█▄"
            for row, light in ((0, upper), (1, lower)):
                if light:
                    picture.paste(255, (x * size, (2 * y + row) * size, (x + 1) * size, (2 * y + row + 1) * size))
    target = tmp_path / "terminal.png"
    picture.save(target)
    return target


def test_fresh_keys_are_clamped_and_match():
    pair = PLUGIN.server()
    raw = base64.b64decode(pair.secret.reveal())
    assert raw[0] & 7 == 0
    assert raw[31] & 192 == 64
    assert public_key(raw) == pair.identity
    assert len({PLUGIN.issue().shared.reveal() for _ in range(50)}) == 50


HEAD = f"-\t{PUBLIC}\t51820\toff"


def test_a_dump_is_parsed_whatever_the_order():
    line = f"{KEY}\t{PSK}\t192.0.2.7:1234\t10.66.0.2/32,fd66::2/128\t1800000000\t10\t20\t25"
    public, port, peers = PLUGIN.observe([HEAD, line])
    assert (public, port) == (PUBLIC, 51820)
    found = peers[KEY]
    assert (found.shared, found.allowed_ips, found.handshake, found.rx, found.tx) == (
        Secret(PSK),
        {"10.66.0.2/32", "fd66::2/128"},
        1800000000,
        10,
        20,
    )


@pytest.mark.parametrize(
    "lines",
    [
        [], ["x"], [HEAD, "too\tshort"], [HEAD.replace("51820", "a lot")], [HEAD, f"nokey\t{PSK}\t(none)\t(none)\t0\t0\t0\toff"],
        [HEAD, f"{KEY}\t{PSK}\t(none)\t10.0.0.0/8;id\t0\t0\t0\toff"], [HEAD, f"{KEY}\t{PSK}\t(none)\t(none)\tNaN\t0\t0\toff"],
        [HEAD, f"{KEY}\t{PSK}\t(none)\t(none)\t1e9\t0\t0\toff"],
    ],
)  # fmt: skip
def test_a_dump_that_makes_no_sense_is_refused(lines):
    with pytest.raises(ValueError):
        PLUGIN.observe(lines)
