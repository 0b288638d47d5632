# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What each module can return, from the sources of Linux-PAM 1.5.2 and of others' modules.

An unknown module can return anything: it is varied between success, ignored and failure. Its
ordinary case is the one in which it has no say.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..language import _
from . import succeed_if
from .behaviour import Behaviour, Code, always, beyond, by_uid, switch, unknown
from .controls import CODES
from .known import (
    CONSTANT,
    DIRECTORIES,
    LOCALS,
    MODELLED,
    PASSING,
    REFUSING,
    SETCRED,
    SILENT,
    WITHOUT_AUTH,
)
from .lines import Line
from .people import by_passwd_file, is_directory, is_smartcard, of_a_directory, of_this_host
from .places import Places
from .reading import Unreadable, read
from .world import (
    AFAR,
    PERSON,
    PLACE,
    SYSTEM,
    UKEY,
    Role,
    Variable,
    World,
)

_INTERPRETERS = re.compile(r"pam_(?:python|perl|lua|ruby|mruby|tcl|guile)[0-9.]*")
_PYTHON = re.compile(r"pam_python[0-9.]*")
#: The places where scripts/install puts them. Anything else by such a name is somebody else's.
_UKEY_ENTRY = "/usr/lib/ukey/pam_ukey/pam_python_entry.py"
_BREAKGLASS = "/usr/libexec/ukey/breakglass"
_EXEC_OPTION = re.compile(
    r"debug|stdout|expose_authtok|quiet|quiet_log|seteuid|log=.*|type=.*", re.DOTALL
)
#: Options with which the program alone decides.
_PLAIN = re.compile(r"debug|stdout|quiet|quiet_log|seteuid|log=/dev/null|type=auth")
_FAILLOCK = ("preauth", "authfail", "authsucc")
_FAILLOCK_FILE = "/etc/security/faillock.conf"
#: Programs that are known to do nothing but succeed or fail.
_TRIVIAL = {"true": "success", "false": "system_err"}


def is_ukey(line: Line) -> bool:
    """The C module, or the pam_python one."""
    if line.name == "pam_ukey":
        return True
    return _PYTHON.fullmatch(line.name) is not None and line.args[:1] == (_UKEY_ENTRY,)


def ukey_options(line: Line) -> tuple[str, ...]:
    """The words of pam_ukey's line."""
    return line.args if line.name == "pam_ukey" else line.args[1:]


def is_decoy(line: Line) -> bool:
    return is_ukey(line) and "decoy" in ukey_options(line)


def takes_ssh_key(line: Line) -> bool:
    """The line that takes down which key sshd has verified: it asks for nothing."""
    return line.name == "pam_ukey" and "take_ssh_key" in line.args


def asks_for_ukey(line: Line) -> bool:
    return is_ukey(line) and not is_decoy(line) and not takes_ssh_key(line)


def is_uniform(line: Line) -> bool:
    return is_ukey(line) and bool({"uniform", "decoy"} & set(ukey_options(line)))


def is_password(line: Line) -> bool:
    return line.name in (*LOCALS, *DIRECTORIES) and not is_smartcard(line)


def asks(line: Line) -> bool:
    """Whether it asks for the password where no line has yet, and keeps it for the lines that
    follow."""
    if line.name == "pam_exec":
        return "expose_authtok" in map(str.lower, exec_words(line)[0])
    return is_password(line) and not needs_password(line)


def may_ask(line: Line) -> bool:
    """Whether the module may ask for a password: it is not known that it does not."""
    silent = (*CONSTANT, *REFUSING, *MODELLED, *SILENT, *WITHOUT_AUTH)
    return line.name not in silent and not is_ukey(line) and not is_password(line)


def needs_password(line: Line) -> bool:
    """Whether it takes the password that a line before it has asked for, and fails without."""
    words = (word.partition("=")[0] for word in line.args)
    return is_password(line) and bool(_FIRST_PASS & set(words))


_FIRST_PASS = {"use_first_pass", "force_first_pass"}


def is_interpreter(line: Line) -> bool:
    """A module that runs an interpreter inside the program that asks, from any folder."""
    return _INTERPRETERS.fullmatch(line.name.rpartition("/")[2]) is not None


def only_refuses(line: Line) -> bool:
    """A module that keeps people out, and by which nobody gets in."""
    return line.name in REFUSING or line.name == "pam_faillock"


def is_authfail(line: Line) -> bool:
    """pam_faillock's count of a failure: it says yes only to those whom it does not count."""
    return line.name == "pam_faillock" and _faillock_action(line) == "authfail"


def is_gate(line: Line) -> bool:
    """The break-glass gate, where it may open."""
    return _runs_gate(line) and "stdout" not in map(str.lower, exec_words(line)[0])


