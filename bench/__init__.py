"""Figures of gslb beside its peers, all of one run; see bench/README.md."""
