"""Wrong values are refused."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "args",
    [
        ("node", "provision", "fi", "--forward-rule", "noen"),
        ("node", "set", "fi", "--capacity", "1" + "0" * 30),
        ("node", "set", "fi", "--traffic-limit", "much"),
    ],
)
def test_a_wrong_value_is_refused(service, args):
    assert service(*args).code == 2


def test_a_number_with_thousands_of_digits_is_refused(service, tmp_path):
    path = tmp_path / "i.yaml"
    path.write_text(f"users:\n  - {{name: a, devices: {'9' * 5000}}}\n")
    assert service("inventory", "apply", str(path), "--yes").code == 2
