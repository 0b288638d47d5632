# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Why something cannot be used: a name, and facts beside it.

Errors, frames and the bus carry the fact ``why``, which is the name, and beside it those facts that
its text needs. The text is for people: it is made where they read it, in their language, and in
English for the log. A name that only a newer side knows is shown as it is.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Self

from .marks import N_

_PLACE = re.compile(r"\{(\w+)\}")
#: The fact that is the name.
WHY = "why"

Fact = str | int


class Reason(StrEnum):
    """The reasons. The facts replace the names in braces. A reason's name is never reused."""

    text: str

    def __new__(cls, name: str, text: str) -> Self:
        reason = str.__new__(cls, name)
        reason._value_, reason.text = name, text
        return reason

    # a record
    LINK = "link", N_("it is a symbolic link")
    NO_FILE = "no-file", N_("it is no regular file")
    OWNER = "owner", N_("it belongs to uid {uid}, not to root")
    MODE = "mode", N_("its mode is {mode}, not 0600")
    SIZE = "size", N_("it has {size} bytes, more than {limit}")
    GROWN = "grown", N_("it has more than {limit} bytes")
    FOLDER = "folder", N_("it is not root's alone (mode 0700)")
    NO_JSON = "no-json", N_("it is no JSON record")
    BAD_JSON = "bad-json", N_("it is no JSON record: {detail}")
    VERSION = "version", N_("it is not of version {version}")
    FIELDS = "fields", N_("missing or unknown: {names}")
    TYPE = "type", N_("{name} is of the wrong type")
    TWICE = "twice", N_("a field stands twice")
    UID = "uid", N_("a uid is out of range")
    EMPTY = "empty", N_("serial or kind is empty")
    ALGORITHM = "algorithm", N_("its algorithm is unknown")
    KEY = "key", N_("the public key is none of its algorithm")
    TIME = "time", N_("bound_at is no time")
    PURPOSE = "purpose", N_("its purpose is unknown")
    LABEL = (
        "label",
        N_("a label has at most {limit} printable characters, no space around"),
    )
    TEXT_LONG = "text-long", N_("{name} has more than {limit} characters")
    NO_KEYS = "no-keys", N_("there is no key in it")
    MANY_KEYS = "many-keys", N_("there are more than {limit} keys of one purpose in it")
    KEY_TWICE = "key-twice", N_("a key, or a ukey, stands in it twice")
    OTHER_NAME = (
        "other-name",
        N_(
            "it is a record that belongs in the file {file}: rename it, or move it out of the "
            "folder if it is a copy"
        ),
    )
    SHARED = "shared", N_("{other} has the same ukey: unbind one of the two, with the ukey")
    REVOCATION = "revocation", N_("line {number} is not a revocation")
    STRAY = "stray", N_("it is no record, and is left alone: move it out of the folder")
    REPLACED = (
        "replaced",
        N_(
            "the folder was replaced while the keyservice ran, which can only read the new one: "
            "systemctl restart ukey-keyservice"
        ),
    )
    DISK_LATE = "disk-late", N_("the disk did not answer in time")
    # what there was before
    EVENT = "event", N_("line {number} tells of no binding")
    CUT = "cut", N_("its last line is cut off")
    GONE = "gone", N_("it is gone, and its ukey was not unbound")
    MISSING = "missing", N_("{lost} is gone from it, and was not unbound")
    VANISHED = "vanished", N_("it was there and is gone")
    SHRUNK = "shrunk", N_("it has {size} bytes, and had {length}")
    CHANGED = "changed", N_("its first {length} bytes are not what they were")
    ELSEWHERE = "elsewhere", N_("{file} is another host's, and tells of what is not here")
    WITNESS = "witness", N_("it does not tell what there was")
    THROTTLE = "throttle", N_("it is not a throttle file")
    TOO_MANY = "too-many", N_("there are too many")
    # what this host's OpenSSL does not offer
    FIPS_KERNEL = "fips-kernel", N_("the kernel is in FIPS mode")
    FIPS_OPENSSL = "fips-openssl", N_("its configuration puts it into FIPS mode")
    OPENSSL_CONF = "openssl-conf", N_("{file} leaves that out")
    OPENSSL_LACKS = "openssl-lacks", N_("its configuration, or its build, leaves that out")
    # the way to the keyservice
    CONNECT = "connect", N_("cannot connect to {path}: {reason}")
    FULL = "full", N_("{path} takes no connection")
    BROKEN = "broken", N_("the connection broke: {reason}")
    CLOSED = "closed", N_("the keyservice closed the connection")
    LATE = "late", N_("the keyservice did not answer in time")
    SERVED_BY = "served-by", N_("the socket is served by uid {uid}, not by root")
    OWNED_BY = "owned-by", N_("{name} is owned by uid {uid}, not by root")
    NOT_ON_BUS = "not-on-bus", N_("the keyservice is not on the bus")
    NOT_STARTED = "not-started", N_("the keyservice is not on the bus ({reason})")
    BUS_REFUSES = "bus-refuses", N_("the bus does not take this process")
    BUS_CLOSED = "bus-closed", N_("the bus closed the connection")
    # a request
    TOO_LONG = "too-long", N_("the value of {name} has more than {limit} bytes")
    NUL = "nul", N_("the value of {name} holds a NUL")
    NOT_UTF8 = "not-utf8", N_("the value of {name} is not UTF-8")
    USER_LENGTH = "user-length", N_("a user name has 1 to 256 bytes")
    USER_CHARACTERS = (
        "user-characters",
        N_("a user name holds no slash and no control character"),
    )
    UKEY_NAME = "ukey-name", N_("an application's or container's name has 1 to 48 plain bytes")
    # why a new PIN is refused
    PIN_SAME = "pin-same", N_("it has one character more than {limit} times in a row")
    PIN_RUN = "pin-run", N_("more than {limit} of its characters in a row count up or down")
    # why a ukey that is in cannot be used, or was away
    READER_HELD = "reader-held", N_("another program holds it for itself")
    READER_MUTE = "reader-mute", N_("what is in it does not answer, or another program holds it")
    UNCLEAR = (
        "unclear",
        N_("nobody can tell whether a ukey is bound to you: a file among the records is damaged"),
    )
    PCSCD_ENDED = "pcscd-ended", N_("pcscd ended, or was started again")
    CAME_BACK = "came-back", N_("it went and came back, as when its reader is reset")
    # where somebody is, who is not known to be at this machine
    PLACE_HOST = "place-host", N_("a remote host was named")
    PLACE_REMOTE = "place-remote", N_("its login session is remote")
    PLACE_SERVICE = "place-service", N_("a service asks, in no login session and on no terminal")
    PLACE_OWN = "place-own", N_("not root, and in no login session")
    PLACE_PTY = "place-pty", N_("no login session, and a pseudo-terminal, which may be far away")
    PLACE_TERMINAL = (
        "place-terminal",
        N_("no login session, and not its controlling terminal"),
    )
    PLACE_NO_CONSOLE = "place-no-console", N_("no login session, and no console of this machine")
    PLACE_LEFT_CONSOLE = (
        "place-left-console",
        N_("no login session, and not logged in at its console any more"),
    )
    PLACE_GONE = "place-gone", N_("its login session is gone")
    PLACE_OTHERS = "place-others", N_("its login session is somebody else's")
    PLACE_ENDED = (
        "place-ended",
        N_("its login session has ended: somebody has logged out, and left programs behind"),
    )
    PLACE_NOBODYS = "place-nobodys", N_("its login session is no person's")
    PLACE_SESSION_PTY = "place-session-pty", N_("its login session is on a pseudo-terminal")
    PLACE_SETUID = (
        "place-setuid",
        N_("its login session was opened by a setuid program, such as su"),
    )
    PLACE_NO_SEAT = "place-no-seat", N_("its login session has no seat")
    # what a kind of ukeys cannot do
    NO_CHANGE = (
        "no-change",
        N_("this kind of ukey does not change its PIN here; its maker's software may do that"),
    )
    NO_UNBLOCK = (
        "no-unblock",
        N_("this kind of ukey cannot be unblocked here; its maker's software may do that"),
    )
    NO_GENERATE = (
        "no-generate",
        N_(
            "this kind of ukey makes no key pair here; have its maker's software make one, and"
            " leave out --generate"
        ),
    )
    CERTIFICATES_ONLY = (
        "certificates-only",
        N_(
            "the ukey shows keys by certificates only, so nobody can tell whether the container is"
            " empty: make the pair with its maker's software"
        ),
    )
    NO_ATTEST = "no-attest", N_("this kind of ukey cannot vouch for its keys")
    # why nobody takes a ukey's maker to vouch for a key
    ATTEST_FOLDER = (
        "attest-folder",
        N_(
            "the makers' certificates in {folder} cannot be trusted: 'keyservice --check-config'"
            " says why"
        ),
    )
    ATTEST_NO_MAKER = "attest-no-maker", N_("{folder} holds no maker's certificate")
    ATTEST_NONE = "attest-none", N_("it has no certificate of its maker's")
    ATTEST_NOT_ITS = (
        "attest-not-its",
        N_("it does not vouch for the key, as for one that was not made on it"),
    )
    ATTEST_NONSENSE = "attest-nonsense", N_("its certificates make no sense")
    ATTEST_STRANGER = (
        "attest-stranger",
        N_("no maker whose certificate this host has signed the ukey's own"),
    )
    ATTEST_CA = "attest-ca", N_("its own certificate may not sign others")
    ATTEST_WEAK = "attest-weak", N_("a key or a digest of its certificates is too weak")
    ATTEST_DATES = "attest-dates", N_("a certificate is not valid today")
    ATTEST_SIGNATURE = (
        "attest-signature",
        N_("what it says of the key is not signed by its own certificate"),
    )
    ATTEST_POLICY = "attest-policy", N_("it does not say what the use of the key asks for")
    ATTEST_PIN = "attest-pin", N_("it says that the key signs without a PIN")
    ATTEST_SERIAL = "attest-serial", N_("what it says of the key is ukey {other}'s")
    ATTEST_KEY = "attest-key", N_("what it says is of another key")
    ATTEST_ALGORITHM = (
        "attest-algorithm",
        N_("certificates of keys of this algorithm cannot be read here"),
    )
    ATTEST_RECORD = (
        "attest-record",
        N_("when it was bound, nobody vouched for its key"),
    )
    # why sshd's stack does not pass on which key was verified
    STACK_FIRST = "stack-first", N_("another auth line stands before that of pam_ukey.so")
    STACK_LACKS = "stack-lacks", N_("no auth line is there")
    STACK_SIZE = "stack-size", N_("it is longer than any stack")
    # why a public key file of ssh's is not taken
    SSH_NO_KEY = "ssh-no-key", N_("it is no public key as OpenSSH writes it")
    SSH_PRIVATE = (
        "ssh-private",
        N_("it is a private key, which must stay where it is: give the file beside it, .pub"),
    )
    SSH_SEVERAL = "ssh-several", N_("it holds several keys: add one at a time")
    SSH_OPTIONS = (
        "ssh-options",
        N_("it has options before the key: they belong in authorized_keys, take them out here"),
    )
    SSH_CERTIFICATE = (
        "ssh-certificate",
        N_("it is a certificate: add the key that it certifies, for which it counts as well"),
    )
    SSH_TYPE = "ssh-type", N_("keys of the type {type} are not taken here")
    SSH_RSA = "ssh-rsa", N_("an RSA key has 2048 to 4096 bits")
    # a refusal before it is known who reads it
    ROOT_ONLY = "root-only", N_("Only root may do this")
    WATCHED = "watched", N_("Too many callers are watched on the bus")
    CALLS = "calls", N_("Too many calls wait for their reply")
    FINGERPRINT = "fingerprint", N_("A fingerprint has 64 hexadecimal digits")
    NOT_REVOKED = "not-revoked", N_("No key with that fingerprint is revoked")
    NOT_KNOWN = "not-known", N_("No ukey of that user is known")
    HAS_UKEY = "has-ukey", N_("The user has a ukey")
    # bindings from another host
    NO_DOCUMENT = "no-document", N_("It is no document of ukey bindings export")
    RECORD_UNFIT = "record-unfit", N_("Record {number} in it cannot be used: {reason}")
    IMPORT_REFUSED = "import-refused", N_("{count} keys cannot be bound here; nothing was changed")
    NOT_HERE = "not-here", N_("there is no such user on this host")
    KEY_REVOKED = "key-revoked", N_("the key is revoked on this host")
    TAKEN_BY = "taken-by", N_("{other} has this ukey, or this key, bound here")
    NO_ROOM = "no-room", N_("the user would have more than {limit} keys of this purpose")
    FOREIGN = "foreign", N_("the record of {other} here has the name or the uid of this user")
    NOT_ACCEPTED = (
        "not-accepted",
        N_("policy.algorithms on this host does not have {algorithm}, the algorithm of the key"),
    )
    NO_SERIAL = "no-serial", N_("No ukey with that serial is bound, inserted or paused")
    INTERNAL = "internal", N_("The keyservice failed; its log says how.")
    # the system's own, by the names of errno(3), as strerror(3) has them
    EACCES = "EACCES", N_("Permission denied")
    ECONNREFUSED = "ECONNREFUSED", N_("Connection refused")
    EIO = "EIO", N_("Input/output error")
    ENOENT = "ENOENT", N_("No such file or directory")
    ENOSPC = "ENOSPC", N_("No space left on device")
    ENOTDIR = "ENOTDIR", N_("Not a directory")
    EROFS = "EROFS", N_("Read-only file system")


