"""Which addresses are public, tested at each boundary in IANA's registries."""

import socket

import pytest

from monitor.channels import addresses
from monitor.channels.addresses import is_public

# The first and the last address of each network that is not public, and its neighbours if they are.
CLOSED = [
    ("", "0.0.0.0", "0.255.255.255", "1.0.0.0"),
    ("9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
    ("100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"),
    ("126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"),
    ("169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"),
    ("172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"),
    ("191.255.255.255", "192.0.0.0", "192.0.0.8", "192.0.0.9"),
    ("192.0.0.10", "192.0.0.11", "192.0.0.255", "192.0.1.0"),
    ("192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"),
    ("192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"),
    ("192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"),
    ("198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"),
    ("198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"),
    ("203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"),
    ("223.255.255.255", "224.0.0.0", "255.255.255.255", ""),
    ("", "::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"),
    ("2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::", "2001:1::", "2001:1::1"),
    ("2001:1::3", "2001:1::4", "2001:2:ffff:ffff:ffff:ffff:ffff:ffff", "2001:3::"),
    ("2001:3:ffff:ffff:ffff:ffff:ffff:ffff", "2001:4::", "2001:4:111:ffff::", "2001:4:112::"),
    ("2001:4:112:ffff::", "2001:4:113::", "2001:1f:ffff::", "2001:20::"),
    ("2001:3f:ffff::", "2001:40::", "2001:1ff:ffff::", "2001:200::"),
    ("2001:db7:ffff::", "2001:db8::", "2001:db8:ffff::", "2001:db9::"),
    ("2001:ffff:ffff::", "2002::", "2002:ffff:ffff::", "2003::"),
    ("3ffe:ffff:ffff::", "3fff::", "3fff:fff:ffff::", "3fff:1000::"),
    ("3fff:ffff:ffff::", "4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""),
]


@pytest.mark.parametrize(("before", "first", "last", "after"), CLOSED)
def test_addresses_at_each_network_boundary(before: str, first: str, last: str, after: str) -> None:
    assert [is_public(address) for address in (first, last)] == [False, False]
    assert all(is_public(address) for address in (before, after) if address)


@pytest.mark.parametrize(
    "address",
    [
        "93.184.215.14",
        "192.31.196.1",
        "192.52.193.1",
        "192.175.48.1",
        "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
        "2620:4f:8000::1",
        "::ffff:93.184.215.14",
        "64:ff9b::93.184.215.14",
        "64:ff9b::192.0.0.9",
    ],
)
def test_global_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "100::1",
        "100:0:0:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
        "2001:10::1",
        "2002:5db8:d70e::",  # 6to4, even of a public address
        "2002:7f00:1::",
        "5f00::1",
        "64:ff9b:1::93.184.215.14",
        "64:ff9b::10.0.0.1",
        "64:ff9b::192.0.0.8",
        "64:ff9b:0:0:0:1::",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:192.0.0.8",
        "fc00::1",
        "fd00::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ],
)
def test_special_purpose_address_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("host", ["a" * 64, "a..b", "a\0b", "*", ".", ""])
def test_invalid_host_name_does_not_resolve(host: str) -> None:
    with pytest.raises((socket.gaierror, addresses.Internal)):
        addresses.resolve(host, 443, False)
