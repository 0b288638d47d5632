# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Every name, path, limit and enumeration that both sides of the bus and the sockets share."""

from __future__ import annotations

from enum import IntEnum, IntFlag, StrEnum

# -- D-Bus

BUS_NAME = "org.ukey.KeyService1"
OBJECT_PATH = "/org/ukey/KeyService1"
INTERFACE = "org.ukey.KeyService1"
ERROR_PREFIX = "org.ukey.KeyService1.Error."
#: Fixed for every client that may run in somebody else's environment.
SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"

# -- paths

RUN_DIR = "/run/ukey"
ROOT_SOCKET = "/run/ukey/root.sock"
USER_SOCKET = "/run/ukey/user.sock"
CONFIG_FILE = "/etc/ukey/keyservice.toml"
RECORDS_DIR = "/etc/usbkey"
STATE_DIR = "/var/lib/ukey"
LOCALE_DIR = "/usr/share/locale"
TEXT_DOMAIN = "ukey"
#: Types of the module in selinux/: that the service runs in, and of root's socket.
SELINUX_DOMAIN = "ukey_keyservice_t"
SELINUX_ROOT_SOCKET = "ukey_root_socket_t"

# -- limits

FRAME_MAX = 4096  #: bytes of a frame's body
ANSWER_MAX = 256  #: bytes of an answer
TEXT_MAX = 1024  #: bytes of UTF-8 in a step's text
SESSION_ID_BYTES = 16
PIN_MIN = 6  #: bytes; GM/T 0027-2014
PIN_MAX = 16  #: bytes; the PIN field of GM/T 0017-2012
DEADLINE_DEFAULT = 60  #: seconds a session may take, from its begin on
DEADLINE_MAX = 300

#: What sshd sends as the answer for a user that it does not know or does not admit.
SSHD_JUNK = b"\x08\n\r\x7fINCORRECT"


class Operation(IntEnum):
    """What a session is for. The value is the kind of the frame that begins it."""

    AUTHENTICATION = 0x01
    BIND = 0x02
    UNBIND = 0x03
    CHANGE_PIN = 0x04
    UNBLOCK_PIN = 0x05
    VERIFY_PIN = 0x06


class Flag(IntFlag):
    """Options of a session, by the PAM line or the tool that begins it."""

    UNIFORM = 0x0001
    DECOY = 0x0002
    NOUSEROK = 0x0004
    SILENT = 0x0008
    FORCE = 0x0010
    GENERATE = 0x0020
    ALLOW_DEFAULT_PIN = 0x0040


class StepKind(IntEnum):
    """What the keyservice says next."""

    INFO = 1
    ERROR = 2
    PROMPT = 3
    WAIT = 4
    VERDICT = 5


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


class WaitFor(StrEnum):
    """What a ``wait`` step waits for."""

    UKEY = "ukey"  #: a person, who is to insert it
    TURN = "turn"  #: another session that uses the ukey
    DEVICE = "device"  #: the ukey itself, at work


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
    RECORD_DAMAGED = "RecordDamaged"
    STORE_FAILED = "StoreFailed"
    READER_ABSENT = "ReaderAbsent"
    UKEY_ABSENT = "UkeyAbsent"
    UKEY_UNKNOWN = "UkeyUnknown"
    UKEY_FAILED = "UkeyFailed"
    UKEY_AMBIGUOUS = "UkeyAmbiguous"
    READER_REFUSED = "ReaderRefused"
    KEY_MISMATCH = "KeyMismatch"
    NO_KEY_PAIR = "NoKeyPair"
    PIN_WRONG = "PinWrong"
    PIN_LOCKED = "PinLocked"
    TRY_WITHHELD = "TryWithheld"
    THROTTLED = "Throttled"
    PIN_REFUSED = "PinRefused"
    DEFAULT_PIN = "DefaultPin"
    TRY_LIMIT = "TryLimitTooHigh"
    SIGNATURE_WRONG = "SignatureWrong"
    REMOTE_REFUSED = "RemoteRefused"
