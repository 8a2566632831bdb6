"""Ratios measured side by side in one run: `make bench`. Nothing here is asserted; the machine is noisy."""
