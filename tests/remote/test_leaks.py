"""No node can make us leak: whatever it answers, and wherever it stops, no key of ours reaches a place that is read.

Canaries are the service's own keys. They are planted in every answer, in every part of it.
"""

from __future__ import annotations

import logging
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vpnctl import journal
from vpnctl.rules.grammar import quoted

KEY = b"yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="


def secrets_of(fake):
    """The private key and preshared keys that stand on the node."""
    text = fake.files["/etc/wireguard/wg0.conf"][1].decode()
    lines = (line.partition(" = ") for line in text.splitlines())
    return sorted({value for name, _, value in lines if name in ("PrivateKey", "PresharedKey")})


def planted(out: bytes, canaries, where: int, how: str) -> bytes:
    """Put the canaries into an answer: as a line, inside a field, as a reason, in the token, at the end, or cut it."""
    lines = out.split(b"\n")
    at = where % max(1, len(lines) - 1)
    words = [each.encode() for each in canaries]
    many = b" ".join(words)
    if how == "line":
        return b"\n".join([*lines[:at], many, *lines[at:]])
    if how == "field":
        parts = lines[at].split(b"\t")
        parts[where % len(parts)] = words[where % len(words)]
        return b"\n".join([*lines[:at], b"\t".join(parts), *lines[at + 1 :]])
    if how == "reason":
        return b"\n".join([*lines[:at], b"failed\tsync\twg0\t\tError: " + many, *lines[at:]])
    if how == "path":
        return b"\n".join([*lines[:at], b"path\twg0\t4\tsetup\t" + many, *lines[at:]])
    if how == "escape":
        return out.replace(b"token\t", b"token\t\x1b]0;" + words[0])
    if how == "fact":
        return b"\n".join([*lines[:at], b"fact\tos\t" + words[0], b"stale\t/" + words[0], *lines[at:]])
    if how == "dump":
        return out.replace(b"|", b"|" + words[0] + b"\t", 1)
    return many + out[: len(out) // 2] + many


HOWS = ["line", "field", "reason", "path", "escape", "fact", "dump", "cut"]


@pytest.mark.parametrize("how", HOWS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, 200))
def test_no_answer_of_a_node_brings_a_key_to_a_place_that_is_read(leaky, how, where):
    service, fake, state, canaries = leaky
    fake.answer = lambda out: planted(out, canaries, where, how)
    runs = [
        service("peer", "suspend", "alice"),
        service("node", "sync", "-v"),
        service("node", "check", "--json"),
        service("--log-format", "json", "jobs", "run", "health", "drift", "sync"),
    ]
    fake.answer = lambda out: out
    runs += [service("peer", "resume", "alice"), service("status", "--json"), service("node", "show", "fi")]
    runs += [
        service("event", "list", "--json"),
        service("notice", "list", "--json"),
        service("jobs", "history", "--json"),
    ]
    stored = b"".join(path.read_bytes() for path in state.glob("vpnctl.db*"))
    for canary in canaries:
        for run in runs:
            assert run.code != 1, "a lying node is no bug of ours"
            assert canary not in run.err
            assert canary not in run.out
        assert canary.encode() not in stored


@pytest.fixture
def leaky(service, fleet, settings):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    fake = fleet["fi.example.org"]
    return service, fake, settings.state_dir, secrets_of(fake)


def test_an_alien_of_a_lying_node_is_sealed_before_it_is_kept(service, fleet, settings):
    psk = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="
    fleet["fi.example.org"].links["wg0"].peers["9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="] = [
        psk, "10.66.9.9/32", "0", "0", "0",
    ]  # fmt: skip
    service("node", "sync")
    service("node", "sync")
    assert psk in fleet["fi.example.org"].files["/etc/wireguard/wg0.conf"][1].decode(), "it is kept as it was"
    assert psk.encode() not in b"".join(path.read_bytes() for path in settings.state_dir.glob("vpnctl.db*"))


@pytest.mark.parametrize(
    "said",
    [
        "Error: yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk= is closed",
        "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\t(none)\t10.66.0.2/32",
        "key=yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=;",
    ],
)
def test_what_looks_like_a_key_is_masked_in_a_reason_and_the_reason_stays(said):
    shown = quoted(said)
    assert "yAnz5TF" not in shown
    assert "***" in shown
    assert ("is closed" in shown) == ("is closed" in said)


def test_a_path_or_a_package_name_is_no_key():
    text = "E: /var/lib/apt/lists/deb.example.org_debian_dists_bookworm_main_binary-amd64_Packages is locked"
    assert quoted(text) == text


def test_what_libraries_log_reaches_nobody_unasked_and_is_clean_when_asked_for(capsys):
    journal.capture(json_lines=False, verbose=False)
    logging.getLogger("paramiko.transport").error("Exception: \x1b]0;owned\x07 %s", "x")
    assert capsys.readouterr().err == ""
    journal.capture(json_lines=False, verbose=True)
    logging.getLogger("paramiko.transport").error("Exception: \x1b]0;owned\x07 %s", KEY.decode())
    said = capsys.readouterr().err
    assert said.startswith("log: paramiko.transport: Exception")
    assert "\x1b" not in said
    assert KEY.decode() not in said
    journal.capture(json_lines=False, verbose=False)


def test_a_librarys_thread_that_dies_prints_no_traceback(capsys):
    journal.capture(json_lines=False, verbose=False)

    def die():
        raise RuntimeError(KEY)

    thread = threading.Thread(target=die)
    thread.start()
    thread.join()
    assert capsys.readouterr().err == ""


def test_with_json_logs_a_librarys_line_is_json_too(capsys):
    import json

    journal.capture(json_lines=True, verbose=True)
    logging.getLogger("paramiko").warning("one\ntwo")
    assert json.loads(capsys.readouterr().err)["what"] == "one two"
    journal.capture(json_lines=False, verbose=False)


@pytest.mark.parametrize(
    "greeting",
    [
        b"\x1b]0;owned\x07\x1b[31mhello\r\nSSH-2.0-x\r\n",
        b"SSH-2.0-\x1b[31mx\r\n" + b"\x1b[2J" * 50,
        b"\xff\xfe\x00not ssh at all\r\n" * 20,
        b"SSH-2.0-x\r\n" + b"\x00\x00\x00\x0c\x0a\x14" + b"\x1b[31m" * 100,
    ],
)
@pytest.mark.parametrize("flags", [(), ("--log-format", "json")])
def test_what_a_server_sends_before_any_key_was_compared_reaches_no_terminal(settings, greeting, flags):
    import json
    import os
    import socket
    import subprocess
    import sys

    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        for _ in range(3):
            try:
                line, _ = listener.accept()
            except OSError:
                return
            line.sendall(greeting)
            line.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "VPNCTL_STATE_DIR": str(settings.state_dir), "VPNCTL_KEY_FILE": str(settings.key_file)}  # fmt: skip

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "vpnctl", *words], capture_output=True, text=True, env=env, timeout=120
        )

    assert run("--yes", "init").returncode == 0
    words = ("node", "add", "x", f"root@127.0.0.1:{listener.getsockname()[1]}", "--host-key-fp", "SHA256:" + "A" * 43)
    said = run(*flags, *words)
    listener.close()
    assert said.returncode == 10
    assert "\x1b" not in said.stderr
    assert "Traceback" not in said.stderr
    lines = [line for line in said.stderr.splitlines() if not line.startswith(("error:", "hint:"))]
    assert all(json.loads(line) for line in lines), lines
