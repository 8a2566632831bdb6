"""Nodes whose people live in a 3x-ui panel."""
