"""`vpnctl node rebuild`: a lost node comes back on another server."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_nodes
from vpnctl.cli.first_login import Agent, Fingerprint, Identity, KnownHosts, Password, ask_host_key, means_of, text_of
from vpnctl.cli.front import current, interruptible
from vpnctl.errors import PENDING, NodeFailed

if TYPE_CHECKING:
    from vpnctl.actions.fleet.rebuild import Ready
    from vpnctl.actions.outcome import Settled

_LISTED = 20


def rebuild(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Node name.", autocompletion=complete_nodes)],
    host: Annotated[str, typer.Option("--host", metavar="[USER@]HOST[:PORT]", help="The new server.")] = "",
    host_key_fp: Fingerprint = None,
    known_hosts: KnownHosts = None,
    identity: Identity = None,
    password_stdin: Password = False,
    agent: Agent = False,
    jump: Annotated[
        str | None,
        typer.Option("--jump", metavar="NODE", help="Reach it through this node.", autocompletion=complete_nodes),
    ] = None,
    public_host: Annotated[
        str | None,
        typer.Option("--public-host", metavar="HOST", help="What clients dial from now on; a DNS name stays as it is."),
    ] = None,
    destroyed: Annotated[
        bool, typer.Option("--destroyed", help="The old machine is gone: do not try to stop it.")
    ] = False,
    forward_rule: Annotated[
        str, typer.Option("--forward-rule", help="What to do about Docker's or ufw's FORWARD policy: auto, none.")
    ] = "auto",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write the files that people need anew there.")
    ] = None,
    wait: Annotated[
        int,
        typer.Option(
            "--wait",
            metavar="SECONDS",
            min=0,
            max=86400,
            help="For the DNS name, then for the first device to be back.",
        ),
    ] = 60,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> int:
    """Bring a lost node back on another server, from the database alone: same keys, ports, addresses, people.

    Where clients dial a DNS name, everybody's old files work again as soon as it leads to the new server (the setting
    dns_command can change it). Where they dial an address, each person needs a new file: they are listed, written to
    --out DIR, and sent by the bot to those it knows. An old server that still answers is made to stop first. Run
    again it goes on where it was.
    """
    from vpnctl.actions.fleet import nodes
    from vpnctl.actions.fleet import rebuild as work
    from vpnctl.errors import InvalidInput
    from vpnctl.rules import grammar

    front = current()
    grammar.forward_rule(forward_rule)
    if not host:
        raise InvalidInput("on which server?", "--host root@HOST")
    if out is not None and not out.is_dir() and (out.exists() or not out.parent.is_dir()):
        raise InvalidInput(f"{out} is not a folder", f"mkdir -p {out}")
    began, before = time.monotonic(), work.last_heard(front.app, _id_of(name))
    means = means_of(identity, password_stdin, agent)
    new = nodes.NewNode(name, host, host_key_fp, text_of(known_hosts), jump, means)
    ready = work.prepare(front.app, new, ask_host_key, public_host)
    if dry_run:
        return _foretell(ready, destroyed=destroyed)
    _take_over(ready, destroyed=destroyed)
    with interruptible(f"to go on: vpnctl node rebuild {name} --host {host}"):
        settled = _serve(ready, ask=forward_rule != "none")
        took: dict[str, float | None] = {"serves": time.monotonic() - began, "first_device": None}
        late = work.outdated(front.app, ready.old.id)
        given = _hand_out(late, out) if settled.code == 0 else ([], [])  # before anybody is waited for
        leads = settled.code == 0 and _lead_there(ready, wait)
        if settled.code == 0 and leads and before is not None and wait and _first_back(ready, before, wait):
            took["first_device"] = time.monotonic() - began
    return _report(ready, settled, took, [device for _, device in late], given, by_hand=out is None, leads=leads)


def _id_of(name: str) -> str:
    """Return the id of a node. NotFound when there is none."""
    from vpnctl.store import find

    with current().app.store.read() as tx:
        return find.node(tx, name).id


def _foretell(ready: Ready, *, destroyed: bool) -> int:
    from vpnctl.actions.fleet import rebuild as work

    front = current()
    old, new, devices = ready.old, ready.new, output.count(ready.devices, "device")
    if front.json:
        moved = {"node": old.name, "from": old.host, "to": new.host, "public_host": new.public_host}
        output.dump(moved | {"devices": ready.devices, "begun": ready.begun})
        return 0
    front.say(f"{old.name} is {new.host} already; it would be settled" if ready.begun else
              f"{old.name} with {devices} would move from {old.host} to {new.host}")  # fmt: skip
    if not ready.begun and not destroyed:
        front.say(f"{old.host} would be made to stop serving, if it still answers")
    if new.public_host == old.public_host:
        front.say(f"files stay as they are: they lead to {new.public_host}")
        if not work.leads_there(front.app, new):
            front.say(f"{new.public_host} does not lead to {new.host} yet")
    else:
        front.say(f"each of them would need a new file: theirs lead to {old.public_host}")
    return 0


def _take_over(ready: Ready, *, destroyed: bool) -> None:
    """Stop the old server, and make the node the new one; an earlier run may have done that."""
    from vpnctl.actions.fleet import nodes
    from vpnctl.actions.fleet import rebuild as work

    front = current()
    old, new = ready.old, ready.new
    if ready.begun:
        if new.public_host != old.public_host:
            nodes.change(front.app, old.name, {"public_host": new.public_host})
        return
    front.confirm(f"Move {old.name} with {output.count(ready.devices, 'device')} from {old.host} to {new.host}?")
    fenced = work.take_over(front.app, ready, destroyed=destroyed)
    front.say(
        {
            work.Fenced.DONE: f"{old.host}, the old server, was seen to stop serving",
            work.Fenced.SILENT: f"note: {old.host} does not answer; it must not come back: delete it at your provider",
            work.Fenced.OTHER: f"note: what answers at {old.host} is not the old server; delete that at your provider",
            work.Fenced.SPARED: f"note: {old.host} was not contacted; it must not come back",
        }[fenced]
    )


def _serve(ready: Ready, *, ask: bool) -> Settled:
    """Set up the new server, with all that the node serves."""
    from vpnctl.actions.fleet import provision
    from vpnctl.store import find

    front = current()
    with front.app.store.read() as tx:
        served = [each.protocol for each in find.endpoints(tx, ready.old)]

    def allow(question: str) -> bool:
        front.confirm(question, "--forward-rule none to leave it, or --yes")
        return True

    made = provision.provision(front.app, ready.old.name, list(dict.fromkeys(served)), allow if ask else None)
    for note in made.notes:
        front.say(note)
    return made.settled


def _lead_there(ready: Ready, seconds: int) -> bool:
    """Have the DNS name lead to the new server; return whether it does."""
    from vpnctl.actions.fleet import rebuild as work
    from vpnctl.rules import grammar

    front, node = current(), ready.new
    if work.leads_there(front.app, node):
        return True
    what = f"waiting until {node.public_host} leads to {node.host}"
    try:
        pointed = work.point(front.app, node)
    except NodeFailed as error:  # the node is there already: that a record is not changed undoes nothing
        output.warn(error.what, error.hint)
        pointed = False
    if not pointed:
        how = "move that address" if grammar.is_address(node.public_host) else "change the DNS record"
        front.say(f"{how} now: {node.public_host} must lead to {node.host}")
    return work.wait(front.app, what, seconds, lambda: work.leads_there(front.app, node))


def _first_back(ready: Ready, before: datetime, seconds: int) -> bool:
    from vpnctl.actions.fleet import rebuild as work

    app, node = current().app, ready.old

    def heard() -> bool:
        return work.last_heard(app, node.id, read=True) != before

    return work.wait(app, f"{node.name} serves; waiting for the first device", seconds, heard)


def _report(
    ready: Ready,
    settled: Settled,
    took: dict[str, float | None],
    late: list[str],
    given: tuple[list[Any], list[str]],
    *,
    by_hand: bool,
    leads: bool,
) -> int:
    from vpnctl.cli.node_care import view_of

    front, name = current(), ready.old.name
    files, queued = given
    serves, back = took["serves"], took["first_device"]
    if not leads and not settled.code:
        front.say(f"note: {ready.new.public_host} does not lead to {ready.new.host} yet: until then nobody gets there")
    what = f"{name} serves on {ready.new.host}: {serves:.0f} s" if serves else ""
    what += f", the first device was back after {back:.0f} s" if back else ""
    rows = {"node": view_of(name), "seconds": took, "name_leads_there": leads, "devices": late}
    code = output.finish(front, [settled], what, files=files, queued=queued, **rows)
    left = [each for each in late if each not in queued and by_hand]
    if left and not front.json:
        front.say(f"{output.count(len(left), 'device')} need a new file, by hand:")
        front.say("\n".join(f"  {each}" for each in left[:_LISTED]))
        more = f"; all {len(left)}: vpnctl peer list --stale --node {name}" if len(left) > _LISTED else ""
        front.say(f"write them: vpnctl node rebuild {name} --host {ready.new.host} --out DIR{more}")
    return code or (0 if leads else PENDING)


def _hand_out(late: list[tuple[str, str]], out: Path | None) -> tuple[list[Any], list[str]]:
    """Write the new files and have the bot send them; return (rows of files, devices whose file is on its way)."""
    from vpnctl.actions.people import configs
    from vpnctl.actions.talk import handover
    from vpnctl.cli.deliver import hand_over

    front = current()
    if not late:
        return [], []
    sent = set(handover.send_anew(front.app, [peer_id for peer_id, _ in late]))
    queued = [device for peer_id, device in late if peer_id in sent]
    if queued:
        front.say(f"the bot sends a new file to the people of {output.count(len(queued), 'device')}")
    if out is None:
        return [], queued
    out.mkdir(mode=0o700, exist_ok=True)
    issued, lost = configs.kept(front.app, [peer_id for peer_id, _ in late])
    for each in lost:
        front.say(f"note: the key of {each} was not kept here: vpnctl peer regen {each}")
    return hand_over(front, issued, out=out), queued
