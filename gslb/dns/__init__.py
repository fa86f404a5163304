"""The protocol: bytes ↔ values, no sockets."""