def is_shut_gate(line: Line) -> bool:
    """The gate as it runs after a wrong password: with pam_exec's `stdout` it does not open."""
    return _runs_gate(line) and not is_gate(line)


def _runs_gate(line: Line) -> bool:
    return line.name == "pam_exec" and exec_words(line)[1] == (_BREAKGLASS,)


def exec_words(line: Line) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """pam_exec's own options, then the command that it runs: its first word that is no option."""
    for number, word in enumerate(line.args):
        if not _EXEC_OPTION.fullmatch(word.lower()):
            return line.args[:number], line.args[number:]
    return line.args, ()


def setcred(line: Line) -> str:
    if line.name == "pam_debug":
        return _debug(line, "cred")
    return SETCRED.get(line.name, "success")


def meant(word: str) -> bool:
    """Whether pam_ukey understands an option."""
    if word in ("nouserok", "uniform", "decoy", "change_pin", "silent", "debug", "take_ssh_key"):
        return True
    seconds = re.fullmatch(r"timeout=0*([0-9]{1,3})", word)
    return seconds is not None and 1 <= int(seconds[1]) <= 300


def behaviour(line: Line, service: str, places: Places | None) -> Behaviour:
    """What the module of `line` returns in a login by `service`. `places`: the host that it is on;
    None where that is not known, and names have to tell."""
    name = line.name
    # A column of the table stands for a missing ukey module, but not for a misnamed one.
    if not line.loadable or (_misnamed if is_ukey(line) else fails)(line, places):
        return always(None)
    if places is not None and places.leads_elsewhere(line.module):
        return unknown(line)
    if is_ukey(line):
        return _ukey(line)
    if name in CONSTANT:
        return always(CONSTANT[name])
    if is_directory(line):
        return of_a_directory(line)
    if name in LOCALS:
        return of_this_host(line)
    if name in _FILES:
        return beyond(line, _reading(line, places), MODELLED[name])
    special = _SPECIAL.get(name)
    found = special(line, service) if special else None
    if found is None and name in REFUSING:
        found = _refusing(line)
    if found is None:
        return unknown(line)
    return beyond(line, found, MODELLED[name]) if name in MODELLED else found


def fails(line: Line, places: Places | None) -> bool:
    """Whether libpam finds no function for auth lines by the name of this module."""
    if places is not None and places.lacks(line.module):
        return True
    return without_auth(line, places)


def _misnamed(line: Line, places: Places | None) -> bool:
    """Whether the ukey's module is there, and libpam does not find it by the name of this line."""
    if places is None or line.name != "pam_ukey" or not places.lacks(line.module):
        return False
    return "$ISA" in line.module or not places.lacks("pam_ukey.so")


def without_auth(line: Line, places: Places | None) -> bool:
    """Whether the module is there, and has no function for auth lines."""
    known = places.has_auth(line.module) if places is not None else None
    return line.name in WITHOUT_AUTH if known is None else not known


#: What pam_python says itself when the module inside it cannot.
_PYTHONS = ("service_err", "symbol_err", "open_err")


def _ukey(line: Line) -> Behaviour:
    options = ukey_options(line)
    uniform, nouserok = is_uniform(line), "nouserok" in options
    if takes_ssh_key(line) and len(options) == 1:
        return Behaviour(lambda world: "auth_err" if world[UKEY] else None)
    if not all(map(meant, options)) or (uniform and nouserok) or takes_ssh_key(line):
        return Behaviour(lambda world: "service_err" if world[UKEY] else None)

    def code(world: World) -> Code:
        said = world[UKEY]
        if not said:
            return None
        if said == "success" and world.get(PLACE) == AFAR:
            said = "perm_denied"
        if is_decoy(line):
            return "auth_err"
        if said == "user_unknown" and nouserok:
            return "ignore"
        if said == "success" or not uniform or (is_interpreter(line) and said in _PYTHONS):
            return said
        return "auth_err"

    return Behaviour(code)


def _rootok(line: Line, service: str) -> Behaviour:
    """It looks at the real uid, which is root's in programs that log people in."""
    return by_uid(service, "auth_err", "success")


def _faillock_action(line: Line) -> str:
    """Its last word counts; without one it is preauth."""
    return next((word for word in reversed(line.args) if word in _FAILLOCK), _FAILLOCK[0])


def _faillock(line: Line, places: Places | None) -> Behaviour:
    """It says yes to those whom it was told not to count, whatever its task is."""
    counts_all = "local_users_only" not in line.args and not _faillock_told(line, places)
    free = "ignore" if is_authfail(line) else "success"
    made = switch(
        "faillock",
        Role.LOCK,
        (free, _("where pam_faillock.so does not lock the account")),
        ("auth_err", _("where pam_faillock.so locks the account")),
    )
    return made if counts_all else by_passwd_file(made, always("success"))


