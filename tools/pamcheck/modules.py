# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What each module can return, from the sources of Linux-PAM 1.5.2 and of others' modules.

A module that nobody here knows can return anything: it is varied between success, ignored and
failure. Its ordinary case is the one in which it has no say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..language import _
from .controls import action
from .lines import Line
from .programs import CALLERS
from .world import PASSWORD, PERSON, REGULAR, SYSTEM, UKEY, Role, Variable, World

#: None: the module is missing.
Code = str | None

#: Modules that check a password against a directory or a home of its own.
DIRECTORIES = (
    "pam_sss",
    "pam_ldap",
    "pam_krb5",
    "pam_winbind",
    "pam_systemd_home",
    "pam_nis",
    "pam_yp",
    "pam_freeipa",
    "pam_kanidm",
    "pam_himmelblau",
    "pam_oslogin_login",
)
#: Options of theirs that make PAM_IGNORE of a code.
_IGNORING = {"user_unknown": "ignore_unknown_user", "authinfo_unavail": "ignore_authinfo_unavail"}
LOCALS = ("pam_unix", "pam_unix2", "pam_tcb", "pam_pwdfile", "pam_pwdb", "pam_shadow")

#: Modules that always return the same from pam_sm_authenticate.
_CONSTANT = {
    "pam_permit": "success",
    "pam_deny": "auth_err",
    "pam_env": "ignore",
    "pam_faildelay": "ignore",
    "pam_group": "ignore",
    "pam_warn": "ignore",
    "pam_echo": "success",
    "pam_issue": "ignore",
    "pam_motd": "ignore",
    "pam_keyinit": "ignore",
    "pam_loginuid": "ignore",
    "pam_selinux": "ignore",
    "pam_umask": "ignore",
    "pam_systemd": "ignore",
    "pam_namespace": "ignore",
}
#: What pam_setcred returns, where it is not success.
_SETCRED = {
    "pam_deny": "cred_err",
    "pam_succeed_if": "ignore",
    "pam_usertype": "ignore",
    "pam_exec": "ignore",
    "pam_faildelay": "ignore",
    "pam_warn": "ignore",
    "pam_echo": "ignore",
    "pam_keyinit": "ignore",
    "pam_access": "ignore",
    "pam_mail": "ignore",
    "pam_sepermit": "ignore",
    "pam_nologin": "ignore",
}
#: Modules that only ever refuse, the code that they refuse with, and the one that they pass with.
_REFUSING = {
    "pam_nologin": ("auth_err", "ignore"),
    "pam_securetty": ("auth_err", "success"),
    "pam_shells": ("auth_err", "success"),
    "pam_time": ("perm_denied", "success"),
    "pam_access": ("perm_denied", "success"),
    "pam_tally2": ("auth_err", "success"),
    "pam_tally": ("auth_err", "success"),
}
_INTERPRETERS = re.compile(r"pam_(?:python|perl|lua|ruby|mruby|tcl|guile)[0-9.]*")
#: Where scripts/install puts them. Anything else by such a name is somebody else's.
_UKEY_ENTRY = "/usr/lib/ukey/pam_ukey/pam_python_entry.py"
_BREAKGLASS = "/usr/libexec/ukey/breakglass"


@dataclass(frozen=True)
class Behaviour:
    """What a line's module returns, given the world."""

    code: Callable[[World], Code]
    variables: tuple[Variable, ...] = ()


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
    return "ignore" if _IGNORING.get(code) in line.args else code


def is_interpreter(line: Line) -> bool:
    """A module that runs an interpreter inside the program that asks."""
    return _INTERPRETERS.fullmatch(line.name) is not None


def only_refuses(line: Line) -> bool:
    """A module that keeps people out, and that nobody gets in by."""
    return line.name in _REFUSING or line.name == "pam_faillock"


def is_gate(line: Line) -> bool:
    """The break-glass gate."""
    return line.name == "pam_exec" and line.args[-1:] == (_BREAKGLASS,)


