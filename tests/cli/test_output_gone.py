"""Outputs, inputs and terminals that are closed, gone or narrow."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def real(tmp_path, script):
    """Run the real program in a shell with a state of its own."""
    env = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "VPNCTL_STATE_DIR": str(tmp_path / "state"),
        "VPNCTL_KEY_FILE": str(tmp_path / "vault.key"), "V": f"{sys.executable} -m vpnctl",
    }  # fmt: skip
    return subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=False)


def test_a_closed_stderr_does_not_silence_stdout(tmp_path):
    done = real(tmp_path, "$V init --yes 2>&-")
    assert (done.returncode, done.stdout.startswith("vpnctl-recovery-")) == (0, True)
    done = real(tmp_path, "$V vault renew-recovery --show --yes 2>&-")
    assert (done.returncode, done.stdout.startswith("vpnctl-recovery-")) == (0, True)


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    done = real(tmp_path, "$V init --yes | cat; $V node key | true; echo ${PIPESTATUS[0]}")
    assert done.stdout.splitlines()[-1] == "0"


@pytest.mark.parametrize("args", ["vault confirm", "user add --from -", "inventory apply -"])
def test_a_closed_stdin_is_like_an_empty_one(tmp_path, args):
    done = real(tmp_path, f"$V init --yes | cat; $V {args} <&-")
    assert "bug" not in done.stderr
    assert done.returncode in (0, 2)


def test_arguments_that_are_no_text_are_refused(tmp_path):
    done = real(tmp_path, "$V init --yes | cat; $V user list --search $'\\xff'")
    assert done.returncode == 2
    done = real(tmp_path, "$V user add x; SUDO_USER=$'\\xff' $V user add y")
    assert done.returncode == 0


def test_a_terminal_without_the_letters_shows_escapes(tmp_path):
    done = real(tmp_path, "$V init --yes | cat; $V user add x --display-name علی; PYTHONIOENCODING=ascii $V user list")
    assert (done.returncode, "\\u0639" in done.stdout) == (0, True)


def test_version_is_printed(tmp_path):
    done = real(tmp_path, "$V --version")
    assert (done.returncode, done.stdout.startswith("vpnctl ")) == (0, True)
