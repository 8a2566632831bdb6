"""Every hint can be followed: each command that any text names exists with its options, and in its situation works."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from vpnctl.cli.main import NOUNS, describe
from vpnctl.errors import adding

ROOT = Path(__file__).parents[2]
FP = "SHA256:nnhJ79zYRdxNRxyxCEIYoh7UrhU06n0A2NkwhbE/D4I"


def commands():
    """`noun verb` (or `noun`) -> the options that it takes."""
    import click

    root = describe()
    found = {}
    for noun in NOUNS:
        command = root.get_command(click.Context(root), noun)
        if isinstance(command, click.Group):
            for verb, sub in command.commands.items():
                found[f"{noun} {verb}"] = {
                    name for param in sub.params for name in (*param.opts, *param.secondary_opts)
                }
        else:
            found[noun] = {name for param in command.params for name in param.opts}
    top = {name for param in root.params for name in param.opts}
    return {name: options | top | {"--help"} for name, options in found.items()}


def texts():
    """Every text of the program in which a command is named, with what is filled in shown as X."""
    for path in [*(ROOT / "vpnctl").rglob("*.py"), *(ROOT / "bot").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (each.value if isinstance(each, ast.Constant) else "X" for each in node.values)
                yield path.name, "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path.name, node.value


def named():
    known = commands()
    for where, text in texts():
        for hit in re.finditer(r"(?:^|(?<!#)[ `:(])vpnctl ([a-z]+)((?: [^\s`;,()…]+)*)", text):
            noun, rest = hit[1], hit[2].split()
            if noun in NOUNS:
                yield where, noun, rest, known


def test_every_command_that_a_text_names_exists_with_its_options():
    wrong, count = [], 0
    for where, noun, rest, known in named():
        count += 1
        verb = f"{noun} {rest[0]}" if rest else noun
        name = noun if noun in known else verb
        if name not in known:
            if rest and re.fullmatch(r"[a-z-]+", rest[0]) and noun not in known:
                wrong.append(f"{where}: vpnctl {verb}")
            continue
        for word in rest:
            option = word.partition("=")[0].rstrip(".:")
            if option.startswith("--") and option not in known[name]:
                wrong.append(f"{where}: vpnctl {name} {option}")
    assert count > 80
    assert wrong == []


def hints(run):
    """The commands of a hint, each as it is to be typed."""
    text = run.err.split("hint: ")[-1].splitlines()[0]
    return [each.strip(" .") for each in re.findall(r"vpnctl [^,;()`…]+?(?=,| or |;|\)|$|   )", text)]


SITUATIONS = {
    "a node that is not there": [["node", "show", "helsink"]],
    "a name that is taken": [["user", "add", "alice"], ["user", "add", "alice"]],
    "a device that is there": [["user", "add", "alice"], ["peer", "add", "alice"], ["peer", "add", "alice"]],
    "a user without a device": [["user", "add", "alice"], ["peer", "show", "alice"]],
    "no such user": [["user", "add", "alice"], ["peer", "add", "bob"]],
    "no subscription to cancel": [["user", "add", "alice"], ["subscription", "cancel", "alice", "--yes"]],
    "an endpoint that is not there": [["endpoint", "set", "fi", "wg9", "--port", "5"]],
    "a taken port": [["endpoint", "add", "fi", "wireguard", "--port", "51820"]],
    "a request that is not there": [["request", "grant", "abc"]],
    "a plan that is not there": [["user", "add", "alice"], ["subscription", "grant", "alice", "--plan", "x"]],
    "peers in the way of removal": [["user", "add", "alice"], ["peer", "add", "alice"], ["endpoint", "remove", "fi", "wg0", "--yes"]],
    "a device without a peer to move": [["user", "add", "alice"], ["user", "migrate", "alice", "--to", "fi", "--device", "x"]],
}  # fmt: skip


@pytest.mark.parametrize("steps", SITUATIONS.values(), ids=SITUATIONS)
def test_the_hint_of_a_situation_can_be_typed(service, steps):
    *before, last = steps
    for step in before:
        assert service(*step).code == 0
    run = service(*last)
    assert run.code not in (0, 1)
    for command in hints(run):
        words = command.split()[1:]
        if any((word.isupper() and len(word) > 1) or word in ("N", "…") for word in words):
            continue  # something is to be filled in: the test above says that the command exists
        followed = service(*words, "--yes")
        assert followed.code not in (1, 2), f"{command}: {followed.err}"


def test_a_foreign_interface_is_served_beside_by_typing_what_the_hint_says(service, fleet):
    service("node", "add", "x", "root@x.example.org", "--host-key-fp", FP)
    server = fleet["x.example.org"]
    from tests.fakenode import Live

    foreign = "9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="
    server.links["wg0"] = Live(foreign, 51820, 1420, 1, True, {"10.9.0.1/24"}, {"10.9.0.0/24"})
    server.files["/etc/wireguard/wg0.conf"] = (
        "600",
        b"[Interface]\nPrivateKey = KM5Fev0Dzs1ZwMDeqQDlvmqC6LY7fAkRGGJVV6UDvGw=\n",
    )
    run = service("node", "provision", "x")
    assert run.code == 7
    for command in hints(run):
        followed = service(*command.split()[1:], "--yes")
        assert followed.code == 0, f"{command}: {followed.err}"
    service("user", "add", "alice")
    assert service("peer", "add", "alice", "--node", "x").code == 0
    assert service("node", "check", "x").code == 0
    assert b"KM5Fev0D" in server.files["/etc/wireguard/wg0.conf"][1], "somebody's own is as it was"
    assert server.links["wg0"].public == foreign


def test_what_is_to_be_installed_goes_into_the_python_that_runs():
    import sys

    assert adding("x>=1") == f"{sys.executable} -m pip install 'x>=1'"
