"""Talks to the database, never to nodes."""
