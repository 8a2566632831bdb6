"""`make demo`: the main job and two drills on three throw-away servers of this machine, narrated, with real packets.

Where this machine cannot boot servers it says why and runs the same commands against the tests' in-memory node,
labelled as a simulation. With `--keep` (make demo ARGS=--keep) the servers stay up at the end, until Ctrl-C.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.lab import amneziawg, cores, host

PROGRAM = str(Path(sys.executable).with_name("vpnctl"))
WIDTH = 78
FAILED: list[str] = []
KEEP = "--keep"


def narrate(text: str) -> None:
    """Say what comes next."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def show(command: str, output: str) -> None:
    """Show a command and what it printed, keys shortened."""
    print(f"$ vpnctl {command}", flush=True)
    lines = output.rstrip().splitlines()
    for line in lines[:14]:
        key, equals, value = line.partition(" = ")
        hidden = f"{key} = {value[:6]}…" if equals and key in ("PrivateKey", "PresharedKey") else line
        print(f"    {hidden[:110]}", flush=True)
    if len(lines) > 14:
        print("    …", flush=True)


def proof(what: str, seen: bool, expected: bool = True) -> None:
    """Show what packets say; remember when they say something else than they should."""
    print(
        f"    [{'ok' if seen == expected else 'WRONG'}] {what}: {'traffic flows' if seen else 'no traffic'}", flush=True
    )
    if seen != expected:
        FAILED.append(what)


def story(
    vpnctl: Callable[..., str], nodes: list[tuple[str, str, list[str]]], client: Callable[[], object] | None
) -> None:
    """Run the main job. `client` makes a user's machine, or is None in the simulation."""
    from tests.lab.network import FAR_V4, SITE
    from tests.lab.phones import Phone

    def flows(phone, seconds=20.0):
        return phone.ping(FAR_V4, seconds)

    narrate("1. Create the state: database, key file, an SSH key of our own")
    vpnctl("init", "--yes")
    narrate("2. Two bare servers become serving nodes (host key pinned, key installed, packets proven to be forwarded)")
    for name, target, more in nodes[:2]:
        vpnctl("node", "add", name, target, *more, "--provision")
    narrate("3. Run again, nothing changes")
    vpnctl("node", "provision", nodes[0][0])
    narrate("4. A person gets a device; the file that is printed is what the client imports")
    vpnctl("user", "add", "alice")
    config = vpnctl("peer", "add", "alice", "--node", "helsinki")
    phone = client() if client else None
    if phone:
        phone.connect(config)
        proof("alice through helsinki", flows(phone))
        print(f"    the far side sees {phone.get(FAR_V4)}, the address of helsinki", flush=True)
    vpnctl("peer", "list", "--live")
    narrate("5. Suspended: done only when the node was read and the peer was not there")
    vpnctl("peer", "suspend", "alice")
    if phone:
        proof("alice while suspended", not phone.silent(FAR_V4, 2), expected=False)
    vpnctl("peer", "resume", "alice")
    if phone:
        proof("alice again, same file", flows(phone, 30))
    narrate("6. Moved: the new peer works before the old one ends")
    new = vpnctl("user", "migrate", "alice", "--to", "falkenstein")
    tablet = client() if client else None
    if phone and tablet:
        proof("the old file, still", flows(phone))
        tablet.connect(new)
        proof("the new file", flows(tablet))
        print(f"    the far side sees {tablet.get(FAR_V4)}, the address of falkenstein", flush=True)
    narrate("7. The timer's job sees the first handshake there and ends the old peer")
    vpnctl("jobs", "run", "sync")
    if phone and tablet:
        proof("the old file after the handshake of the new one", not phone.silent(FAR_V4, 2), expected=False)
        proof("the new file", flows(tablet))
    narrate("8. Regenerated: new keys, same address, the old key cut at once")
    fresh = vpnctl("peer", "regen", "alice")
    if tablet:
        proof("the old key", not tablet.silent(FAR_V4, 2), expected=False)
        tablet.connect(fresh)
        proof("the new key", flows(tablet))
    lacks = amneziawg.why_not() if client else None
    narrate("9. Where WireGuard is filtered: AmneziaWG on the same node" + (f" (left out: {lacks})" if lacks else ""))
    if not lacks:
        vpnctl("endpoint", "add", "helsinki", "amneziawg")
        vpnctl("user", "add", "bob")
        config = vpnctl("peer", "add", "bob", "--node", "helsinki", "--protocol", "amneziawg")
        laptop = client() if client else None
        if laptop:
            laptop.connect(config)
            proof("bob through helsinki, disguised", flows(laptop))
        vpnctl("peer", "list")
    lacks = cores.why_not() if client else "a simulation has nothing to fetch its program from"
    narrate("10. Where UDP is filtered: Xray on the same node" + (f" (left out: {lacks})" if lacks else ""))
    if not lacks and client:
        face = (f"target={FAR_V4}:443", f"server_name={SITE}", "private_networks=allow")
        vpnctl("endpoint", "add", "helsinki", "xray", *(word for each in face for word in ("--option", each)))
        vpnctl("user", "add", "carol")
        vpnctl("peer", "add", "carol/phone", "--node", "helsinki", "--protocol", "xray")
        carol = Phone(client(), "carol/phone")
        carol.use("xray", vpnctl("user", "link", "carol", "--format", "mihomo"))
        proof("carol through helsinki, in TLS to another site", carol.reaches())
        with carol.uploading() as upload:
            vpnctl("peer", "suspend", "carol/phone")
            time.sleep(1)
            proof("carol's upload, which was under way", upload.poll() is None, expected=False)
        carol.disconnect()
        vpnctl("peer", "list")
    narrate("11. Revoked: absence was read on the node")
    vpnctl("peer", "revoke", "alice")
    if tablet:
        proof("alice", not tablet.silent(FAR_V4, 2), expected=False)
    vpnctl("node", "check")
    vpnctl("event", "list", "--limit", "6")
    vpnctl("status")
    if client:
        drills(vpnctl, nodes, client())


