# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What each module can return, from the sources of Linux-PAM 1.5.2 and of others' modules.

A module that nobody here knows can return anything: it is varied between success, ignored and
failure. Its ordinary case is the one in which it has no say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ..language import _
from . import succeed_if
from .behaviour import Behaviour, Code, always, by_caller, switch, unknown
from .controls import CODES
from .known import CONSTANT, DIRECTORIES, IGNORING, LOCALS, PASSING, REFUSING, SETCRED, WITHOUT_AUTH
from .lines import Line
from .places import Places
from .programs import CALLERS
from .world import PASSWORD, PERSON, REGULAR, SYSTEM, UKEY, Role, Variable, World

_INTERPRETERS = re.compile(r"pam_(?:python|perl|lua|ruby|mruby|tcl|guile)[0-9.]*")
#: Where scripts/install puts them. Anything else by such a name is somebody else's.
_UKEY_ENTRY = "/usr/lib/ukey/pam_ukey/pam_python_entry.py"
_BREAKGLASS = "/usr/libexec/ukey/breakglass"
_EXEC_OPTION = re.compile(
    r"debug|stdout|expose_authtok|quiet|quiet_log|seteuid|log=.*|type=.*", re.DOTALL
)
_FAILLOCK = ("preauth", "authfail", "authsucc")
#: Programs that are known to do nothing but succeed or fail.
_TRIVIAL = {"true": "success", "false": "system_err"}


def is_ukey(line: Line) -> bool:
    """The C module, or the pam_python one."""
    return line.name == "pam_ukey" or (is_interpreter(line) and line.args[:1] == (_UKEY_ENTRY,))


def ukey_options(line: Line) -> tuple[str, ...]:
    """The words of pam_ukey's line."""
    return line.args if line.name == "pam_ukey" else line.args[1:]


def is_decoy(line: Line) -> bool:
    return is_ukey(line) and "decoy" in ukey_options(line)


def is_uniform(line: Line) -> bool:
    return is_ukey(line) and bool({"uniform", "decoy"} & set(ukey_options(line)))


def is_password(line: Line) -> bool:
    return line.name in (*LOCALS, *DIRECTORIES) and not _smartcard(line)


def as_told(line: Line, code: str) -> str:
    """What a directory's module returns for `code`, by its options."""
    return "ignore" if IGNORING.get(code) in line.args else code


def is_interpreter(line: Line) -> bool:
    """A module that runs an interpreter inside the program that asks."""
    return _INTERPRETERS.fullmatch(line.name) is not None


def only_refuses(line: Line) -> bool:
    """A module that keeps people out, and that nobody gets in by."""
    return line.name in REFUSING or line.name == "pam_faillock"


def is_authfail(line: Line) -> bool:
    """pam_faillock's count of a failure: it never says yes."""
    return line.name == "pam_faillock" and _faillock_action(line) == "authfail"


def is_gate(line: Line) -> bool:
    """The break-glass gate."""
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
    if word in ("nouserok", "uniform", "decoy", "change_pin", "debug"):
        return True
    seconds = re.fullmatch(r"timeout=0*([0-9]{1,3})", word)
    return seconds is not None and 1 <= int(seconds[1]) <= 300


def people(lines: Iterable[Line]) -> tuple[Variable, ...]:
    """Whose login it may be, as far as the stack tells people apart."""
    values, texts = [REGULAR], [_("somebody with an account on this host")]
    lines = list(lines)
    if any(line.name == "pam_usertype" or succeed_if.tells_system_users(line) for line in lines):
        values.append(SYSTEM)
        texts.append(_("a system user (uid below 1000)"))
    for name in DIRECTORIES:
        if any(line.name == name and not _smartcard(line) for line in lines):
            values.append(name)
            texts.append(_("a user of {module}").format(module=f"{name}.so"))
    if len(values) == 1:
        return ()
    return (Variable(PERSON, tuple(values), Role.PERSON, tuple(texts)),)


def behaviour(line: Line, service: str, places: Places | None) -> Behaviour:
    """What the module of `line` returns in a login by `service`. `places`: the host that it is on;
    None where that is not known, and names have to tell."""
    name = line.name
    # Whether the ukey's module is missing, is a column of the table; not whether it is misnamed.
    if not line.loadable or (_misnamed if is_ukey(line) else fails)(line, places):
        return always(None)
    if is_ukey(line):
        return _ukey(line)
    if name in CONSTANT:
        return always(CONSTANT[name])
    if name in DIRECTORIES and not _smartcard(line):
        return Behaviour(
            lambda world: as_told(
                line, world[PASSWORD] if world.get(PERSON) == name else "user_unknown"
            )
        )
    if name in LOCALS:
        return Behaviour(
            lambda world: world[PASSWORD] if world.get(PERSON, REGULAR) in _OURS else "auth_err"
        )
    if name in _FILES:
        return _reading(line, places)
    special = _SPECIAL.get(name)
    found = special(line, service) if special else None
    if found is None and name in REFUSING:
        found = _refusing(line)
    return found or unknown(line)


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


