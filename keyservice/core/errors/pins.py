# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What is wrong with a PIN."""

from __future__ import annotations

from keyservice.core.codes import Code, ErrorName, Exit
from keyservice.core.marks import N_

from .base import UkeyError


class PinWrong(UkeyError):
    """The PIN is wrong. Facts: left (tries)."""

    name, code, exit = ErrorName.PIN_WRONG, Code.AUTH_ERR, Exit.PIN
    text = N_("The PIN is wrong.")


class AdminPinWrong(PinWrong):
    """The admin PIN is wrong. Facts: left (tries)."""

    text = N_("The admin PIN is wrong.")


class PinLocked(UkeyError):
    """The PIN is locked: no tries are left."""

    name, code, exit = ErrorName.PIN_LOCKED, Code.MAXTRIES, Exit.NO_TRY
    text = N_("The PIN is locked. An administrator unblocks it with: chpinpw --unblock {serial}")


class AdminPinLocked(PinLocked):
    """The admin PIN is locked: no tries are left."""

    text = N_("The admin PIN is locked as well. The PIN cannot be unblocked: replace the ukey.")


class TryWithheld(UkeyError):
    """A try is left, but this caller may not spend it. Facts: left (tries)."""

    name, code, exit = ErrorName.TRY_WITHHELD, Code.MAXTRIES, Exit.NO_TRY
    text = N_(
        "Only the last tries of the PIN are left, and they are kept back from here. Log in on a"
        " console of this machine, or have the PIN unblocked."
    )


class AdminTryWithheld(TryWithheld):
    """The last try of the admin PIN is left, which nobody may spend. Facts: left (tries)."""

    text = N_("Only the last try of the admin PIN is left, which is never spent. Replace the ukey.")


class Throttled(UkeyError):
    """Too many wrong PINs: no try is allowed for some seconds. Facts: seconds."""

    name, code, exit = ErrorName.THROTTLED, Code.MAXTRIES, Exit.NO_TRY
    text = N_("Too many wrong PINs. Wait {seconds} seconds and try again.")


class PinRefused(UkeyError):
    """What was typed cannot be a PIN. Facts: minimum, maximum (bytes)."""

    name, code, exit = ErrorName.PIN_REFUSED, Code.AUTH_ERR, Exit.PIN
    text = N_(
        "A PIN has {minimum} to {maximum} bytes, and no control characters; some ukeys take digits"
        " only."
    )


class PinUnchanged(PinRefused):
    """The new PIN is the present one."""

    text = N_("The new PIN was typed the same as the present one. Nothing was changed.")


class PinsDiffer(PinRefused):
    """The new PIN was not typed the same way twice."""

    text = N_("The new PIN was not typed the same way twice. Nothing was changed.")


class PinSimple(PinRefused):
    """The new PIN is one that many would guess. Facts: why, limit."""

    text = N_("The new PIN is too easy to guess: {why}. Nothing was changed.")


class ManagementKeyWrong(PinWrong):
    """The management key is wrong, or cannot be one."""

    text = N_(
        "The management key is wrong. It has 32, 48 or 64 hexadecimal digits; 'default' stands for"
        " the one that ukeys are shipped with."
    )


class DefaultPin(UkeyError):
    """The ukey still has the PIN that it was shipped with."""

    name, code, exit = ErrorName.DEFAULT_PIN, Code.AUTH_ERR, Exit.PIN
    text = N_("The ukey still has the PIN that it was shipped with. Change it first with: chpinpw")
