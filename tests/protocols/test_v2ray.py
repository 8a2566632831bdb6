"""V2Ray: what differs from Xray, whose config, links and life it has (test_xray.py)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from vpnctl.protocols.interface import BadOption, EndpointSpec, PeerSpec
from vpnctl.protocols.v2ray.plugin import PLUGIN
from vpnctl.rules.secret import Secret

CASES = Path(__file__).parents[1] / "cases/v2ray"


@pytest.mark.parametrize(("what", "given", "wrong"), yaml.safe_load((CASES / "options.yaml").read_text()))
def test_options_are_those_that_the_core_takes(what, given, wrong):
    if wrong is None:
        assert PLUGIN.complete(PLUGIN.checked(given), [], [])
    else:
        with pytest.raises(BadOption) as found:
            PLUGIN.complete(PLUGIN.checked(given), [], [])
        assert found.value.option == wrong, what


def test_its_config_has_nothing_that_only_xray_reads():
    pair = PLUGIN.server()
    spec = EndpointSpec("e", "v2r0", 8443, PLUGIN.complete({}, [], []), "none", pair.identity, pair.secret)
    peer = PeerSpec("p", "p-0011", Secret("934790aa-a2a1-4375-8745-a3367b9c4282"))
    wanted = PLUGIN.wanted(spec, [peer], [], frozenset())
    inbound = json.loads(wanted.config.text.reveal())["inbounds"][1]
    assert (inbound["protocol"], inbound["streamSettings"]) == ("vmess", {"network": "tcp"})
    assert inbound["settings"]["clients"] == [{"email": "p-0011", "id": peer.shared.reveal(), "alterId": 0}]
    assert (wanted.unit, wanted.tool) == ("vpnctl-v2ray@v2r0.service", "v2ray")
