"""Access by time."""
