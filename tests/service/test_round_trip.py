"""What is exported and applied again is the same."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from vpnctl.actions.service import inventory
from vpnctl.actions.service.inventory_form import export, parse
from vpnctl.app import open_app
from vpnctl.settings import load

names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,10}", fullmatch=True)


texts = st.text(st.characters(categories=("L", "N", "P", "S"), include_characters=" "), max_size=20).map(str.strip)


@st.composite
def inventories(draw):
    nodes = [
        {
            "name": name, "host": f"root@{name.strip('-_').replace('_', '-')}.example.org:22", "host_key": HOST_KEY_LINE,
            "region": draw(texts), "capacity": draw(st.one_of(st.none(), st.integers(0, 1000))),
            "traffic_limit": draw(st.one_of(st.none(), st.integers(0, 10**15))),
            "rent_due": draw(st.one_of(st.none(), st.dates().map(str))),
            "endpoints": [{
                "protocol": "wireguard", "interface": f"wg{number}", "port": 50000 + number, "pool": f"10.{70 + number}.0.0/16",
                "pool_v6": draw(st.one_of(st.none(), st.just(f"fd00:{number + 1}::/64"))), "mtu": draw(st.integers(1280, 9000)),
                "dns": draw(st.sampled_from(["", "1.1.1.1", "1.1.1.1, 2606:4700:4700::1111"])),
                "keepalive": draw(st.integers(0, 65535)), "isolation": draw(st.booleans()),
                "allowed_ips": draw(st.sampled_from(["0.0.0.0/0, ::/0", "::/0"])),
                "forward_rule": draw(st.sampled_from(["none", "docker", "ufw", "iptables"])),
            } for number in range(draw(st.integers(0, 2)))],
        }
        for name in draw(st.lists(names, unique=True, max_size=3)) if name.strip("-_")
    ]  # fmt: skip
    people = [
        {
            "name": name, "display_name": draw(texts), "telegram_id": draw(st.one_of(st.none(), st.just(1000 + number))),
            "locale": draw(st.sampled_from(["en", "ru", "fa"])), "devices": draw(st.one_of(st.none(), st.integers(1, 1000))),
            "unlimited": draw(st.booleans()), "blocked": draw(st.booleans()), "note": draw(texts),
        }
        for number, name in enumerate(draw(st.lists(names, unique=True, max_size=3)))
    ]  # fmt: skip
    plans = [
        {
            "name": name, "title": draw(texts), "days": draw(st.integers(1, 3660)),
            "devices": draw(st.one_of(st.none(), st.integers(1, 1000))),
            "traffic": draw(st.one_of(st.none(), st.integers(0, 10**15))), "locations": draw(st.lists(texts.filter(bool), max_size=2)),
            "prices": draw(st.dictionaries(st.sampled_from(["EUR", "XTR", "KWD"]), st.integers(0, 10**12))),
            "trial": number == 0 and draw(st.booleans()), "on_sale": draw(st.booleans()),
        }
        for number, name in enumerate(draw(st.lists(names, unique=True, max_size=3)))
    ]  # fmt: skip
    return {"nodes": nodes, "users": people, "plans": plans}


HOST_KEY_LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJbeUjQt/bDeAK6smLQiZsG7ODkwca1KgBwY8xy0jyuj"


@settings(deadline=None, max_examples=40)
@given(body=inventories())
def test_what_is_exported_and_applied_is_the_same_again(tmp_path_factory, body):
    import yaml

    from vpnctl.actions.service import state

    def fresh():
        home = tmp_path_factory.mktemp("i")
        settings = load(
            None, {"HOME": str(home), "VPNCTL_STATE_DIR": str(home / "s"), "VPNCTL_KEY_FILE": str(home / "k")}
        )
        state.init(settings, "cli:test")
        return open_app(settings, "cli:test")

    given_ = {
        kind: [{key: value for key, value in each.items() if value is not None} for each in rows]
        for kind, rows in body.items()
    }
    one, two = fresh(), fresh()
    try:
        inventory.apply(one, *parse(yaml.safe_dump(given_, allow_unicode=True), "first"))
        out = export(one, users=True)
        assert inventory.apply(one, *parse(out, "same")).lines == (), "on the same database nothing is left to change"
        inventory.apply(two, *parse(out, "second"))
        assert export(two, users=True) == out
    finally:
        one.store.close()
        two.store.close()
