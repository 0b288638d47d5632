# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which revoked key a person means: by its fingerprint, by the first digits of it, or by the serial
of its ukey."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keyservice.contract import shell
from keyservice.contract.names import ErrorName

from .bus import Row
from .command import Failure
from .exits import Exit
from .language import _

DIGITS = 64  #: hexadecimal digits of a whole fingerprint
PREFIX_MIN = 4  #: fewer are more likely a slip than a name
_HEX = frozenset("0123456789abcdef")


def meant(words: str, revoked: Callable[[], Sequence[Row]]) -> str:
    """The fingerprint of the one key that `words` name, among those that `revoked` lists.

    A whole fingerprint is taken as it is: the keyservice knows whether that key is revoked. Raises
    ``Failure`` where no key fits or several do, and says which.
    """
    digits = words.lower()
    if len(digits) == DIGITS and _HEX.issuperset(digits):
        return digits
    fitting = [row for row in revoked() if _fits(row, words, digits)]
    if len(fitting) == 1:
        return str(fitting[0]["key"])
    if not fitting:
        text = _("No revoked key has a fingerprint or a serial that fits {words}.")
        hint = _(
            "Give the whole serial, or the first digits of the fingerprint, 4 at least; 'ukey "
            "revocation list' shows both."
        )
    else:
        text = _("{words} fits several revoked keys:")
        hint = _("Give as many digits of the fingerprint as tell them apart.")
    lines = [text.format(words=shell.word(words))]
    lines += [f"  {row['key']}  {shell.word(str(row['serial']))}" for row in fitting]
    facts = {"keys": [row["key"] for row in fitting]}
    raise Failure("\n".join(lines), Exit.USAGE, error=ErrorName.BAD_REQUEST, hint=hint, facts=facts)


def _fits(row: Row, words: str, digits: str) -> bool:
    if row["serial"] == words:
        return True
    return len(digits) >= PREFIX_MIN and str(row["key"]).startswith(digits)