def _faillock_told(line: Line, places: Places | None) -> bool:
    """Whether its configuration may have the same word."""
    named = [word[5:] for word in line.args if word.startswith("conf=")]
    if places is None:
        return bool(named)
    try:
        content = read(places.root / (named[-1] if named else _FAILLOCK_FILE).lstrip("/"))
    except Unreadable as error:
        return not error.missing
    lines = (line.partition(b"#")[0] for line in content.splitlines())
    return any(b"local_users_only" in line for line in lines)


def _exec(line: Line, service: str) -> Behaviour | None:
    options, command = exec_words(line)
    kinds = {word[5:] for word in options if word.lower().startswith("type=")}
    others = kinds - {"auth"}
    if others and (len(kinds) > 1 or any(kind.lower() == "auth" for kind in others)):
        return None  # libpam's versions differ
    if others:
        return always("ignore")
    if not command:
        return always("service_err")
    folder, _slash, program = command[0].rpartition("/")
    plain = all(_PLAIN.fullmatch(word.lower()) for word in options)
    if folder in ("/bin", "/usr/bin") and program in _TRIVIAL and plain:
        return always(_TRIVIAL[program])
    if is_shut_gate(line):
        return always("system_err")
    if not is_gate(line):
        return None
    return switch(
        "break-glass",
        Role.GATE,
        ("system_err", _("where break-glass stays shut")),
        ("success", _("where break-glass opens (on a local console)")),
    )


def _reading(line: Line, places: Places | None) -> Behaviour:
    """pam_localuser, pam_echo, pam_issue and pam_faillock, which may be given a file."""
    if line.name == "pam_faillock":
        return _faillock(line, places)
    if line.name == "pam_issue":
        given = any(word.startswith("issue=") for word in line.args)
        if given or (places is not None and places.has_file("/etc/issue") is False):
            return unknown(line, "ignore", "service_err")
        return always("ignore")
    files = [word[5:] for word in line.args if word.startswith("file=")]
    there = places.has_file(files[-1]) if files and places is not None else None
    if line.name == "pam_echo":
        if files and there is not False:  # which may be a folder, or unreadable
            return unknown(line, "success", "ignore")
        return always("ignore" if files else "success")
    if there is False:
        return always("service_err")
    if files and files[-1] != "/etc/passwd":
        return unknown(line, "success", "perm_denied")
    return by_passwd_file(always("success"), always("perm_denied"))


#: Modules that read a file which their line names.
_FILES = ("pam_localuser", "pam_echo", "pam_issue", "pam_faillock")


def _debug(line: Line, function: str) -> str:
    """The code that pam_debug was told first to return."""
    told = [word.partition("=")[2] for word in line.args if word.startswith(f"{function}=")]
    return told[0] if told and told[0] in CODES else "success"


def _usertype(line: Line, service: str) -> Behaviour | None:
    told = [word for word in line.args if word in ("isregular", "issystem")]
    if not told:
        return always("service_err")
    if "use_uid" in line.args:
        return None
    regular = told[-1] == "isregular"
    return Behaviour(
        lambda world: "success" if (world.get(PERSON) != SYSTEM) == regular else "auth_err"
    )


def _sepermit(line: Line, service: str) -> Behaviour:
    """Where SELinux enforces, it lets in those whom its file names; otherwise it refuses."""
    texts = (
        _("nobody of /etc/security/sepermit.conf"),
        _("a user of /etc/security/sepermit.conf"),
        _("where {module} refuses").format(module=f"{line.name}.so"),
    )
    codes = ("ignore", "success", "auth_err")
    key = " ".join((line.module, *line.args))
    return Behaviour(lambda world: world[key], (Variable(key, codes, Role.PERSON, texts),))


def _refusing(line: Line) -> Behaviour:
    refuses, passes = REFUSING[line.name]
    for word in line.args:
        passes = PASSING.get((line.name, word), passes)
    what = {"module": f"{line.name}.so"}
    return switch(
        " ".join((line.name, *line.args)),
        Role.LOCK,
        (passes, _("where {module} does not refuse").format(**what)),
        (refuses, _("where {module} refuses").format(**what)),
    )


_SPECIAL: dict[str, Callable[[Line, str], Behaviour | None]] = {
    "pam_rootok": _rootok,
    "pam_exec": _exec,
    "pam_debug": lambda line, service: always(_debug(line, "auth")),
    "pam_selinux_permit": _sepermit,
    "pam_sepermit": _sepermit,
    "pam_usertype": _usertype,
    "pam_succeed_if": succeed_if.behaviour,
}
