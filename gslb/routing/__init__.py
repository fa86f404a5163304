"""The decision: who is answered what, and why; chance and time are arguments."""
