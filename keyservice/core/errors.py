# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Everything that can go wrong and that a person is told about.

Each error has a stable name (``ErrorName``: on the bus, in frames, in ``--json``), and says what
failed, on which ukey, file or user. What the person can do next is said where the text is made for
people (``access.messages``); here the fields are facts. No field ever holds a PIN.
"""

from __future__ import annotations

from keyservice.contract.names import ErrorName


class UkeyError(Exception):
    """Base of all expected failures. ``str()`` is one English sentence, for the log."""

    name: ErrorName = ErrorName.FAILED

    def __init__(self, message: str = "", **facts: str | int) -> None:
        self.message = message or self.default()
        #: serial, reader, user, path, left, maximum, seconds, …: for logs and translated texts
        self.facts: dict[str, str | int] = dict(facts)
        super().__init__(self.message)

    @classmethod
    def default(cls) -> str:
        return (cls.__doc__ or cls.__name__).split(" Facts:")[0].rstrip(".\n ")

    def __str__(self) -> str:
        if not self.facts:
            return self.message
        return f"{self.message} ({', '.join(f'{k}={v}' for k, v in self.facts.items())})"


class BadRequest(UkeyError):
    """The request is malformed."""

    name = ErrorName.BAD_REQUEST


class NotAllowed(UkeyError):
    """The caller may not do this."""

    name = ErrorName.NOT_ALLOWED


class Busy(UkeyError):
    """Too many sessions of this caller are open."""

    name = ErrorName.BUSY


class NoSession(UkeyError):
    """There is no such session of this caller."""

    name = ErrorName.NO_SESSION


class Cancelled(UkeyError):
    """The caller cancelled, or went away."""

    name = ErrorName.CANCELLED


class DeadlinePassed(UkeyError):
    """No answer came before the deadline."""

    name = ErrorName.DEADLINE_PASSED


class UkeyMute(DeadlinePassed):
    """The ukey did not answer before the deadline."""


class LookUpLate(DeadlinePassed):
    """A look-up on this host did not come back before the deadline."""


class TickMissed(DeadlinePassed):
    """Nothing could be tried in time for the tick at which all failures show."""


class ConfigurationError(UkeyError):
    """The configuration is wrong."""

    name = ErrorName.CONFIGURATION


# -- people and bindings


class UnknownUser(UkeyError):
    """The host knows no such user."""

    name = ErrorName.UNKNOWN_USER


class NotEnrolled(UkeyError):
    """No ukey is bound to the user, and that is proven."""

    name = ErrorName.NOT_ENROLLED


class AlreadyBound(UkeyError):
    """The user, the ukey or its key is bound already."""

    name = ErrorName.ALREADY_BOUND


class Revoked(UkeyError):
    """The key was revoked on this host."""

    name = ErrorName.REVOKED


class RecordDamaged(UkeyError):
    """A record cannot be trusted: damaged, or owned or writable by others than root."""

    name = ErrorName.RECORD_DAMAGED


class RecordForeign(RecordDamaged):
    """A record fits by name or by uid, but not by both: the user was renamed or made anew."""


class StoreFailed(UkeyError):
    """The records could not be read or written."""

    name = ErrorName.STORE_FAILED


# -- ukeys


class ReaderAbsent(UkeyError):
    """No reader is there, or pcscd is not running."""

    name = ErrorName.READER_ABSENT


class UkeyAbsent(UkeyError):
    """The ukey is not in any reader."""

    name = ErrorName.UKEY_ABSENT


class UkeyRemoved(UkeyAbsent):
    """The ukey was taken out while it was in use."""


class UkeyUnknown(UkeyError):
    """What is in the reader is not a ukey of a kind that is known here."""

    name = ErrorName.UKEY_UNKNOWN


class UkeyFailed(UkeyError):
    """The ukey answered in a way that makes no sense."""

    name = ErrorName.UKEY_FAILED


class UkeyAmbiguous(UkeyError):
    """More than one present ukey fits."""

    name = ErrorName.UKEY_AMBIGUOUS


class ReaderRefused(UkeyError):
    """The configuration does not allow this reader."""

    name = ErrorName.READER_REFUSED


class KeyMismatch(UkeyError):
    """The ukey claims a bound serial, but holds another key."""

    name = ErrorName.KEY_MISMATCH


class NoKeyPair(UkeyError):
    """The container holds no SM2 signing key pair."""

    name = ErrorName.NO_KEY_PAIR


class NotOnUkey(NoKeyPair):
    """The ukey has no application or container of that name, or no key pair in it."""


class PinWrong(UkeyError):
    """The PIN is wrong. Facts: left (tries)."""

    name = ErrorName.PIN_WRONG


class AdminPinWrong(PinWrong):
    """The admin PIN is wrong. Facts: left (tries)."""


class PinLocked(UkeyError):
    """The PIN is locked: no tries are left."""

    name = ErrorName.PIN_LOCKED


class AdminPinLocked(PinLocked):
    """The admin PIN is locked: no tries are left."""


class TryWithheld(UkeyError):
    """A try is left, but this caller may not spend it. Facts: left (tries)."""

    name = ErrorName.TRY_WITHHELD


class AdminTryWithheld(TryWithheld):
    """The last try of the admin PIN is left, which nobody may spend. Facts: left (tries)."""


class Throttled(UkeyError):
    """Too many wrong PINs: no try is allowed for some seconds. Facts: seconds."""

    name = ErrorName.THROTTLED


class PinRefused(UkeyError):
    """The PIN cannot be one: 6 to 16 bytes are."""

    name = ErrorName.PIN_REFUSED


class PinUnchanged(PinRefused):
    """The new PIN is the present one."""


class PinsDiffer(PinRefused):
    """The new PIN was not typed the same way twice."""


class DefaultPin(UkeyError):
    """The ukey still has the PIN that it was shipped with."""

    name = ErrorName.DEFAULT_PIN


class TryLimitTooHigh(UkeyError):
    """The ukey allows more wrong PINs than the standard's 10."""

    name = ErrorName.TRY_LIMIT


class SignatureWrong(UkeyError):
    """The signature does not verify with the bound public key."""

    name = ErrorName.SIGNATURE_WRONG


class RemoteRefused(UkeyError):
    """The login is remote, and the service's configuration does not allow that."""

    name = ErrorName.REMOTE_REFUSED
