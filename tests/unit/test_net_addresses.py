"""The egress guard: which addresses may be connected to, in every spelling of them."""

import pytest

from leverframe.net.addresses import is_private, refusal

PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "100.128.0.1"]
PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.7",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fd12:3456::1",
    "fec0::1",
    "192.0.2.1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.7",
    "::127.0.0.1",
    "64:ff9b::10.0.0.7",
    "::ffff:0:10.0.0.7",
    "100.127.255.255",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.0.0.1",
    "192.0.0.8",
    "192.0.0.9",  # whoever maps ports here, by PCP
    "192.0.0.170",
    "::ffff:192.0.0.10",
    "64:ff9b::192.0.0.10",
    "4000::1",
    "8000::1",
    "1::1",
    "fe00::1",
    "100:0:0:1::1",
    "100::1",
    "2001:2::1",
]
NEVER = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.1.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "0.0.0.0",  # noqa: S104 an address to refuse, not to bind
    "0.1.2.3",
    "255.255.255.255",
    "240.0.0.1",
    "224.0.0.1",
    "::",
    "ff02::1",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::1",
    "2002:a9fe:a9fe::1",
    "2002:7f00:1::1",
    "2001:0:7f00:1::1",
    "::ffff:0.0.0.0",
    "::ffff:0:169.254.169.254",
    "64:ff9b:1:ffff:ffff:ffff:a9fe:a9fe",
    "192.88.99.1",
    "239.255.255.250",
    "::ffff:224.0.0.1",
    "ff05::1:3",
    "fd20:ce::254",
    "2001:0:a9fe:a9fe::",
    "254.1.1.1",
    "3fff::1",
    "5f00::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_needs_no_permission(address: str) -> None:
    assert refusal(address, is_private_allowed=False) == ""
    assert not is_private(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_needs_permission(address: str) -> None:
    assert refusal(address, is_private_allowed=False) in {"a private address", "a loopback address"}
    assert refusal(address, is_private_allowed=True) == ""


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("is_private_allowed", [False, True])
def test_link_local_metadata_and_nobodys_addresses_are_refused_whatever_the_project_says(
    address: str,
    is_private_allowed: bool,  # noqa: FBT001 pytest hands parameters over by position
) -> None:
    assert refusal(address, is_private_allowed=is_private_allowed)
