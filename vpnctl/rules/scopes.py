"""What a key to the API may do. A scope names a part of the service; `read` reads all parts but secrets."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from vpnctl.errors import InvalidInput
from vpnctl.rules.grammar import clean


class Scope(StrEnum):
    """One right of a key."""

    READ = "read"
    PEOPLE = "people"
    """Add, change, block and remove people and their devices."""
    SECRETS = "secrets"
    """Read configs and people's links."""
    SALES = "sales"
    """Grant, extend and cancel access; decide on payments."""
    FLEET = "fleet"
    """Have nodes settled, drained and looked at; run jobs."""
    METRICS = "metrics"


def scopes(words: Iterable[str]) -> list[Scope]:
    """Return the scopes that these words name, each once, in their order above. Raises InvalidInput."""
    given = {word.strip() for word in words if word.strip()}
    for word in sorted(given):
        if word not in tuple(Scope):
            raise InvalidInput(f"'{clean(word)}' is not a scope", f"some of: {', '.join(Scope)}")
    if not given:
        raise InvalidInput("a key needs a scope", f"some of: {', '.join(Scope)}")
    return [each for each in Scope if each in given]
