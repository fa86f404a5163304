"""The fast engine: datagrams answered from snapshot images, in threads without the interpreter."""
