"""The only room with sockets, clocks, tasks, chance and files."""
