"""Verbs on a timer."""
