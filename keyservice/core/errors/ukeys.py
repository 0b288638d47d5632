# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What is wrong with a ukey or its reader."""

from __future__ import annotations

from keyservice.core.codes import Code, ErrorName, Exit
from keyservice.core.marks import N_

from .base import UkeyError


class ReaderAbsent(UkeyError):
    """No reader is there, or pcscd is not running."""

    name, code, exit = ErrorName.READER_ABSENT, Code.AUTHINFO_UNAVAIL, Exit.ABSENT
    text = N_("No reader is there. Insert the ukey; if it is inserted, pcscd may not be running.")


class PcscdAbsent(ReaderAbsent):
    """pcscd is not running."""


class UkeyAbsent(UkeyError):
    """The ukey is not in any reader."""

    name, code, exit = ErrorName.UKEY_ABSENT, Code.AUTHINFO_UNAVAIL, Exit.ABSENT
    text = N_("Ukey {serial} is not inserted. Insert it and try again.")


class UkeysAbsent(UkeyAbsent):
    """None of the person's ukeys is in a reader. Facts: ukeys."""

    text = N_("None of your ukeys is inserted: {ukeys}. Insert one and try again.")


class UkeyRemoved(UkeyAbsent):
    """The ukey was taken out while it was in use."""

    text = N_("The ukey was taken out too early. Insert it and try again.")


class UkeyRestarted(UkeyError):
    """The ukey was away for a moment, while it was in use. Facts: serial, why."""

    name, code, exit = ErrorName.UKEY_RESTARTED, Code.AUTHINFO_UNAVAIL, Exit.ABSENT
    text = N_("The ukey was away for a moment: {why}. Try again.")


class UkeyHeld(UkeyError):
    """There is a card in a reader that cannot be used just now. Facts: reader, why, serial."""

    name, code, exit = ErrorName.UKEY_HELD, Code.AUTHINFO_UNAVAIL, Exit.UNUSABLE
    text = N_(
        "The reader {reader} cannot be used: {why}. If your ukey is in it, end that program, or"
        " take the ukey out and insert it again."
    )


class UkeyUnknown(UkeyError):
    """What is in the reader is not a ukey of a kind that is known here."""

    name, code, exit = ErrorName.UKEY_UNKNOWN, Code.AUTHINFO_UNAVAIL, Exit.UNUSABLE
    text = N_("What is in the reader is not a ukey that is known here.")


class UkeyFailed(UkeyError):
    """The ukey answered in a way that makes no sense."""

    name, code, exit = ErrorName.UKEY_FAILED, Code.AUTHINFO_UNAVAIL, Exit.UNUSABLE
    text = N_(
        "The ukey answered in a way that makes no sense. Take it out, insert it and try again."
    )


class UkeyAmbiguous(UkeyError):
    """More than one present ukey fits."""

    name, code, exit = ErrorName.UKEY_AMBIGUOUS, Code.AUTHINFO_UNAVAIL, Exit.UNUSABLE
    text = N_("More than one ukey fits. Leave only yours inserted.")


class UkeysInserted(UkeyAmbiguous):
    """Several ukeys of the person are in readers, and the prompt named none. Facts: ukeys."""


class SerialTwice(UkeyAmbiguous):
    """Several readers show a ukey of one serial."""

    text = N_(
        "Several readers show a ukey with the serial {serial}: {readers}. If they are several"
        " ukeys, leave only yours inserted. If it is one, an administrator keeps all but one of"
        " these readers out by readers.deny in keyservice.toml."
    )


class SeenTwice(SerialTwice):
    """Several readers show one ukey: it has one serial and one key in all of them."""

    text = N_(
        "Several readers show one and the same ukey, {serial}: {readers}. Leave it in or on one of"
        " them. If that cannot be, as with two interfaces of one reader, an administrator keeps"
        " all but one of them out by readers.deny in keyservice.toml."
    )


class SerialShared(SerialTwice):
    """Several ukeys have one serial, and different keys."""

    text = N_(
        "Several ukeys with the serial {serial} are inserted ({readers}). They have different keys:"
        " their maker gave them one serial. Leave only yours inserted."
    )


class ReaderRefused(UkeyError):
    """The configuration does not allow this reader."""

    name, code, exit = ErrorName.READER_REFUSED, Code.AUTHINFO_UNAVAIL, Exit.UNUSABLE
    text = N_("The configuration of this host does not allow this reader.")


class KeyMismatch(UkeyError):
    """The ukey claims a bound serial, but holds another key."""

    name, code, exit = ErrorName.KEY_MISMATCH, Code.AUTH_ERR, Exit.UNUSABLE
    text = N_(
        "This ukey has the serial {serial}, but not the key that was bound. It is not accepted."
    )


class NotAttested(UkeyError):
    """No maker vouches for the ukey's key, and the configuration demands it. Facts: serial, why."""

    name, code, exit = ErrorName.NOT_ATTESTED, Code.PERM_DENIED, Exit.UNUSABLE
    text = N_(
        "This host takes only ukeys whose maker vouches that the key was made on the ukey, and"
        " nobody vouches for that of ukey {serial}: {why}."
    )
    login_text = N_(
        "This host takes only ukeys whose maker vouches for the key, and nobody vouches for that of"
        " your ukey: {why}. Ask an administrator."
    )


class NoKeyPair(UkeyError):
    """The container holds no key pair that signs."""

    name, code, exit = ErrorName.NO_KEY_PAIR, Code.AUTHINFO_UNAVAIL, Exit.UNUSABLE
    text = N_("The ukey holds no key pair to sign with. Add --generate to have it make one.")


class NotOnUkey(NoKeyPair):
    """The ukey has no application or container of that name, or no key pair in it."""

    text = N_(
        "The ukey has no such application or container, or no key pair there. Leave the name out"
        " to see the key pairs that it has."
    )


class NoneMadeHere(NoKeyPair):
    """There is no key pair on the ukey, and its kind makes none here."""

    text = N_(
        "The ukey holds no key pair to sign with, and this kind of ukey makes none here. Have its"
        " maker's software make one."
    )


class TryLimitTooHigh(UkeyError):
    """The ukey allows more wrong PINs than the standard's 10."""

    name, code, exit = ErrorName.TRY_LIMIT, Code.AUTHINFO_UNAVAIL, Exit.UNUSABLE
    text = N_("The ukey allows {maximum} wrong PINs; at most 10 are safe. It is not accepted.")


class NotTouched(UkeyError):
    """Nobody touched the ukey in time."""

    name, code, exit = ErrorName.NOT_TOUCHED, Code.AUTH_ERR, Exit.UNUSABLE
    text = N_("The ukey was not touched in time. Try again, and touch it when it blinks.")


class SignatureWrong(UkeyError):
    """The signature does not verify with the bound public key."""

    name, code, exit = ErrorName.SIGNATURE_WRONG, Code.AUTH_ERR, Exit.UNUSABLE
    text = N_("The ukey's signature is wrong. It is not accepted.")
