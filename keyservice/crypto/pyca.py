# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the package ``cryptography`` raises where this host's OpenSSL takes an algorithm away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.exceptions import InternalError

from keyservice.core import fips


@contextmanager
def needs(name: str, *told_by: type[Exception]) -> Iterator[None]:
    """Inside, the algorithm `name` is used. Raises :class:`CryptoMissing` where it cannot be had:
    a signature that cannot be checked is not called wrong. `told_by`: what else means that."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, (InternalError, *told_by)):
            raise
        raise fips.lacking(name) from None
