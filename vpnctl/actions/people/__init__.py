"""People, their devices, and how they come in."""
