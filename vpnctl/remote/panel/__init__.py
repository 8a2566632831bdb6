"""A 3x-ui panel: how it is reached, how one logs in there, and the driver of nodes that have one (docs/adr/0032)."""
