"""What the readers of network configuration share: words that are addresses, and values of bounded length.

Specification: RFC 4291, 2.2, for how IPv6 addresses are written.
"""

from collections.abc import Iterable

from preflight.guest_facts import Interface
from preflight.guests._text import shown

MAX_ADDRESSES = 64  # of one interface
MAC = frozenset("0123456789abcdef:-.; ")  # also in the older notation of NetworkManager, and several
MAX_WORD = 256  # characters of a name or an address: the longest honest ones are lists of patterns


def interface(
    name: str, dynamic: bool, addresses: Iterable[str], path: str, *, mac: str | None = None, starts: bool = True
) -> Interface:
    """An interface: by DHCP, else with fixed addresses, else with none. IPv6 addresses alone make no IPv4 method."""
    found = tuple(dict.fromkeys(_shown(address) for address in addresses if address))[:MAX_ADDRESSES]
    has_ipv4 = any(":" not in address for address in found)
    return Interface(
        name=_shown(name),
        method="dhcp" if dynamic else "static" if has_ipv4 else "none",
        addresses=found,
        mac=_shown(mac) if mac and set(mac.lower()) <= MAC else None,  # no `random`, `stable`, `permanent`
        starts_at_boot=starts,
        read_from=shown(path),
    )


def is_address(word: str) -> bool:
    """Whether a word has the form of an address, with or without the length of its prefix: no more is asked."""
    address = word.partition("/")[0]
    if ":" in address:
        return set(address) <= set("0123456789abcdefABCDEF:.") and address.count(":") > 1
    return address.count(".") == 3 and set(address) <= set("0123456789.")


def _shown(word: str) -> str:
    return shown(word[:MAX_WORD])
