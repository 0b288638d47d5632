# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The examples on which the suite runs: a line for each kind, in a file each."""

from __future__ import annotations

from .example import Example
from .gmt0017 import GMT0017
from .openpgp import OPENPGP
from .piv import PIV
from .toy import TOY

EXAMPLES: tuple[Example, ...] = (GMT0017, PIV, OPENPGP, TOY)
