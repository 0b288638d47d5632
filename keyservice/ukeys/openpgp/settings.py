# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What can be a PIN of an OpenPGP card, the pair that it is asked to make, and by what its PIN is
unblocked."""

from __future__ import annotations

from keyservice.ukeys.kind import PinRule, Setting, Values

#: PW1 (4.3.1), as long as any card takes it.
PIN_RULE = PinRule(6, 127)
#: Of the admin PIN and of the resetting code.
ADMIN_MINIMUM = 8

#: The algorithm of a pair that is made here: its name and choices are those of PIV cards.
NEW_PAIR = "new_pair"
#: What is typed to unblock the PIN. Both at once cannot be tried: a wrong one costs a try.
UNBLOCK_WITH = "unblock_with"
ADMIN_PIN, RESET_CODE = "admin-pin", "reset-code"
SETTINGS = (
    Setting(NEW_PAIR, ("p256", "p384", "rsa2048", "rsa3072", "rsa4096", "ed25519", "sm2")),
    Setting(UNBLOCK_WITH, (ADMIN_PIN, RESET_CODE)),
)


def new_algorithm(values: Values) -> str:
    """The algorithm of the pair: an RSA pair's length is no part of its name."""
    pair = str(values.get(NEW_PAIR, SETTINGS[0].usual))
    return "rsa" if pair.startswith("rsa") else pair
