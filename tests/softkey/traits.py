# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""How one make of ukeys differs from another where sources disagree on the standard.

Traits belong to a ukey for life and lie in its state file; ``misbehave`` has the faults that it may
show at times.
"""

from __future__ import annotations

from dataclasses import dataclass

from .switches import check, choice, flag


@dataclass(frozen=True, slots=True)
class Traits:
    """The defaults are what most sources say. Raises :class:`ValueError` for another value."""

    byte_order: str = choice("little", "big", help="integers inside data")
    mac_lc: str = choice(
        "data",
        "data+mac",
        "swapped",
        "wire",
        help="what a MAC's Lc counts: the data (0012), also the MAC (0016), that swapped (1600), "
        "or as the command has it (000016)",
    )
    pin_block: str = choice(
        "padded", "sized", help="what is encrypted: data, 00…; or its u16, data, 80, 00…"
    )
    size_order: str = choice(
        "same", "other", help="GenECCKeyPair's bits in the order of all integers, or the other one"
    )
    name_length: int = choice(32, 48, help="bytes of CreateApplication's name")
    info_le: str = choice("any", "0120", "0000", help="the Le that GetDevInfo takes")
    pin_hash: str = choice("sha1", "sm3", help="how a PIN becomes a key")
    wrong_key: str = choice(
        "63CX", "shifted", help="a wrong PIN answers 63CX, or one firmware's 63C0 | left << 8"
    )
    le: str = choice("up-to", "exact", help="an Le above the answer's length is fine, or 6CXX")
    more_data: bool = flag(help="announce all data by 61XX, for GET RESPONSE to fetch")
    reopen: str = choice(
        "same", "refused", help="opening an open application: the same id again, or 6A8A"
    )
    authorisation: str = choice(
        "until-cleared", "once", help="a verified PIN lasts until cleared, or for one signature"
    )

    def __post_init__(self) -> None:
        check(self)
