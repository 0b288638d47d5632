# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What can be a PIN of a PIV card, and the pair that it is asked to make."""

from __future__ import annotations

from keyservice.ukeys.kind import PinRule, Setting, Values

#: SP 800-73-4, part 2, 2.4.3. The standard's cards take digits only, others any bytes.
PIN_RULE = PinRule(6, 8)

#: The setting, and its choices: the algorithm of a pair that is made here.
NEW_PAIR = "new_pair"
SETTINGS = (Setting(NEW_PAIR, ("p256", "p384", "rsa2048", "rsa3072", "rsa4096", "ed25519", "sm2")),)


def new_algorithm(values: Values) -> str:
    """The algorithm of the pair: an RSA pair's length is no part of its name."""
    pair = str(values.get(NEW_PAIR, SETTINGS[0].usual))
    return "rsa" if pair.startswith("rsa") else pair
