"""Targets for tests of the proxy, made in a line."""

from collections import Counter
from ipaddress import ip_address

from hypothesis import strategies as st

from gslb.model import Member
from gslb.proxy.target import Target


def targets(*weights, active=()):
    """Return targets 192.0.2.1:80, .2:80, … with these effective weights and requests under way."""
    made = []
    for at, weight in enumerate(weights):
        address = ip_address("192.0.2.1") + at
        under_way = active[at] if at < len(active) else 0
        made.append(Target(f"{address}:80", "eu", Member(address), weight, under_way))
    return made


def weights(size_max=12, weight_max=9, size_min=1):
    return st.lists(st.integers(1, weight_max), min_size=size_min, max_size=size_max)


def draws():
    return st.floats(0, 1, exclude_max=True)


def each_place(total):
    """Return one draw in the middle of each of *total* equal parts of [0, 1)."""
    return [(place + 0.5) / total for place in range(total)]


def spread(balancer, count, *avoided):
    """Return how often *balancer* picks each, drawn at *count* places, without those *avoided*."""
    return Counter(balancer.pick(0, draw, 0.0, avoided) for draw in each_place(count))
