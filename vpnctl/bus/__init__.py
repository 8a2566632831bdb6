"""NATS JetStream (extra `bus`): events for whoever wants them, and a queue of nodes for many workers."""