def drills(vpnctl: Callable[..., str], nodes: list[tuple[str, str, list[str]]], phone: Any) -> None:
    """Lose the operator's machine, then a server, with somebody connected all the while."""
    from tests.lab.network import FAR_V4

    home = Path(os.environ.get("DEMO_HOME", ""))
    narrate("12. The operator's machine is lost: a backup and the recovery key bring the service back")
    vpnctl("user", "add", "dora")
    phone.connect(vpnctl("peer", "add", "dora", "--node", "helsinki"))
    proof("dora through helsinki", phone.ping(FAR_V4, 20))
    key = vpnctl("vault", "renew-recovery", "--show", "--yes")
    vpnctl("backup", "create", "--out", str(home / "elsewhere"))
    shutil.rmtree(home / "state")
    (home / "vault.key").unlink()
    backup = next((home / "elsewhere").iterdir())
    vpnctl("--config", str(home / "vpnctl.yaml"), "backup", "restore", str(backup), stdin=key)
    vpnctl("backup", "finish")
    proof("dora, who noticed nothing", phone.ping(FAR_V4, 5))
    narrate("13. The server is lost: the same node comes back on another one, from the database alone")
    name, target, more = nodes[-1]
    vpnctl("--yes", "node", "rebuild", "helsinki", "--host", target, *more, "--wait", "1", "--out", str(home / "new"))
    phone.connect(next((home / "new").glob("dora*.conf")).read_text())
    proof(f"dora through helsinki, which is {name} now", phone.ping(FAR_V4, 20))


