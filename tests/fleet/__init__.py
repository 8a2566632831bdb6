"""Nodes and what runs on them."""
