"""Why somebody who is let in has no access, as they read it."""

from __future__ import annotations

from vpnctl.rules.access import Reason
from vpnctl.rules.translation import mark
from vpnctl.texts.words import Said, Words

_WHY = {
    Reason.NO_ACCESS: mark("You have no subscription yet."),
    Reason.ENDED: mark("Your subscription has ended."),
    Reason.CANCELLED: mark("Your subscription was cancelled."),
    Reason.QUOTA: mark("This month's traffic is used up; it begins anew on the 1st."),
    Reason.PERIOD_QUOTA: mark("Your traffic is used up for now; it comes back by itself."),
}
_NO_ACCESS = mark("You have no access now.")


def why(words: Words, reason: Reason) -> Said:
    """Return it as a sentence; what an operator decided has no reason of its own there."""
    return words.say(_WHY.get(reason, _NO_ACCESS))
