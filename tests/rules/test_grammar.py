"""Input has one grammar; what it takes and refuses stands in cases/grammar.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vpnctl.errors import InvalidInput
from vpnctl.rules import grammar

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases/grammar.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("kind", "text", "result"), [(k, t, r) for k, case in CASES.items() for t, r in case["accept"].items()]
)
def test_accepts(kind, text, result):
    found = getattr(grammar, kind)(text)
    plain = list(found) if isinstance(found, tuple) else found if isinstance(found, int) else str(found)
    assert plain == result


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, case in CASES.items() for text in case["refuse"]])
def test_refuses_with_a_clean_message(kind, text):
    with pytest.raises(InvalidInput) as caught:
        getattr(grammar, kind)(text)
    shown = caught.value.what + caught.value.hint
    assert not any(ord(letter) < 32 or ord(letter) in (0x7F, 0x202E, 0x2028) for letter in shown)


@pytest.mark.parametrize(
    ("text", "host", "port", "login"),
    [
        ("192.0.2.7", "192.0.2.7", 22, "root"),
        ("debian@h.example.org:2222", "h.example.org", 2222, "debian"),
        ("[2001:db8::1]:2222", "2001:db8::1", 2222, "root"),
        ("me@2001:db8::1", "2001:db8::1", 22, "me"),
    ],
)
def test_a_target_says_where_and_as_whom(text, host, port, login):
    assert grammar.target(text) == grammar.SshTarget(host, port, login)


@pytest.mark.parametrize(
    "text", ["", "@", "a@", "root@h:", "root@h:x", "root@h:22:22x", "-oProxyCommand=id@h", "root@-h", "[::1", "[::1]22"]
)
def test_a_target_that_is_none_is_refused(text):
    with pytest.raises(InvalidInput):
        grammar.target(text)


@pytest.mark.parametrize("text", ["alice", "alice/phone", "alice/phone@fi", "alice@fi"])
def test_a_peer_reference_is_written_as_it_is_read(text):
    assert str(grammar.peer_ref(text)) == text


@pytest.mark.parametrize("text", ["", "/", "alice/", "alice@", "a/b/c", "a@b@c", "alice/pho ne"])
def test_a_peer_reference_that_is_none_is_refused(text):
    with pytest.raises(InvalidInput):
        grammar.peer_ref(text)


@given(st.text())
def test_clean_text_never_holds_a_control_character(text):
    import unicodedata

    assert not any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in grammar.clean(text))


@given(st.text(max_size=60))
def test_no_text_at_all_makes_the_grammar_fail_otherwise_than_by_refusing(text):
    for kind in [*CASES, "target", "peer_ref"]:
        try:
            getattr(grammar, kind)(text)
        except InvalidInput:
            continue
