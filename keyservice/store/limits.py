# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""How much a record holds: for those, too, who only read the configuration."""

from __future__ import annotations

LABEL_MAX = 64  #: characters
CREDENTIALS_MAX = 8  #: of one person and one purpose
