"""What a panel says of its inbounds, and what it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpnctl.protocols.panel import inbounds
from vpnctl.protocols.panel.plugin import PLUGIN
from vpnctl.rules.secret import Secret

CASES = json.loads((Path(__file__).parents[1] / "cases/panel/inbounds.json").read_text())


def shown(case, *, nested, **more):
    settings, stream = case["settings"], case["stream"]
    if not nested:
        settings, stream = json.dumps(settings), json.dumps(stream)
    plain = {"id": 7, "port": 8443, "enable": True, "protocol": case["protocol"]}
    return [{**plain, "settings": settings, "streamSettings": stream, "clientStats": None, **more}]


@pytest.mark.parametrize("nested", [True, False], ids=["nested", "as text"])
@pytest.mark.parametrize("case", CASES, ids=lambda each: each["what"])
def test_an_inbound_is_understood_or_left_alone_with_the_reason(case, nested):
    (found,) = inbounds.read(shown(case, nested=nested))
    assert found.why_not == case["why"]
    assert found.nested is nested
    if case["options"] is None:
        assert found.options == {}
        return
    assert {name: found.options[name] for name in case["options"]} == case["options"]
    assert PLUGIN.fitting(PLUGIN.checked(found.options)) == dict(found.options)


def test_the_servers_part_of_a_password_is_no_option():
    case = next(each for each in CASES if each["what"] == "Shadowsocks of 2022")
    (found,) = inbounds.read(shown(case, nested=True))
    assert found.password == Secret("c2VydmVyLXBhc3N3b3JkIQ==")
    assert "c2Vy" not in json.dumps(dict(found.options))


@pytest.mark.parametrize(("up", "kept"), [(5, 5), (-5, 0), (2**63, 2**53), ("x", 0), (None, 0), (1.5, 0), (True, 0)])
def test_counters_that_cannot_be_are_bounded(up, kept):
    people = {"settings": {"clients": [{"email": "a", "id": "i", "enable": True}]}}
    stats = [{"email": "a", "enable": True, "up": up, "down": 0}, "odd", {"email": 4}]
    (found,) = inbounds.read(shown({**CASES[0], **people}, nested=True, clientStats=stats))
    assert found.peers["a"].rx == kept


def test_names_that_are_too_long_or_odd_become_ones_that_can_be_kept():
    names = ["x" * 300, "x" * 299, "a\nb", "пётр", "with space"]
    kept = [inbounds.identity_of(each) for each in names]
    assert len(set(kept)) == len(names)
    assert all(len(each) <= 44 and each.isprintable() for each in kept)
    assert kept[3:] == names[3:]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(settings=ANY, stream=ANY, stats=ANY, protocol=st.sampled_from(["vless", "shadowsocks", "trojan", "x"]))
def test_whatever_a_panel_says_is_a_list_or_a_value_error(settings, stream, stats, protocol):
    one = {"id": 1, "port": 1, "enable": True, "protocol": protocol}
    try:
        inbounds.read([{**one, "settings": settings, "streamSettings": stream, "clientStats": stats}])
    except ValueError:
        return
