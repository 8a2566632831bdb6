"""Packages and cores in other versions: one node first, proven by packets, and back where that fails."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.conftest import cannot
from tests.lab import cores
from tests.lab.conftest import Operator, wipe
from tests.lab.network import FAR_V4, SITE
from tests.lab.phones import Phone
from tests.lab.test_crash import KILLER

INSTALLED = "/var/lib/vpnctl/xray.archive"
KEPT = "var/lib/vpnctl/before-update"


def _archive(path, program):
    """An archive with this program, as its makers publish one; return its digest."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.write(program, "xray")
        archive.writestr("README", path.name)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def service(lab, booted, tmp_path_factory):
    """Two nodes with Xray; the operator may pin another archive, by name, from then on: `newer`, `broken`."""
    if cores.why_not():
        cannot("updates of a core", cores.why_not())
    operator = Operator(tmp_path_factory.mktemp("update"), more={"VPNCTL_XRAY_ARCHIVE": cores.setting(lab.base)})
    operator("init", "--yes")
    own = ("--option", f"target={FAR_V4}:443", "--option", f"server_name={SITE}", "--option", "private_networks=allow")
    for name, node in zip(("fi", "de"), booted, strict=True):
        operator.take(name, node)
        operator("endpoint", "add", name, "xray", *own)
    yield operator
    for node in booted:
        node.sh(
            "rm -rf /srv/newer.zip /srv/broken.zip /srv/killed*.zip /srv/debs /etc/apt/sources.list.d/lab.list",
            check=False,
        )
        wipe(node)


@pytest.fixture
def phone(lab, service):
    """alice's phone speaks Xray with fi."""
    service("user", "add", "alice", "--unlimited")
    service("peer", "add", "alice/phone", "--node", "fi", "--protocol", "xray")
    device = Phone(lab.client(), "alice/phone")
    try:
        device.connect(service, "xray")
        assert device.reaches()
        yield device
    finally:
        device.disconnect()
        service("user", "remove", "alice", "--yes", code=None)


def pin(service, lab, name, program):
    """From now on the operator wants this archive on all nodes."""
    digest = _archive(service.home / f"{name}.zip", program)
    for node in service.nodes.values():
        shutil.copy(service.home / f"{name}.zip", node.root / "srv")
    service.more = {**service.more, "VPNCTL_XRAY_ARCHIVE": f"file:///srv/{name}.zip#sha256={digest}"}
    return digest


def installed(service):
    return [node.sh(f"cat {INSTALLED}").strip() for node in service.nodes.values()]


def test_a_core_is_changed_by_nothing_but_an_update_and_serves_on(service, lab, phone):
    before = installed(service)
    new = pin(service, lab, "newer", lab.base / cores.TOOLS / "xray")
    service("node", "sync", code=None)
    assert installed(service) == before, "not by the way"
    assert "vpnctl node update fi" in service("node", "check", "fi", code=None).out
    done = service("--yes", "node", "update", "--wait", "1")
    assert installed(service) == [new, new]
    assert "updated, and packets pass" in done.err
    assert phone.reaches(40)
    assert "nothing is newer" in service("--yes", "node", "update", "--package", "xray").err
    for node in service.nodes.values():
        assert not (node.root / KEPT).exists()


def test_a_core_that_does_not_serve_goes_back_by_itself_and_the_other_node_is_not_touched(
    service, lab, phone, tmp_path
):
    before = installed(service)
    broken = tmp_path / "xray"
    broken.write_text("#!/bin/sh\nexit 1\n")
    pin(service, lab, "broken", broken)
    done = service("--yes", "node", "update", "fi", "de", "--wait", "1", code=None)
    assert done.code == 10
    assert "fi: gone back" in done.err
    assert "not touched: de" in done.err
    assert installed(service) == before
    assert phone.reaches(40)


