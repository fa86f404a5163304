"""The commands: what an operator types, and what is shown."""
