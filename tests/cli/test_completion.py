"""What the shell is offered: names that there are, for every argument that names something."""

from __future__ import annotations

import click
import pytest

from vpnctl.cli import completion
from vpnctl.cli.main import describe

NEW_OR_FREE = {
    "node add name", "node add target", "user uninvite invite", "user add names", "user add source", "peer add source",
    "peer add device", "peer set device", "inventory apply path", "notice send text", "request grant request",
    "request refuse request", "db copy target", "node panel url",
    "apikey add name", "event undo run", "node adopt source", "order show number", "order cancel number", "payment accept number",
    "payment reject number", "payment show payment", "payment refund payment", "plan price prices",
}  # fmt: skip
"""Names that are only being given, files, texts, and ids that nobody types by heart."""
NAMING = ("node", "user", "plan", "to", "source", "endpoint", "protocol", "device", "state", "jump")


def test_every_argument_that_names_something_is_completed():
    root = describe()
    context = click.Context(root, info_name="vpnctl")
    bare = set()
    for noun in root.list_commands(context):
        group = root.get_command(context, noun)
        for verb in group.list_commands(context) if isinstance(group, click.Group) else ():
            for each in group.get_command(context, verb).params:
                names = isinstance(each, click.Argument) or each.name in NAMING
                if names and getattr(each, "_custom_shell_complete", None) is None:
                    bare.add(f"{noun} {verb} {each.name}")
    assert bare == NEW_OR_FREE


@pytest.mark.parametrize(
    ("complete", "start", "offered"),
    [
        ("nodes", "f", ["fi"]),
        ("nodes", "x", []),
        ("nodes", "%", []),
        ("users", "", ["alice", "bob"]),
        ("users", "al", ["alice"]),
        ("peers", "alice/", ["alice/laptop", "alice/phone"]),
        ("devices", "p", ["phone"]),
        ("plans", "mo", ["month"]),
        ("interfaces", "w", ["wg0"]),
        ("protocols", "amn", ["amneziawg"]),
        ("jobs", "us", ["usage"]),
        ("keys", "o", ["ops"]),
        ("states", "ca", ["cancelled"]),
        ("notices", "", ["waiting", "sent", "failed"]),
    ],
)
def test_the_shell_is_offered_what_begins_so_and_is_alive(service, tmp_path, complete, start, offered):
    plans = tmp_path / "plans.yaml"
    service("user", "add", "alice", "bob", "gone")
    service("user", "remove", "gone", "--yes")
    service("peer", "add", "alice/phone", "alice/laptop", "alice/pad")
    service("peer", "revoke", "alice/pad")
    service("apikey", "add", "ops", "--scope", "read")
    plans.write_text("plans: [{name: month, days: 30}]")
    service("--yes", "inventory", "apply", str(plans))
    assert getattr(completion, f"complete_{complete}")(start) == offered


def test_without_a_database_nothing_is_offered_and_nothing_is_said(cli, capsys):
    assert completion.complete_users("a") == []
    assert capsys.readouterr().err == ""
