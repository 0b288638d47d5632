# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Stacks made by chance of real modules: a service's file, and files that it includes. Modules are
named by folders too, among them one of somebody's own (:data:`ELSEWHERE`)."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from tools.pamcheck.controls import CODES

Files = Mapping[str, tuple[str, ...]]  #: the lines of each; the first is the service's

#: Services whose programs keep root's uid, or their caller's, or of which that is not known.
SERVICES = ("login", "login", "login", "sshd", "su", "su", "somelocker")
#: A folder in which somebody has modules of their own by the names of others; all of them let in.
ELSEWHERE = "/opt/bychance/lib/security"
[_FOLDER] = Path("/usr/lib").glob("*-linux-*/security")
#: The folders in front of a module's name.
_FOLDERS = (
    f"{ELSEWHERE}/",
    f"../../../..{ELSEWHERE}/",
    f"{_FOLDER}/",
    str(_FOLDER).removeprefix("/usr") + "/",
    f"/usr//lib/{_FOLDER.parent.name}/security/",
    f"{_FOLDER}/../security/",
    "/lib/security/",
    "/lib64/security/",
    "/lib/security/$ISA/",
    "$ISA/",
    "./",
    "../security/",
    "sub/",
    "/",
)
_INCLUDED = ("one", "two", "three")
_WORDS = ("required", "requisite", "sufficient", "optional", "Required", "SUFFICIENT", "[required]")
_ACTIONS = ("ok", "ok", "done", "bad", "die", "ignore", "ignore", "reset", "1", "1", "2", "3")
#: Numbers as libpam reads them: the last is "done".
_NUMBERS = ("00000000001", "100001", "4294967297", "4294967294")
_COMMON = ("success", "success", "auth_err", "ignore", "user_unknown", "perm_denied", "service_err")
_PASSWORDS = ("", "", "", " nullok", " try_first_pass", " use_first_pass", " likeauth")
_UKEYS = ("", "", "", " nouserok", " uniform", " decoy", " decoy uniform", " timeout=9", " unifrom")
_ATTRIBUTES: tuple[str, ...] = (
    "uid",
    "UID",
    "Uid",
    "gid",
    "user",
    "User",
    "login",
    "NAME",
    "service",
    "SERVICE",
)
_ATTRIBUTES += ("tty", "rhost", "ruser", "shell", "home", "HomeDir", "dir", "moon")
_HOWS: tuple[str, ...] = (
    "=",
    "!=",
    "eq",
    "EQ",
    "ne",
    "<",
    "lt",
    "GE",
    ">=",
    "<=",
    ">",
    "=~",
    "glob",
    "!~",
    "noglob",
)
_HOWS += ("in", "In", "notin", "ingroup", "notInGroup", "is")
_VALUES: tuple[str, ...] = (
    "0",
    "1000",
    "1001",
    "01000",
    "0x3e8",
    "08",
    "-1",
    "99999999999999999999",
    "1e3",
    "root",
    "1002",
    "70000",
    "*",
    "?*",
    "b*",
    "*[!x]*",
    "",
)
_VALUES += ("login", "LOGIN", "log*", "[!x]*", "su:login", "wheel", "ukey-breakglass", "x")
_SIGNS = ("[", "]", "\\", "\\]", "#", "=", "-", "\r", "\0", "\v", " ", "\t", "\n", "\xe4", "\u3000")
#: pam_exec's options and programs; these decide what it returns.
_EXECS = (
    "/bin/true",
    "/bin/false",
    "quiet seteuid /usr/bin/true",
    "Quiet LOG=/dev/null /usr/bin/false",
    "log=/nowhere/log /bin/true",
    "type=account /bin/true",
    "type=auth /bin/true",
    "type=AUTH /bin/true",
    "type=account type=auth /bin/true",
    "expose_authtok quiet /bin/true",
    "/bin/../bin/true",
    "/bin/sh -c true",
    "true",
    "/nowhere/true",
    "quiet",
    "quiet seteuid /usr/libexec/ukey/breakglass",
    "/bin/true /usr/libexec/ukey/breakglass",
)
#: Others, with words of their lines.
_OTHERS = (
    "pam_access.so",
    "pam_debug.so",
    "pam_deny.so",
    "pam_echo.so file=/nowhere",
    "pam_echo.so file=/etc",
    "pam_env.so",
    *(f"pam_exec.so {words}" for words in _EXECS),
    "pam_faildelay.so",
    "pam_faillock.so deny=999 preauth",
    "pam_ftp.so",
    "pam_issue.so",
    "pam_issue.so issue=/nowhere",
    "pam_listfile.so item=user sense=allow file=/etc/passwd",
    "pam_listfile.so item=user sense=deny file=/nowhere onerr=succeed",
    "pam_localuser.so",
    "pam_localuser.so file=/nowhere",
    "pam_motd.so",
    "pam_missing.so",
    "pam_nologin.so",
    "pam_nologin.so successok",
    "pam_permit",
    "pam_permit.so",
    "pam_permit.so",
    "pam_rhosts.so",
    "pam_rootok.so",
    "pam_securetty.so",
    "pam_securetty.so noconsole",
    "pam_selinux.so",
    "pam_sepermit.so",
    "pam_shells.so",
    "pam_succeed_if.so",
    "pam_timestamp.so",
    "pam_umask.so",
    "pam_userdb.so",
    "pam_usertype.so",
    "pam_usertype.so isregular",
    "pam_usertype.so issystem",
    "pam_usertype.so isregular issystem",
    "pam_usertype.so issystem use_uid",
    "pam_warn.so",
    "pam_wheel.so",
    "pam_wheel.so trust",
    "pam_wheel.so deny",
    "pam_wheel.so deny group=wheel trust",
    "pam_wheel.so root_only use_uid",
)