def setcred(line: Line) -> str:
    return _SETCRED.get(line.name, "success")


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
    if any(line.name == "pam_usertype" or _by_uid(line) is not None for line in lines):
        values.append(SYSTEM)
        texts.append(_("a system user (uid below 1000)"))
    for name in DIRECTORIES:
        if any(line.name == name and not _smartcard(line) for line in lines):
            values.append(name)
            texts.append(_("a user of {module}").format(module=f"{name}.so"))
    if len(values) == 1:
        return ()
    return (Variable(PERSON, tuple(values), Role.PERSON, tuple(texts)),)


def behaviour(line: Line, service: str, *, missing: bool) -> Behaviour:
    """What the module of `line` returns in a login by `service`. `missing`: it is not there."""
    name = line.name
    if missing:
        return Behaviour(lambda world: None)
    if is_ukey(line):
        return _ukey(line)
    if name in _CONSTANT:
        constant = _CONSTANT[name]
        return Behaviour(lambda world: constant)
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
    special = _SPECIAL.get(name)
    found = special(line, service) if special else None
    if found is None and name in _REFUSING:
        found = _refusing(line)
    return found or _unknown(line)


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


def _switch(
    key: str, role: Role, off: tuple[Code, str], on: tuple[Code, str], *, usual: bool = False
) -> Behaviour:
    """A module that says one thing or another. `usual`: "on" is the ordinary case."""
    codes = {"no": off[0], "yes": on[0]}
    texts = {"no": off[1], "yes": on[1]}
    values = ("yes", "no") if usual else ("no", "yes")
    variable = Variable(key, values, role, tuple(texts[value] for value in values))
    return Behaviour(lambda world: codes[world[key]], (variable,))


def _rootok(line: Line, service: str) -> Behaviour:
    """It looks at the real uid, which is root's in what logs people in."""
    if service not in CALLERS:
        return Behaviour(lambda world: "success")
    return _switch(
        "root calls",
        Role.CALLER,
        ("auth_err", _("where the caller is not root")),
        ("success", _("where the caller is root")),
    )


def _faillock(line: Line, service: str) -> Behaviour:
    free = {"authfail": "ignore"}.get(line.args[0] if line.args else "", "success")
    return _switch(
        "faillock",
        Role.LOCK,
        (free, _("where pam_faillock.so does not lock the account")),
        ("auth_err", _("where pam_faillock.so locks the account")),
    )


def _exec(line: Line, service: str) -> Behaviour | None:
    if not is_gate(line):
        return None
    return _switch(
        "break-glass",
        Role.GATE,
        ("system_err", _("where break-glass stays shut")),
        ("success", _("where break-glass opens (on a local console)")),
    )


def _localuser(line: Line, service: str) -> Behaviour:
    return Behaviour(
        lambda world: "success" if world.get(PERSON, REGULAR) in _OURS else "perm_denied"
    )


def _usertype(line: Line, service: str) -> Behaviour | None:
    if not {"isregular", "issystem"} & set(line.args) or "use_uid" in line.args:
        return None
    regular = "isregular" in line.args
    return Behaviour(
        lambda world: "success" if (world.get(PERSON) != SYSTEM) == regular else "auth_err"
    )


def _sepermit(line: Line, service: str) -> Behaviour:
    return _switch(
        "sepermit",
        Role.PERSON,
        ("ignore", _("nobody of /etc/security/sepermit.conf")),
        ("success", _("a user of /etc/security/sepermit.conf")),
    )


def _refusing(line: Line) -> Behaviour:
    refuses, passes = _REFUSING[line.name]
    what = {"module": f"{line.name}.so"}
    return _switch(
        " ".join((line.name, *line.args)),
        Role.LOCK,
        (passes, _("where {module} does not refuse").format(**what)),
        (refuses, _("where {module} refuses").format(**what)),
    )


# -- pam_succeed_if

