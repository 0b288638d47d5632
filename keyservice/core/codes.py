# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""How things end, for programs: PAM's codes, the errors' names, exit statuses."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Code(StrEnum):
    """How a session ends: the name of a PAM return code, without its prefix."""

    SUCCESS = "SUCCESS"
    AUTH_ERR = "AUTH_ERR"
    AUTHINFO_UNAVAIL = "AUTHINFO_UNAVAIL"
    USER_UNKNOWN = "USER_UNKNOWN"
    MAXTRIES = "MAXTRIES"
    PERM_DENIED = "PERM_DENIED"
    CONV_ERR = "CONV_ERR"
    BUF_ERR = "BUF_ERR"
    SERVICE_ERR = "SERVICE_ERR"
    IGNORE = "IGNORE"


class ErrorName(StrEnum):
    """Named errors: ``ERROR_PREFIX`` + value on the bus, the value in frames and ``--json``."""

    FAILED = "Failed"
    BAD_REQUEST = "BadRequest"
    NOT_ALLOWED = "NotAllowed"
    BUSY = "Busy"
    NO_SESSION = "NoSession"
    CANCELLED = "Cancelled"
    DEADLINE_PASSED = "DeadlinePassed"
    CONFIGURATION = "Configuration"
    UNKNOWN_USER = "UnknownUser"
    NOT_ENROLLED = "NotEnrolled"
    ALREADY_BOUND = "AlreadyBound"
    REVOKED = "Revoked"
    ALGORITHM_REFUSED = "AlgorithmRefused"
    RECORD_DAMAGED = "RecordDamaged"
    STORE_FAILED = "StoreFailed"
    READER_ABSENT = "ReaderAbsent"
    UKEY_ABSENT = "UkeyAbsent"
    UKEY_HELD = "UkeyHeld"
    UKEY_RESTARTED = "UkeyRestarted"
    UKEY_UNKNOWN = "UkeyUnknown"
    UKEY_FAILED = "UkeyFailed"
    UKEY_AMBIGUOUS = "UkeyAmbiguous"
    READER_REFUSED = "ReaderRefused"
    KEY_MISMATCH = "KeyMismatch"
    NOT_ATTESTED = "NotAttested"
    NO_KEY_PAIR = "NoKeyPair"
    PIN_WRONG = "PinWrong"
    PIN_LOCKED = "PinLocked"
    TRY_WITHHELD = "TryWithheld"
    THROTTLED = "Throttled"
    PIN_REFUSED = "PinRefused"
    DEFAULT_PIN = "DefaultPin"
    TRY_LIMIT = "TryLimitTooHigh"
    SIGNATURE_WRONG = "SignatureWrong"
    NOT_TOUCHED = "NotTouched"
    REMOTE_REFUSED = "RemoteRefused"
    SSH_KEY_REFUSED = "SshKeyRefused"
    FACTOR_MISSING = "FactorMissing"


class Exit(IntEnum):
    """How a command ends. The numbers are an interface: never reused, never renumbered."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_ALLOWED = 4
    NOT_BOUND = 5
    BOUND = 6
    ABSENT = 7
    UNUSABLE = 8
    PIN = 9
    NO_TRY = 10
    TOO_LATE = 11
    RECORDS = 12
    STACK = 13
    REFUSED = 14
    CANCELLED = 130