def test_a_killed_update_goes_on_with_the_next_run(service, lab, phone):
    fi = service.nodes["fi"]
    new = pin(service, lab, "newer", lab.base / cores.TOOLS / "xray")
    kept = "/var/lib/vpnctl/before-update"
    fi.sh(
        f"mkdir -p {kept}; cp /usr/local/bin/xray {INSTALLED} {kept}; printf 'program\\txray\\told\\t-\\n' >{kept}/plan"
    )
    done = service("--yes", "node", "update", "--wait", "1")
    assert "an update was begun there and goes on" in done.err
    assert installed(service) == [new, new]
    assert not (fi.root / KEPT).exists()
    assert phone.reaches(40)


def test_an_update_that_is_killed_at_any_border_ends_well_when_it_is_run_again(service, lab):
    for point in range(2, 80, 8):
        new = pin(service, lab, f"killed{point}", lab.base / cores.TOOLS / "xray")
        command = [sys.executable, "-c", KILLER, str(point), "--yes", "node", "update", "--wait", "0"]
        done = subprocess.run(command, env=service.env, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -9, done
        service("--yes", "node", "update", "--wait", "0")
        assert installed(service) == [new, new], point
        assert not any((node.root / KEPT).exists() for node in service.nodes.values())
    assert point > 20
    assert done.returncode == 0, "the loop came to an end"
    service("node", "check", "fi")


@pytest.fixture
def newer_tools(service, tmp_path):
    """The servers' sources have a newer `wireguard-tools`, whose `wg` does not work; and the version that is there."""
    for node in service.nodes.values():
        folder = node.root / "srv/debs"
        folder.mkdir(parents=True)
        _deb(tmp_path / "old", node, folder, works=True)
        _deb(tmp_path / "new", node, folder, works=False)
        listing = subprocess.run(
            ["dpkg-scanpackages", "-m", "."], cwd=folder, capture_output=True, text=True, check=True
        ).stdout
        (folder / "Packages").write_text(listing)
        (node.root / "etc/apt/sources.list.d/lab.list").write_text("deb [trusted=yes] file:/srv/debs ./\n")
        shutil.rmtree(tmp_path / "old")
        shutil.rmtree(tmp_path / "new")
    return service


def _deb(work, node, folder, *, works):
    """Pack what the node has of wireguard-tools anew: as it is, or one version later and without a `wg` that works."""
    version = node.sh("dpkg-query -W -f '${Version}' wireguard-tools").strip()
    for path in node.sh("dpkg -L wireguard-tools").split():
        here, there = node.root / path.lstrip("/"), work / path.lstrip("/")
        if not here.is_dir() and (here.is_file() or here.is_symlink()):
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(here, there, follow_symlinks=False)
    control = node.sh("dpkg-query -s wireguard-tools").replace("Status: install ok installed\n", "")
    control = "".join(f"{line}\n" for line in control.splitlines() if not line.startswith(("Conffiles:", " /")))
    if not works:
        control = control.replace(f"Version: {version}", f"Version: {version}.1")
        (work / "usr/bin/wg").write_text("#!/bin/sh\nexit 1\n")
    (work / "DEBIAN").mkdir()
    (work / "DEBIAN/control").write_text(control)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(work), str(folder)], check=True, capture_output=True)


def test_a_package_that_breaks_a_node_goes_back_to_the_version_before(newer_tools, lab):
    service = newer_tools
    versions = [node.sh("dpkg-query -W -f '${Version}' wireguard-tools") for node in service.nodes.values()]
    shown = service("node", "update", "--package", "wireguard-tools", "--dry-run")
    assert f"fi: wireguard-tools {versions[0]} -> {versions[0]}.1" in shown.err
    done = service("--yes", "node", "update", "fi", "de", "--package", "wireguard-tools", "--wait", "1", code=None)
    assert done.code != 0
    assert "fi: gone back" in done.err
    assert [node.sh("dpkg-query -W -f '${Version}' wireguard-tools") for node in service.nodes.values()] == versions
    service("node", "check", "fi")
