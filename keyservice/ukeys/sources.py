# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The sources of this host's ukeys: one line each."""

from __future__ import annotations

from collections.abc import Callable

from .pcsc.source import Pcsc
from .source import Source

#: The function that makes each, with the service's monotonic clock.
SOURCES: tuple[Callable[[Callable[[], float]], Source], ...] = (Pcsc,)
