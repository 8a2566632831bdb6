"""Talks to nodes, never to the database."""
