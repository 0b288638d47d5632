# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Lists of patterns in sshd's Match blocks: what fits them, as sshd's match.c and addrmatch.c have
it, and values that do."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: The characters that are tried in the place of stars and question marks, where it does not matter.
_FILLERS = ("x", "zq7", "", "0-ukey", "nobody-9")
_LETTERS = "xq7-k"
#: Addresses for documents (RFC 5737, RFC 3849), and others that patterns with stars fit.
_ADDRESSES: tuple[str, ...] = (
    "192.0.2.1",
    "198.51.100.7",
    "203.0.113.9",
    "2001:db8::7",
    "10.1.1.1",
    "172.16.1.1",
)
_ADDRESSES += ("192.168.1.1", "127.0.0.1", "::1", "fe80::1", "100.64.1.1", "8.8.8.8")
_STARS = ("1", "1.1", "1.1.1", "7", "7.9", "7.9.3", "0.7", "201.7", ":7", ":1")
_MOST = 512


@dataclass(frozen=True)
class Patterns:
    """A list, as it stands behind a criterion. One that is all negation fits nobody."""

    text: str

    @property
    def wanted(self) -> list[str]:
        return [each for each in self.text.split(",") if each and each[0] != "!"]

    @property
    def unwanted(self) -> list[str]:
        return [each[1:] for each in self.text.split(",") if each[:1] == "!"]

    def fit(self, value: str) -> bool:
        """Matches names of users, hosts and the like."""
        return self.fit_any([value])

    def fit_any(self, values: Iterable[str]) -> bool:
        """The condition that a user's groups, or the one name of anything else, have to fulfil."""
        values = list(values)
        if any(_fits(each, value) for each in self.unwanted for value in values):
            return False
        return any(_fits(each, value) for each in self.wanted for value in values)

    def fit_address(self, value: str) -> bool:
        if any(_fits_address(each, value) for each in self.unwanted):
            return False
        return any(_fits_address(each, value) for each in self.wanted)

    def names(self, pool: Iterable[str]) -> list[str]:
        """One that fits for each pattern that is wanted, as far as one is found."""
        pool = list(pool)
        found = []
        for each in self.wanted:
            tried = itertools.chain(_made(each), pool)
            fitting = (name for name in tried if _fits(each, name) and self.fit(name))
            found += list(itertools.islice(fitting, 1))
        return found

    def addresses(self) -> list[str]:
        found = []
        for each in self.wanted:
            tried = itertools.chain(self._near(each), _ADDRESSES)
            fitting = (ip for ip in tried if _fits_address(each, ip) and self.fit_address(ip))
            found += list(itertools.islice(fitting, 1))
        return found

    def _near(self, pattern: str) -> Iterator[str]:
        """Within a network, and on both sides of each that is taken out of it."""
        network = _network(pattern)
        if network is None:
            stars = (pattern.replace("*", star).replace("?", "1") for star in _STARS)
            yield from (each for each in stars if _address(each) is not None)
        else:
            yield str(network[0] if network.num_addresses == 1 else network[1])
            yield from (str(network[0]), str(network[-1]))
        for each in self.unwanted:
            out = _network(each)
            if out is None:
                continue
            with suppress(ValueError):  # before all addresses
                yield str(out[0] - 1)
            with suppress(ValueError):  # behind all addresses
                yield str(out[-1] + 1)


def _made(pattern: str) -> Iterator[str]:
    """Names that the pattern fits."""
    stars, marks = pattern.count("*"), pattern.count("?")
    fillers = itertools.product(_FILLERS, repeat=min(stars, 3))
    letters = itertools.product(_LETTERS, repeat=min(marks, 3))
    for fill, letter in itertools.islice(itertools.product(fillers, letters), _MOST):
        filling, lettering = iter(fill), iter(letter)
        of = {"*": filling, "?": lettering}
        yield "".join(next(of[c], "x") if c in of else c for c in pattern)


def _fits(pattern: str, value: str) -> bool:
    """Stars and question marks; there is nothing else in sshd's patterns."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None


def _fits_address(pattern: str, value: str) -> bool:
    network, address = _network(pattern), _address(value)
    if network is None or address is None:
        return _fits(pattern, value)
    return address in network


def _network(pattern: str) -> _Network | None:
    try:
        return ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return None


def _address(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
