"""The L7 tier without its sockets: what becomes of a request, and through whom."""