_OURS = (REGULAR, SYSTEM)
#: What pam_python says itself when the module inside it cannot.
_PYTHONS = ("service_err", "symbol_err", "open_err")


def _ukey(line: Line) -> Behaviour:
    options = ukey_options(line)
    uniform, nouserok = is_uniform(line), "nouserok" in options
    if not all(map(meant, options)) or (uniform and nouserok):
        return Behaviour(lambda world: "service_err" if world[UKEY] else None)

    def code(world: World) -> Code:
        said = world[UKEY]
        if not said:
            return None
        if is_decoy(line):
            return "auth_err"
        if said == "user_unknown" and nouserok:
            return "ignore"
        if said == "success" or not uniform or (is_interpreter(line) and said in _PYTHONS):
            return said
        return "auth_err"

    return Behaviour(code)


def _smartcard(line: Line) -> bool:
    return any(word.endswith("_cert_auth") for word in line.args)


def _rootok(line: Line, service: str) -> Behaviour:
    """It looks at the real uid, which is root's in what logs people in."""
    if service not in CALLERS:
        return always("success")
    return by_caller("auth_err", "success")


def _faillock_action(line: Line) -> str:
    """Its last word counts; without one it is preauth."""
    return next((word for word in reversed(line.args) if word in _FAILLOCK), _FAILLOCK[0])


def _faillock(line: Line, service: str) -> Behaviour:
    free = "ignore" if is_authfail(line) else "success"
    return switch(
        "faillock",
        Role.LOCK,
        (free, _("where pam_faillock.so does not lock the account")),
        ("auth_err", _("where pam_faillock.so locks the account")),
    )


def _exec(line: Line, service: str) -> Behaviour | None:
    options, command = exec_words(line)
    kinds = [word[5:] for word in options if word.lower().startswith("type=")]
    if any(kind.lower() != "auth" for kind in kinds[-1:]):
        return always("ignore")
    if not command:
        return always("service_err")
    folder, _slash, program = command[0].rpartition("/")
    if folder in ("/bin", "/usr/bin") and program in _TRIVIAL:
        return always(_TRIVIAL[program])
    if not is_gate(line):
        return None
    return switch(
        "break-glass",
        Role.GATE,
        ("system_err", _("where break-glass stays shut")),
        ("success", _("where break-glass opens (on a local console)")),
    )


def _reading(line: Line, places: Places | None) -> Behaviour:
    """pam_localuser and pam_echo, which may be given a file."""
    files = [word[5:] for word in line.args if word.startswith("file=")]
    there = places.has_file(files[-1]) if files and places is not None else None
    if line.name == "pam_echo":
        if files and there is None:
            return unknown(line, "success", "ignore")
        return always("ignore" if there is False else "success")
    if there is False:
        return always("service_err")
    if files and files[-1] != "/etc/passwd":
        return unknown(line, "success", "perm_denied")
    return Behaviour(
        lambda world: "success" if world.get(PERSON, REGULAR) in _OURS else "perm_denied"
    )


#: Modules that read a file which their line names.
_FILES = ("pam_localuser", "pam_echo")


def _debug(line: Line, function: str) -> str:
    """What pam_debug was told to return."""
    told = [word.partition("=")[2] for word in line.args if word.startswith(f"{function}=")]
    return told[-1] if told and told[-1] in CODES else "success"


def _usertype(line: Line, service: str) -> Behaviour | None:
    if not {"isregular", "issystem"} & set(line.args):
        return always("service_err")
    if "use_uid" in line.args:
        return None
    regular = "isregular" in line.args
    return Behaviour(
        lambda world: "success" if (world.get(PERSON) != SYSTEM) == regular else "auth_err"
    )


def _sepermit(line: Line, service: str) -> Behaviour:
    return switch(
        "sepermit",
        Role.PERSON,
        ("ignore", _("nobody of /etc/security/sepermit.conf")),
        ("success", _("a user of /etc/security/sepermit.conf")),
    )


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
    "pam_faillock": _faillock,
    "pam_exec": _exec,
    "pam_debug": lambda line, service: always(_debug(line, "auth")),
    "pam_selinux_permit": _sepermit,
    "pam_sepermit": _sepermit,
    "pam_usertype": _usertype,
    "pam_succeed_if": succeed_if.behaviour,
}