def stack(dice: random.Random) -> Files:
    """The service's file, and those that it can include."""
    service = dice.choice(SERVICES)
    names = (service, *_INCLUDED)
    return {name: _file(dice, number, service) for number, name in enumerate(names)}


def service_of(files: Files) -> str:
    return next(iter(files))


def write(files: Files, folder: Path) -> None:
    """Included files are named by their whole paths, for which ``{folder}`` stands in a line."""
    for name, lines in files.items():
        text = "".join(line.replace("{folder}", str(folder)) + "\n" for line in lines)
        (folder / name).write_text(text)


def shown(files: Files) -> str:
    """As people read it."""
    return "\n".join("\n".join((f"--- {name}", *lines)) for name, lines in files.items() if lines)


def _file(dice: random.Random, number: int, service: str) -> tuple[str, ...]:
    count = dice.randrange(2, 7) if number == 0 else dice.randrange(1, 4)
    return tuple(_line(dice, number, service) for _line_ in range(count))


def _line(dice: random.Random, number: int, service: str) -> str:
    roll = dice.random()
    if roll < 0.17:
        return _include(dice, number, service)
    if roll < 0.21:
        return dice.choice(
            ("# auth sufficient pam_permit.so", "", "auth", "auth sufficient", "atuh x y")
        )
    dash = dice.choice(("", "", "", "", "-"))
    kind = dice.choice(("auth", "auth", "auth", "auth", "auth", "Auth", "AUTH", "account"))
    between = dice.choice((" ", " ", "\t", " \\\n "))
    call = _call(dice)
    if dice.random() < 0.1:
        call = dice.choice(_FOLDERS) + call
    end = dice.choice(("", "", "", " # as it was"))
    if dice.random() < 0.03:
        ends = ("\r", " \r", "\0 nullok", *(() if "pam_ukey" in call else (" \\ ",)))
        end = dice.choice(ends)
    text = f"{dash}{kind}{between}{_control(dice)} {call}{end}"
    return _mistyped(dice, text) if dice.random() < 0.04 else text


def _mistyped(dice: random.Random, line: str) -> str:
    """With another sign in it; not behind the ukey's module, whose words a test replaces."""
    at = dice.randrange(len(line.partition("pam_ukey")[0]) + 1)
    return line[:at] + dice.choice(_SIGNS) + line[at:]


def _include(dice: random.Random, number: int, service: str) -> str:
    """Files further on; and, as a substack, one that may include this one."""
    further = _INCLUDED[number:]
    how = dice.choice(("auth include", "auth include", "auth substack", "account include"))
    if number == 0 and dice.random() < 0.2:
        how = "@include"
    if dice.random() < 0.15:
        return f"auth substack {{folder}}/{dice.choice((service, *_INCLUDED))}"
    return f"{how} {{folder}}/{dice.choice(further or ('nothing',))}"


def _control(dice: random.Random) -> str:
    if dice.random() < 0.4:
        return dice.choice(_WORDS)
    names = dice.sample(_COMMON, dice.randrange(1, 4)) + ["default"] * (dice.random() < 0.8)
    if dice.random() < 0.25:
        names.append(dice.choice(CODES))
    space = dice.choice(("", "", "", " "))
    acts = _NUMBERS if dice.random() < 0.02 else _ACTIONS
    pairs = (f"{name}{space}={dice.choice(acts)}" for name in dict.fromkeys(names))
    return f"[{' '.join(pairs)}]"


def _call(dice: random.Random) -> str:
    roll = dice.random()
    if roll < 0.25:
        return f"pam_unix.so{dice.choice(_PASSWORDS)}"
    if roll < 0.5:
        return f"pam_ukey.so{dice.choice(_UKEYS)}"
    if roll < 0.7:
        return f"pam_succeed_if.so {_conditions(dice)}"
    if roll < 0.74:
        return f"pam_debug.so auth={dice.choice(CODES[:30])}"
    return dice.choice(_OTHERS)


def _conditions(dice: random.Random) -> str:
    words = ["quiet"] * dice.randrange(2) + ["use_uid"] * (dice.random() < 0.15)
    for _condition in range(dice.choice((1, 1, 1, 2))):
        words += [dice.choice(_ATTRIBUTES), dice.choice(_HOWS), dice.choice(_VALUES) or "[]"]
    if dice.random() < 0.1:
        words.append("uid")
    return " ".join(words)