_FLAGS = {"quiet", "quiet_success", "quiet_fail", "debug", "audit", "use_uid"}
_AT_MOST = {"<": 0, "lt": 0, "<=": 1, "le": 1}
_AT_LEAST = {">=": 0, "ge": 0, ">": -1, "gt": -1}
_NEGATIVE = {"!=": "=", "ne": "eq", "notin": "in", "notingroup": "ingroup", "!~": "=~"}
_NEGATIVE |= {"notinnetgr": "innetgr"}


def _expression(line: Line) -> list[str]:
    return [word for word in line.args if word not in _FLAGS]


def _by_uid(line: Line) -> bool | None:
    """Whether a look at the uid says yes to people, and no to system users; None: no such look."""
    words = _expression(line)
    if line.name != "pam_succeed_if" or "use_uid" in line.args or len(words) != 3:
        return None
    what, how, number = words
    if what != "uid" or not number.isdecimal() or not 100 <= int(number[:9]) <= 1001:
        return None
    return True if how in _AT_LEAST else False if how in _AT_MOST else None


def _succeed_if(line: Line, service: str) -> Behaviour:
    words = _expression(line)
    regular = _by_uid(line)
    if regular is not None:
        return Behaviour(
            lambda world: "success" if (world.get(PERSON) != SYSTEM) == regular else "auth_err"
        )
    positive, key = True, " ".join(words)
    if len(words) == 3:
        what, how, value = words
        positive = how not in _NEGATIVE
        how = _NEGATIVE.get(how, how)
        key = " ".join((what, how, value))
        if what == "service" and how in ("=", "eq", "in"):
            named = service in (value.split(":") if how == "in" else [value])
            code = "success" if named == positive else "auth_err"
            return Behaviour(lambda world: code)
        if what in ("user", "group", "gid", "uid", "ruser"):
            return _membership(key, positive=positive)
    use = "use_uid " if "use_uid" in line.args else ""
    says, denies = _("where {condition}"), _("where not {condition}")
    return _switch(
        f"succeed_if {use}{key}",
        Role.OTHER,
        ("success" if not positive else "auth_err", denies.format(condition=key)),
        ("auth_err" if not positive else "success", says.format(condition=key)),
        usual=positive and action(line.control, "auth_err") != "ignore",
    )


def _membership(key: str, *, positive: bool) -> Behaviour:
    what, how, value = key.split(" ")
    if (what, how) == ("user", "ingroup"):
        yes, no = _("a member of group {name}"), _("nobody of group {name}")
    else:
        yes, no = _("where {condition}"), _("where not {condition}")
    texts = {"name": value, "condition": key}
    return _switch(
        f"succeed_if {key}",
        Role.MEMBER,
        ("auth_err" if positive else "success", no.format(**texts)),
        ("success" if positive else "auth_err", yes.format(**texts)),
    )


# -- everything else


def _unknown(line: Line) -> Behaviour:
    """Ordinarily it has no say: it returns what is passed over, or else success."""
    values = ["success", "auth_err", "ignore"]
    strong = action(line.control, "success") not in ("ok", "ignore")
    passed_over = [code for code in values[1:] if action(line.control, code) == "ignore"]
    if passed_over and (strong or passed_over[0] == "auth_err"):
        values.sort(key=lambda code: code != passed_over[0])
    key = " ".join((line.module, *line.args))
    text = _("where {module} returns {code}")
    module = f"{line.name}.so"
    texts = tuple(text.format(module=module, code=value) for value in values)
    return Behaviour(lambda world: world[key], (Variable(key, tuple(values), Role.OTHER, texts),))


_SPECIAL: dict[str, Callable[[Line, str], Behaviour | None]] = {
    "pam_rootok": _rootok,
    "pam_faillock": _faillock,
    "pam_exec": _exec,
    "pam_localuser": _localuser,
    "pam_selinux_permit": _sepermit,
    "pam_sepermit": _sepermit,
    "pam_usertype": _usertype,
    "pam_succeed_if": _succeed_if,
}
