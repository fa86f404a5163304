"""Targets: where a member is connected to."""

from ipaddress import ip_address

import pytest

from gslb.model import Member
from gslb.proxy.target import Target


@pytest.mark.parametrize(
    ("name", "endpoint"),
    [("192.0.2.1:80", ("192.0.2.1", 80)), ("[2001:db8::1]:8443", ("2001:db8::1", 8443))],
)
def test_a_target_is_connected_to_at_what_its_name_says(name, endpoint):
    assert Target(name, "eu", Member(ip_address(endpoint[0]))).endpoint == endpoint
