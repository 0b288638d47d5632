# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The words of the PAM line, the same as pam_ukey.so's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from keyservice.contract.names import DEADLINE_DEFAULT, DEADLINE_MAX, Flag

_TIMEOUT = re.compile(r"timeout=([0-9]{1,9})")


class OptionError(ValueError):
    """The line cannot be meant; nobody is let in by it."""


@dataclass(frozen=True, slots=True)
class Options:
    nouserok: bool = False
    uniform: bool = False
    decoy: bool = False
    change_pin: bool = False
    silent: bool = False  #: the program shows no texts
    debug: bool = False
    timeout: int = DEADLINE_DEFAULT  #: seconds, 1 to 300

    def flags(self, *, silent: bool, password: bool) -> Flag:
        """The flags by which the keyservice is told of the line; `password`: one is changed."""
        chosen = {
            Flag.UNIFORM: self.uniform,
            Flag.DECOY: self.decoy,
            Flag.NOUSEROK: self.nouserok,
            Flag.SILENT: silent,
            Flag.PASSWORD: password,
        }
        return Flag(sum(flag for flag, on in chosen.items() if on))


_SWITCHES = {field.name for field in fields(Options)} - {"timeout"}


def parse(words: Sequence[str]) -> Options:
    """The options that `words` mean. Raises :class:`OptionError`."""
    options = Options()
    for word in words:
        if word in _SWITCHES:
            options = replace(options, **{word: True})
        elif match := _TIMEOUT.fullmatch(word):
            options = replace(options, timeout=int(match[1]))
        else:
            raise OptionError(f"option not understood: {word}; nobody is let in")
        if not 1 <= options.timeout <= DEADLINE_MAX:
            raise OptionError(f"option not understood: {word}; nobody is let in")
    if options.decoy:  # a decoy that looked different would be none
        options = replace(options, uniform=True)
    if options.uniform and options.nouserok:
        raise OptionError("uniform hides who is enrolled and nouserok shows it; nobody is let in")
    return options