@contextlib.contextmanager
def real() -> Iterator[tuple[Callable[..., str], list[tuple[str, str, list[str]]], Callable[[], object]]]:
    from tests.lab.network import Lab

    with Lab(lambda text: print(f"({text})", flush=True)) as lab, tempfile.TemporaryDirectory() as home:
        started = time.monotonic()
        servers = [lab.node(hostname=name) for name in ("helsinki", "falkenstein", "spare")]
        print(f"(booted three bare Debian servers in {time.monotonic() - started:.1f} s)", flush=True)
        env = {**os.environ, "HOME": home, "VPNCTL_STATE_DIR": f"{home}/state", "VPNCTL_KEY_FILE": f"{home}/vault.key"}
        if cores.why_not() is None:  # the servers reach no network: Xray's archive is in their image
            env["VPNCTL_XRAY_ARCHIVE"] = cores.setting(lab.base)

        os.environ["DEMO_HOME"] = home

        def vpnctl(*args: str, stdin: str | None = None) -> str:
            done = subprocess.run([PROGRAM, *args], env=env, capture_output=True, text=True, check=False, input=stdin)
            show(" ".join(args), done.stdout + done.stderr)
            if done.returncode:
                FAILED.append(" ".join(args))
            return done.stdout

        nodes = [
            (each.name, f"root@{each.address}", ["--host-key-fp", each.fingerprint(), "--identity", str(each.key)])
            for each in servers
        ]
        yield vpnctl, nodes, lab.client
        if KEEP in sys.argv:
            keep(home)


def keep(home: str) -> None:
    """Leave everything running until Ctrl-C, so that somebody can go on by hand."""
    narrate("The two servers stay up until Ctrl-C. In another terminal:")
    print(f"    export HOME={home} VPNCTL_STATE_DIR={home}/state VPNCTL_KEY_FILE={home}/vault.key")
    print(f"    {PROGRAM} status", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


@contextlib.contextmanager
def simulated() -> Iterator[tuple[Callable[..., str], list[tuple[str, str, list[str]]], None]]:
    """The same commands in this process, the nodes in memory."""
    import vpnctl.app
    from tests.fakenode import Fleet
    from vpnctl.cli.main import main
    from vpnctl.remote import enroll, probe, ssh

    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJbeUjQt/bDeAK6smLQiZsG7ODkwca1KgBwY8xy0jyuj"
    fleet = Fleet(time.time)
    vpnctl.app._connector = lambda *_args: fleet.connect
    probe.shake = fleet.shake
    ssh.scan = lambda _login, _key=None: key
    enroll.install_key = lambda *_args: None
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"HOME": home, "VPNCTL_STATE_DIR": f"{home}/state", "VPNCTL_KEY_FILE": f"{home}/vault.key"}

        def run(*args: str) -> str:
            out, err = io.StringIO(), io.StringIO()
            if args[:2] == ("jobs", "run"):
                for node in fleet.nodes.values():
                    for peers in (link.peers for link in node.links.values()):
                        for peer in peers.values():
                            peer[2] = str(int(time.time()))
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(list(args))
            show(" ".join(args), out.getvalue() + err.getvalue())
            if code:
                FAILED.append(" ".join(args))
            return out.getvalue()

        vouch = ["--host-key-fp", ssh.fingerprint(key)]
        yield run, [(name, f"root@{name}.example.org", vouch) for name in ("helsinki", "falkenstein")], None


def main() -> int:
    reason = host.why_not()
    if reason:
        print(f"SIMULATION: this machine cannot boot servers: {reason}.")
        print("The same commands run against an in-memory node; there are no packets to show.")
    elif host.missing():
        print(f"(installing {', '.join(host.missing())})", flush=True)
    started = time.monotonic()
    with simulated() if reason else real() as (vpnctl, nodes, client):
        started = time.monotonic()
        story(vpnctl, nodes, client)
        took = time.monotonic() - started
    print(
        f"\n{'SIMULATION, no packets: ' if reason else ''}the main job took {took:.0f} s; everything is removed again."
    )
    for each in FAILED:
        print(f"FAILED: {each}")
    return 1 if FAILED else 0


if __name__ == "__main__":
    raise SystemExit(main())
