# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The lines of pam.d-examples in the place of a stack's password, and the way back.

Only stacks are changed whose every auth line is understood: jumps count lines, so that a line in
the wrong place opens a stack or shuts it.
"""

from __future__ import annotations

from pathlib import Path

from keyservice.contract.pam import SSHD
from tools.language import _
from tools.pamcheck import check
from tools.pamcheck.controls import jumps
from tools.pamcheck.lines import Line
from tools.pamcheck.modules import is_password, is_ukey
from tools.pamcheck.places import Places
from tools.pamcheck.ssh_key import TAKES
from tools.pamcheck.stack import Group, Module, Part, Stack, TooLong, load, walk

#: As in pam.d-examples/debian/helpful; a test holds them together.
LINES = (
    "auth [success=ok default=die]             pam_unix.so",
    "auth [success=ignore default=1]           pam_succeed_if.so quiet user ingroup"
    " ukey-breakglass",
    "auth [success=1 default=ignore]           pam_exec.so quiet seteuid"
    " /usr/libexec/ukey/breakglass",
    "auth [success=ok default=die]             pam_ukey.so",
    "auth required                             pam_permit.so",
)
#: In front of them in sshd's stack.
SSHD_LINES = (TAKES, *LINES)
BEGIN, WAS, END = "# ukey pam enable: begin", "# before: ", "# ukey pam enable: end"

#: Modules beside the password of which ``pamcheck`` knows what they do. pam_rootok is there for su;
#: the judge says where it stands wrong.
_KNOWN = frozenset(
    {
        "pam_env",
        "pam_faildelay",
        "pam_group",
        "pam_nologin",
        "pam_rootok",
        "pam_securetty",
        "pam_shells",
        "pam_warn",
    }
)
#: Others that have no say where their line is optional.
_OPTIONAL = frozenset(
    {
        "pam_cap",
        "pam_gnome_keyring",
        "pam_issue",
        "pam_keyinit",
        "pam_kwallet",
        "pam_kwallet5",
        "pam_limits",
        "pam_motd",
        "pam_selinux",
    }
)
#: Words of pam_unix that say nothing of who gets in with the right password.
_PLAIN = frozenset({"nullok", "nullok_secure", "nodelay", "try_first_pass"})
_STRICT = ("required", "requisite", "success=ok default=die")
#: What Debian's common-auth is where pam_unix alone asks: pam-auth-update writes it so.
_COMMON = (
    ("pam_unix", "success=1 default=ignore"),
    ("pam_deny", "requisite"),
    ("pam_permit", "required"),
)


class NotUnderstood(Exception):
    """A stack that is not changed. The text says why, for people."""


class Already(Exception):
    """It is as it is wanted."""


def enabled(places: Places, service: str, file: Path, content: bytes) -> bytes:
    """`content`, which `file` has, with password and ukey in the place of the password.

    Raises :class:`NotUnderstood`, :class:`Already`, and what :func:`tools.pamcheck.stack.load` has
    where a file cannot be read.
    """
    if service not in dict(check.logins(places)):
        raise NotUnderstood(_("nobody logs in by it"))
    try:
        stack = load(places, service, file)
    except TooLong:
        raise NotUnderstood(_("it has more lines than are understood")) from None
    _plain_text(stack, content)
    if any(is_ukey(module.line) for module in stack.modules()):
        raise Already
    if BEGIN.encode() in content or END.encode() in content:
        raise NotUnderstood(_("it has lines of 'ukey pam enable' that were changed since"))
    line = _password(stack)
    texts = content.decode(errors="surrogateescape").split("\n")
    was = texts[line.number - 1]
    texts[line.number - 1 : line.number] = [BEGIN, WAS + was, *_lines(service), END]
    return "\n".join(texts).encode(errors="surrogateescape")


def _lines(service: str) -> tuple[str, ...]:
    return SSHD_LINES if service in SSHD else LINES


def disabled(content: bytes) -> bytes:
    """`content` as it was before :func:`enabled`, with what was changed elsewhere since.

    Raises :class:`NotUnderstood` and :class:`Already`.
    """
    texts = content.decode(errors="surrogateescape").split("\n")
    begins, ends = (
        [number for number, text in enumerate(texts) if text == mark] for mark in (BEGIN, END)
    )
    if not begins and not ends:
        if any("pam_ukey.so" in text.partition("#")[0] for text in texts):
            raise NotUnderstood(_("its lines for the ukey were not written by 'ukey pam enable'"))
        raise Already
    block = texts[begins[0] : ends[0] + 1] if len(begins) == len(ends) == 1 else []
    if tuple(block[2:-1]) not in (LINES, SSHD_LINES) or not block[1].startswith(WAS):
        raise NotUnderstood(_("its lines of 'ukey pam enable' were changed since"))
    texts[begins[0] : ends[0] + 1] = [block[1].removeprefix(WAS)]
    return "\n".join(texts).encode(errors="surrogateescape")


def _plain_text(stack: Stack, content: bytes) -> None:
    """Lines by their numbers are lines of the file."""
    for line in stack.lines:
        if line.fault is not None:
            text = _("{place} is no line that libpam understands")
            raise NotUnderstood(text.format(place=line.place))
    if b"\r" in content or b"\0" in content:
        raise NotUnderstood(_("its lines end as those of another system, or it is no text"))
    if any(row.rstrip().endswith(b"\\") for row in content.split(b"\n")):
        raise NotUnderstood(_("a line of it ends with a backslash"))
    if stack.undefined:
        raise NotUnderstood(_("what libpam makes of it is not known"))
    if stack.fallen_back:
        text = _("it has no auth line: libpam takes those of '{other}'")
        raise NotUnderstood(text.format(other="other"))


def _password(stack: Stack) -> Line:
    """The one line that asks for the password, itself or by what it includes."""
    asking = [part for part in stack.parts if any(_asks(each) for each in walk((part,)))]
    if len(asking) != 1:
        text = _("it asks for the password at {count} places, not at one")
        raise NotUnderstood(text.format(count=len(asking)))
    for part in stack.parts:
        if part is not asking[0]:
            _beside(part)
    if isinstance(asking[0], Group):
        _common(asking[0])
    elif not _is_plain(asking[0].line):
        raise _not_known(asking[0].line)
    return asking[0].line


def _asks(part: Part) -> bool:
    return isinstance(part, Module) and is_password(part.line)


def _beside(part: Part) -> None:
    """A line that stays; or what is included for other types than auth, as common-account is."""
    line = part.line
    if isinstance(part, Group) and part.lost is None and len(list(walk((part,)))) == 1:
        return
    if not isinstance(part, Module) or jumps(line.control):
        raise _not_known(line)
    if line.name not in _KNOWN and not (line.name in _OPTIONAL and line.control == "optional"):
        raise _not_known(line)
    if line.name == "pam_rootok" and line.control != "sufficient":
        raise _not_known(line)


def _is_plain(line: Line) -> bool:
    return line.name == "pam_unix" and line.control in _STRICT and _PLAIN.issuperset(line.args)


def _common(group: Group) -> None:
    """An include of Debian's common-auth, where pam_unix alone asks for passwords."""
    if group.line.type != "@include" or group.line.module != "common-auth":
        raise _not_known(group.line)
    modules = [part.line for part in group.parts if isinstance(part, Module)]
    found = tuple((line.name, line.control) for line in modules[: len(_COMMON)])
    rest = modules[len(_COMMON) :]
    if (
        len(modules) != len(group.parts)
        or found != _COMMON
        or not _PLAIN.issuperset(modules[0].args)
        or any(line.control != "optional" or line.name not in _KNOWN | _OPTIONAL for line in rest)
    ):
        text = _("{place} includes more than the passwords of this host: others than pam_unix ask")
        raise NotUnderstood(text.format(place=group.line.place))


def _not_known(line: Line) -> NotUnderstood:
    text = _("{place} is none of the lines that are understood")
    return NotUnderstood(text.format(place=line.place))
