"""All that is due with payments, part by part: what fails in one of them keeps no other from being done."""

from __future__ import annotations

from collections.abc import Iterator

from vpnctl.actions.sales import callbacks, checkout, copies, proofs, reconciling, refunds
from vpnctl.actions.sales.checkout import Round
from vpnctl.app import App
from vpnctl.errors import told


def rounds(app: App) -> Iterator[Round]:
    """Yield what each part came to."""
    for part in (callbacks.work, checkout.work, refunds.work, copies.work, proofs.work, reconciling.work):
        try:
            yield part(app)
        except Exception as error:  # noqa: BLE001 - money must go on
            yield Round(troubles=[told(error)])
