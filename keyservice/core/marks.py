# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The mark of texts that are translated where they are used."""

from __future__ import annotations


def N_(text: str) -> str:
    """Mark `text` for translation where it stands."""
    return text
