"""Everything that people read."""
