# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The factors that people can prove at a login, beside the password: a line each."""

from __future__ import annotations

from .factor import Factor
from .ukey import Ukey

#: In the order in which we look for a person: the first factor that they are enrolled in is asked.
FACTORS: tuple[Factor, ...] = (Ukey(),)
