# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A second network namespace, joined to the host's by a cable: remote people sit there."""

from __future__ import annotations

from .process import must, run

NEAR, FAR = "10.99.0.1", "10.99.0.2"


class Far:
    """`prefix`, put before a command, runs it there; `address` is where this host is from there."""

    prefix: tuple[str, ...] = ("ip", "netns", "exec", "far")
    address = NEAR

    def __init__(self) -> None:
        must(["ip", "netns", "add", "far"])
        must(["ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", "far"])
        must(["ip", "address", "add", f"{NEAR}/24", "dev", "near"])
        must(["ip", "link", "set", "near", "up"])
        must(["ip", "-n", "far", "address", "add", f"{FAR}/24", "dev", "far"])
        must(["ip", "-n", "far", "link", "set", "far", "up"])
        must(["ip", "-n", "far", "link", "set", "lo", "up"])

    def close(self) -> None:
        # With the namespace goes its end of the cable, and with that the other end.
        run(["ip", "link", "delete", "near"])
        run(["ip", "netns", "delete", "far"])