_BY_NAME: Mapping[str, Reason] = {reason.value: reason for reason in Reason}
_NUMBERS = {name: number for number, name in errno.errorcode.items()}


class Unfit(ValueError):
    """The data or the request cannot be used. ``str()`` is one English sentence, for the log."""

    def __init__(self, reason: str, /, **facts: Fact) -> None:
        """`reason`: a :class:`Reason`, or a sentence that only logs are for."""
        super().__init__(told(reason, facts))
        self.facts: dict[str, Fact] = carried(reason, facts)


def told(
    name: str, facts: Mapping[str, object] | None = None, gettext: Callable[[str], str] = str
) -> str:
    """The text of the reason `name` with its `facts`, by the catalogue of `gettext`.

    A fact that is missing reads as a question mark. A fact ``reason`` is a reason of its own: a
    name, or a mapping with ``why``. Nothing that is filled in formats anything.
    """
    known = _BY_NAME.get(name)
    if known is None:
        return os.strerror(_NUMBERS[name]) if name in _NUMBERS else name
    filled = dict(facts or {})
    inner = filled.get("reason")
    if isinstance(inner, Mapping):
        filled["reason"] = told(str(inner.get(WHY, "?")), inner, gettext)
    elif inner is not None:
        filled["reason"] = told(str(inner), {}, gettext)
    return _PLACE.sub(lambda place: str(filled.get(place[1], "?")), gettext(known.text))


def carried(reason: str, facts: Mapping[str, Fact]) -> dict[str, Fact]:
    """What is carried for a `reason`: its name, and those of the `facts` that its text needs."""
    known = _BY_NAME.get(reason)
    if known is None:
        return {}
    return {WHY: known.value} | {name: facts[name] for name in places(reason) if name in facts}


def is_known(name: object) -> bool:
    """Whether `name` is one of the reasons here; a newer side may have more."""
    return isinstance(name, str) and name in _BY_NAME


def places(reason: str) -> list[str]:
    """The names of the facts that the text of `reason` needs."""
    known = _BY_NAME.get(reason)
    return _PLACE.findall(known.text) if known is not None else []


def in_english(facts: Mapping[str, object]) -> dict[str, object]:
    """`facts` as the log has them: ``why`` is a sentence, in which its facts are."""
    if WHY not in facts:
        return dict(facts)
    why = str(facts[WHY])
    kept = {name: value for name, value in facts.items() if name not in places(why)}
    return kept | {WHY: told(why, facts)}


def system(error: OSError) -> str:
    """The name of the system's error; if it has none, the kind of error."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
