"""NATS JetStream, a real server."""
