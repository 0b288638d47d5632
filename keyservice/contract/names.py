# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Every name, path, limit and enumeration that both sides of the bus and the sockets share."""

from __future__ import annotations

from enum import IntEnum, IntFlag, StrEnum

from keyservice.core.codes import Code as Code
from keyservice.core.codes import ErrorName as ErrorName

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
ATTESTATION_DIR = "/etc/ukey/attestation.d"
RECORDS_DIR = "/etc/usbkey"
STATE_DIR = "/var/lib/ukey"
LOCALE_DIR = "/usr/share/locale"
TEXT_DOMAIN = "ukey"
#: Types of the module in selinux/: the service's domain, and the type of root's socket.
SELINUX_DOMAIN = "ukey_keyservice_t"
SELINUX_ROOT_SOCKET = "ukey_root_socket_t"

# -- limits

FRAME_MAX = 4096  #: bytes of a frame's body
ANSWER_MAX = 256  #: bytes of an answer
AUTH_INFO_MAX = 2900  #: bytes of what sshd has verified; all other fields fit beside it
SIGNATURE_MAX = 512  #: bytes of a signature: one by an RSA key of 4096 bits
DOCUMENT_MAX = 60_000  #: bytes of a document of bindings: about 150 people's
TEXT_MAX = 1024  #: bytes of UTF-8 in a step's text
SESSION_ID_BYTES = 16
DEADLINE_DEFAULT = 60  #: seconds a session may take, from its begin on
DEADLINE_MAX = 300

#: What sshd sends as the answer for a user that it does not know or does not admit.
SSHD_JUNK = b"\x08\n\r\x7fINCORRECT"


class Flag(IntFlag):
    """Options of a session, by the PAM line or the tool that begins it."""

    UNIFORM = 0x0001
    DECOY = 0x0002
    NOUSEROK = 0x0004
    SILENT = 0x0008
    FORCE = 0x0010
    GENERATE = 0x0020
    ALLOW_DEFAULT_PIN = 0x0040
    PASSWORD = 0x0080  #: a PIN is changed with a password, by passwd and its like


class StepKind(IntEnum):
    """What the keyservice says next."""

    INFO = 1
    ERROR = 2
    PROMPT = 3
    WAIT = 4
    VERDICT = 5


class WaitFor(StrEnum):
    """What a ``wait`` step waits for."""

    UKEY = "ukey"  #: a person, who is to insert it
    TURN = "turn"  #: another session that uses the ukey
    DEVICE = "device"  #: the ukey itself, at work
