"""Settings: flag, environment, file, default; unknown ones are refused with their place."""

from __future__ import annotations

import pytest

from vpnctl.errors import InvalidInput
from vpnctl.settings import load


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path):
    file = tmp_path / "vpnctl.yaml"
    file.write_text("timezone: Europe/Berlin\nparallel: 5\n")
    found = load(file, {"HOME": str(tmp_path), "VPNCTL_PARALLEL": "9"})
    assert (found.timezone, found.parallel, found.client_secrets) == ("Europe/Berlin", 9, "store")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("timezon: UTC\n", ":1: unknown setting 'timezon'"),
        ("parallel: 5\ntimezone: Mars\n", ":2: timezone: 'Mars' is not a time zone"),
        ("parallel: 0\n", "not a valid number"),
        ("client_secrets: maybe\n", "expected `store` or `discard`"),
        ("state_dir: here\n", "expected an absolute path"),
        ("database_url: mysql://x\n", "expected sqlite"),
        ("- a\n", "expected `setting: value` lines"),
        ("timezone: ../../etc/passwd\n", "not a time zone"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path, text, says):
    file = tmp_path / "vpnctl.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        load(file, {"HOME": str(tmp_path)})
    assert says in caught.value.what


def test_an_unknown_variable_of_ours_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="VPNCTL_TIMEZON"):
        load(None, {"HOME": str(tmp_path), "VPNCTL_TIMEZON": "UTC"})


def test_an_empty_file_means_the_defaults(tmp_path):
    file = tmp_path / "vpnctl.yaml"
    file.write_text("# nothing\n")
    assert load(file, {"HOME": str(tmp_path)}).parallel == 64
