"""The first login says what the server said."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from tests.lab.host import run as on_host
from tests.lab.servers import way_in, written


def test_a_forced_command_is_reported_in_the_servers_own_words(operator, bare):
    path = "root/.ssh/authorized_keys"
    line = (bare.root / path).read_text().splitlines()[0]
    forced = f"command=\"echo 'Please login as the user debian rather than root.'; exit 142\" {line}\n"
    with written(bare, path, forced, 0o600):
        said = operator(*way_in(bare), code=10)
    assert "Please login as the user debian" in said.err
    assert "vpnctl node add NAME USER@HOST" in said.err


@contextlib.contextmanager
def sshd(node, text: str) -> Iterator[None]:
    with written(node, "etc/ssh/sshd_config.d/00-lab.conf", text):
        node.sh("systemctl restart ssh")
        yield
    node.sh("systemctl restart ssh")


def test_a_server_that_wants_a_second_factor_is_said_to_want_one(operator, bare):
    with sshd(bare, "AuthenticationMethods publickey,password\n"):
        began = time.monotonic()
        said = operator(*way_in(bare), code=10)
    assert "wants a second factor: password" in said.err
    assert time.monotonic() - began < 8


def test_a_server_that_takes_no_passwords_says_what_it_takes(operator, bare):
    with sshd(bare, "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"):
        said = operator("node", "add", "x", f"root@{bare.address}", "--host-key-fp", bare.fingerprint(), "--password-stdin", code=10, stdin="secret\r\n")  # fmt: skip
    assert "takes no passwords; it takes: publickey" in said.err


def test_a_password_from_a_file_with_windows_line_ends_is_taken(operator, bare):
    bare.sh("echo root:correcthorse | chpasswd")
    with sshd(bare, "PasswordAuthentication yes\n"):
        operator("node", "add", "x", f"root@{bare.address}", "--host-key-fp", bare.fingerprint(), "--password-stdin", stdin="correcthorse\r\n")  # fmt: skip


def test_a_sudoer_for_some_commands_only_is_found_out_before_anything_is_saved(operator, bare):
    bare.sh("id debian >/dev/null 2>&1 || useradd -m -s /bin/bash debian; install -d -o debian -m 700 /home/debian/.ssh; install -o debian -m 600 /root/.ssh/authorized_keys /home/debian/.ssh/")  # fmt: skip
    with written(bare, "etc/sudoers.d/lab", "debian ALL=(ALL) NOPASSWD: /usr/bin/id, /usr/bin/apt-get\n", 0o440):
        said = operator("node", "add", "x", f"debian@{bare.address}", "--host-key-fp", bare.fingerprint(), "--identity", str(bare.key), code=10)  # fmt: skip
    assert "`sudo -n bash` does not work" in said.err
    assert operator("node", "list", "--json").json == []


def test_a_login_with_a_dot_gets_in(operator, bare):
    bare.sh("id john.doe >/dev/null 2>&1 || useradd --badname -m -s /bin/bash john.doe; install -d -o john.doe -m 700 /home/john.doe/.ssh; install -o john.doe -m 600 /root/.ssh/authorized_keys /home/john.doe/.ssh/")  # fmt: skip
    with written(bare, "etc/sudoers.d/lab", "john.doe ALL=(ALL) NOPASSWD: ALL\n", 0o440):
        operator("node", "add", "x", f"john.doe@{bare.address}", "--host-key-fp", bare.fingerprint(), "--identity", str(bare.key))  # fmt: skip


def test_a_slow_login_script_costs_one_or_two_sessions(operator, bare):
    with written(bare, "root/.bashrc", "sleep 2; echo $$ >>/root/sessions\n"):
        operator(*way_in(bare))
    sessions = (bare.root / "root/sessions").read_text().split()
    (bare.root / "root/sessions").unlink()
    assert len(sessions) <= 2


@pytest.mark.parametrize("how", ["fingerprint", "known_hosts"])
def test_a_host_key_of_another_type_that_was_vouched_for_is_asked_for(operator, bare, how, tmp_path):
    bare.sh("ssh-keygen -q -t ecdsa -N '' -f /etc/ssh/ssh_host_ecdsa_key <<<y >/dev/null 2>&1; systemctl restart ssh", check=False)  # fmt: skip
    public = (bare.root / "etc/ssh/ssh_host_ecdsa_key.pub").read_text()
    known = tmp_path / "known_hosts"
    known.write_text(f"{bare.address} {public}")
    print_ = on_host("ssh-keygen", "-lf", str(bare.root / "etc/ssh/ssh_host_ecdsa_key.pub")).split()[1]
    vouch = ("--host-key-fp", print_.removeprefix("SHA256:")) if how == "fingerprint" else ("--known-hosts", str(known))
    operator("node", "add", "x", f"root@{bare.address}", *vouch, "--identity", str(bare.key))
    operator("node", "provision", "x")
    (bare.root / "etc/ssh/ssh_host_ecdsa_key").unlink()
    (bare.root / "etc/ssh/ssh_host_ecdsa_key.pub").unlink()
    bare.sh("systemctl restart ssh")


@contextlib.contextmanager
def dead_resolver(node) -> Iterator[None]:
    """Names are asked for at a server from which nothing ever comes back, not even that it is not there."""
    text = "nameserver 192.0.2.53\noptions timeout:6 attempts:2\n"
    with written(node, "etc/resolv.conf", text):
        node.sh("ip route add 192.0.2.53 dev eth0; ip neigh replace 192.0.2.53 lladdr 02:00:00:00:00:01 dev eth0")
        yield
        node.sh("ip route del 192.0.2.53 dev eth0; ip neigh del 192.0.2.53 dev eth0", check=False)


def test_a_slow_login_is_said_to_be_slow_and_can_be_waited_for(operator, bare):
    with sshd(bare, "UseDNS yes\n"), dead_resolver(bare):
        said = operator(*way_in(bare), code=10)
        assert "did not come to an end within 10 s" in said.err
        assert "VPNCTL_LOGIN_SECONDS=60" in said.err
        operator.more["VPNCTL_LOGIN_SECONDS"] = "60"
        operator(*way_in(bare))


def test_a_slow_sudo_is_waited_for(operator, bare):
    bare.sh("id debian >/dev/null 2>&1 || useradd -m -s /bin/bash debian; install -d -o debian -m 700 /home/debian/.ssh; install -o debian -m 600 /root/.ssh/authorized_keys /home/debian/.ssh/")  # fmt: skip
    sudoers = written(bare, "etc/sudoers.d/lab", "debian ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    with sudoers, written(bare, "etc/hosts", "127.0.0.1 localhost\n"), dead_resolver(bare):
        operator("node", "add", "x", f"debian@{bare.address}", "--host-key-fp", bare.fingerprint(), "--identity", str(bare.key))  # fmt: skip
