# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What an unprivileged user can give to a setuid program that he starts: one case each."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from fnmatch import fnmatchcase
from itertools import combinations


class Honest(Enum):
    """What whoever has both factors gets."""

    IN = auto()
    EITHER = auto()  #: in, or a failure that is one: where the system's own parts may run dry
    OUT = auto()


@dataclass(frozen=True)
class Condition:
    """How the program is started. ``{u}`` stands for the user's folder (``bait``)."""

    env: Mapping[str, str] = field(default_factory=dict)
    #: shell commands before it
    shell: str = ""
    #: words before the program's own
    via: Sequence[str] = ()
    honest: Honest = Honest.IN
    #: sudo's, where it differs
    sudo: Honest | None = None
    #: signals by which the kernel enforces a limit
    enforced_by: frozenset[signal.Signals] = frozenset()
    #: what proc(5) shows of it when the program starts (``Opening.inherited``), as fnmatch has it
    shown: Mapping[str, str] = field(default_factory=dict)

    def expects(self, program: str) -> Honest:
        return self.sudo if program == "sudo" and self.sudo is not None else self.honest

    def holds(self, inherited: Mapping[str, str], folder: str) -> bool:
        """Whether a program that inherits this starts under the condition; `folder`: the user's."""
        return all(
            fnmatchcase(inherited.get(name, ""), value.replace("{u}", folder))
            for name, value in self.shown.items()
        )


# -- the environment

_PYTHON = {
    "PYTHONPATH": "{u}/python",
    "PYTHONHOME": "{u}/python",
    "PYTHONSTARTUP": "{u}/python/site.py",
    "PYTHONINSPECT": "1",
    "PYTHONUSERBASE": "{u}",
    "PYTHONEXECUTABLE": "{u}/bin/python3",
    "PYTHONPYCACHEPREFIX": "{u}/state",
    "PYTHONPLATLIBDIR": "{u}/lib",
    "PYTHONBREAKPOINT": "site.main",
    "PYTHONWARNINGS": "error::site.Warning",
    "PYTHONPROFILEIMPORTTIME": "1",
    "PYTHONDEVMODE": "1",
}
_BUS = {
    "DBUS_SYSTEM_BUS_ADDRESS": "unix:path={u}/bus",
    "DBUS_SESSION_BUS_ADDRESS": "unix:path={u}/bus",
    "DBUS_STARTER_ADDRESS": "unix:path={u}/bus",
    "DBUS_STARTER_BUS_TYPE": "system",
}
_LOADER = {
    "LD_PRELOAD": "{u}/lib/libpam.so.0",
    "LD_LIBRARY_PATH": "{u}/lib",
    "LD_AUDIT": "{u}/lib/libaudit.so.1",
    "LD_DEBUG": "all",
    "LD_DEBUG_OUTPUT": "{u}/state/debug",
    "LD_PROFILE": "libpam.so.0",
    "LD_PROFILE_OUTPUT": "{u}/state",
    "LD_BIND_NOW": "1",
    "LD_BIND_NOT": "1",
    "LD_DYNAMIC_WEAK": "1",
    "LD_ORIGIN_PATH": "{u}/lib",
    "LD_HWCAP_MASK": "0",
    "LD_SHOW_AUXV": "1",
    "LD_USE_LOAD_BIAS": "1",
    "LD_ASSUME_KERNEL": "2.0.0",
}
_LANGUAGE = {
    "LANG": "xx",
    "LC_ALL": "en_US.UTF-8",
    "LANGUAGE": "{u}/locale/xx:xx:en_US",
    "LOCPATH": "{u}/locale",
    "NLSPATH": "{u}/locale/%L/LC_MESSAGES.d/%N.cat:{u}/locale/%N",
    "GCONV_PATH": "{u}/lib",
    "I18NPATH": "{u}/locale",
    "TEXTDOMAINDIR": "{u}/locale",
    "OUTPUT_CHARSET": "UTF-7",
    "CHARSET": "{u}/lib/UTF-7.so",
}
_RESOLVER = {
    "HOSTALIASES": "{u}/files/hosts",
    "RESOLV_HOST_CONF": "{u}/files/hosts",
    "RES_OPTIONS": "ndots:15 debug attempts:5",
    "LOCALDOMAIN": "example.invalid",
    "NIS_PATH": "{u}/files",
    "GETCONF_DIR": "{u}/bin",
}
_FOLDERS = {
    "TMPDIR": "{u}/state",
    "TMP": "{u}/state",
    "TEMP": "{u}/state",
    "TZDIR": "{u}/files",
    "TZ": ":{u}/files/zone",
    "HOME": "{u}",
    "XDG_CONFIG_HOME": "{u}/files",
    "XDG_CONFIG_DIRS": "{u}/files",
    "XDG_DATA_DIRS": "{u}",
    "XDG_RUNTIME_DIR": "{u}/state",
    "MAIL": "{u}/files/mbox",
    "PWD": "{u}/all",
}
_MALLOC = {
    "MALLOC_CHECK_": "3",
    "MALLOC_PERTURB_": "165",
    "MALLOC_TRACE": "{u}/state/malloc",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TOP_PAD_": "1",
    "MALLOC_MMAP_MAX_": "65536",
    "MALLOC_MMAP_THRESHOLD_": "1",
    "MALLOC_TRIM_THRESHOLD_": "0",
    "GLIBC_TUNABLES": "glibc.malloc.check=3:glibc.malloc.perturb=165:glibc.rtld.nns=1",
}
_LIBRARIES = {
    "OPENSSL_CONF": "{u}/files/config",
    "OPENSSL_MODULES": "{u}/lib",
    "OPENSSL_ENGINES": "{u}/lib",
    "SSL_CERT_FILE": "{u}/files/config",
    "KRB5_CONFIG": "{u}/files/config",
    "KRB5CCNAME": "FILE:{u}/files/config",
    "LDAPCONF": "{u}/files/config",
    "P11_KIT_DEBUG": "all",
    "PCSCLITE_CSOCK_NAME": "{u}/bus",
    "NOTIFY_SOCKET": "{u}/bus",
    "SSH_AUTH_SOCK": "{u}/bus",
    "LISTEN_FDS": "2",
    "LISTEN_FDNAMES": "root:user",
    "SYSTEMD_NSS_DYNAMIC_BYPASS": "1",
    "TERMINFO": "{u}/files",
    "TERMCAP": "{u}/files/terminfo",
    "INPUTRC": "{u}/files/config",
    "PERL5LIB": "{u}/lib",
}
#: What a helper that PAM starts would believe, the break-glass gate for one.
_PAM = {
    "PAM_USER": "root",
    "PAM_SERVICE": "login",
    "PAM_TTY": "tty1",
    "PAM_RHOST": "",
    "PAM_TYPE": "auth",
    "SHELL": "{u}/bin/sh",
    "ENV": "{u}/bin/sh",
    "BASH_ENV": "{u}/bin/sh",
    "IFS": "/",
    "USER": "root",
    "LOGNAME": "root",
    "SUDO_USER": "root",
    "SUDO_UID": "0",
    "SUDO_ASKPASS": "{u}/bin/askpass",
    "SUDO_EDITOR": "{u}/bin/sh",
    "SUDO_PROMPT": "",
}
_PATH = {"PATH": ":.:{u}/bin"}
_ALL = {
    **_PATH, **_PYTHON, **_BUS, **_LOADER, **_LANGUAGE, **_RESOLVER, **_FOLDERS, **_MALLOC,
    **_LIBRARIES, **_PAM,
}  # fmt: skip

ENVIRONMENT = {
    "nothing": Condition(),
    "no environment": Condition(via=["env", "-i"]),
    "PATH": Condition(_PATH),
    "PYTHON*": Condition(_PYTHON),
    "a bus of the user's own": Condition(_BUS),
    "LD_*": Condition(_LOADER),
    "LD_TRACE_LOADED_OBJECTS": Condition(
        {"LD_TRACE_LOADED_OBJECTS": "1"}, honest=Honest.OUT
    ),
    "languages": Condition(_LANGUAGE),
    "a language that is a path": Condition(
        {"LANG": "../../../../{u}/locale/xx", "LC_MESSAGES": "{u}/locale/xx", "LANGUAGE": "../xx"}
    ),
    "the resolver's": Condition(_RESOLVER),
    "folders": Condition(_FOLDERS),
    "malloc's": Condition(_MALLOC),
    "libraries'": Condition(_LIBRARIES),
    "PAM's and the shell's": Condition(_PAM),
    "all of them": Condition(_ALL),
    "a megabyte": Condition(
        {**{f"LC_{number}": "x" * 120_000 for number in range(8)}, "LC_ALL": "x" * 120_000}
    ),
}  # fmt: skip

# -- descriptors

#: su and `sudo -S` read standard input; that sudo also writes to standard error, or gives up.
DESCRIPTORS = {
    f"without {', '.join(map(str, closed))}": Condition(
        shell="; ".join(f"exec {number}<&-" for number in closed),
        honest=Honest.OUT if 0 in closed else Honest.IN,
        sudo=Honest.OUT if {0, 2} & set(closed) else Honest.IN,
        shown={"fd": " ".join(str(number) for number in (0, 1, 2) if number not in closed)},
    )
    for count in (1, 2, 3)
    for closed in combinations((0, 1, 2), count)
}

# -- limits

_KIB, _MIB = 1 << 10, 1 << 20
_NEVER = 1 << 64
#: prlimit's names: proc's, and from which value on su's and sudo's honest get in. All that is not
#: 0 is well above what was seen to do, since other builds of libc need other amounts.
_KINDS = {
    "fsize": ("file size", 0, 0),
    "nofile": ("open files", 8, 16),
    "as": ("address space", 6 * _MIB, 8 * _MIB),
    "data": ("data size", _MIB, 4 * _MIB),
    "stack": ("stack size", 64 * _KIB, 128 * _KIB),
    "cpu": ("cpu time", 1, 1),
    # It may be that no shell can be executed, once the user is demo.
    "nproc": ("processes", _NEVER, _NEVER),
    "sigpending": ("pending signals", 0, 0),
    "memlock": ("locked memory", 0, 0),
}


def _limit(name: str, value: int, *enforced_by: signal.Signals) -> Condition:
    shown, su, sudo = _KINDS[name]
    return Condition(
        via=["prlimit", f"--{name}={value}:{value}"],
        honest=Honest.IN if value >= su else Honest.EITHER,
        sudo=Honest.IN if value >= sudo else Honest.EITHER,
        enforced_by=frozenset(enforced_by),
        shown={f"Max {shown}": f"{value} {value}"},
    )


_SEGV, _XCPU, _XFSZ = signal.SIGSEGV, signal.SIGXCPU, signal.SIGXFSZ
_NOFILE = (0, 3, 4, 5, 6, 7, 8, 9, 10, 16)
_DATA = (0, 128, 256, 512, 768, 1024, 4096)
_STACK = (0, 16, 32, 48, 64, 128)
LIMITS = {
    **{f"FSIZE {size}": _limit("fsize", size, _XFSZ) for size in (0, 1)},
    **{f"NOFILE {number}": _limit("nofile", number) for number in _NOFILE},
    **{f"AS {size / 4} MiB": _limit("as", size * _MIB // 4) for size in (*range(8, 26), 32)},
    **{f"DATA {size} KiB": _limit("data", size * _KIB, _SEGV) for size in _DATA},
    **{f"STACK {size} KiB": _limit("stack", size * _KIB, _SEGV) for size in _STACK},
    "CPU 1": _limit("cpu", 1, _XCPU),
    "NPROC 0": _limit("nproc", 0),
    "SIGPENDING 0": _limit("sigpending", 0),
    "MEMLOCK 0": _limit("memlock", 0),
    "STACK 16 KiB, CORE unlimited": Condition(
        via=["prlimit", "--core=unlimited", "--stack=16384:16384"],
        honest=Honest.EITHER,
        enforced_by=frozenset([_SEGV]),
        shown={"Max stack size": "16384 16384", "Max core file size": "unlimited unlimited"},
    ),
}

# -- signals, folders and the rest that is inherited


def _mask(signals: Iterable[int]) -> str:
    """As proc(5) shows a set of signals."""
    return f"{sum(1 << number - 1 for number in signals):016x}"


_MASKABLE = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
INHERITED = {
    "SIGCHLD and SIGPIPE ignored": Condition(
        via=["env", "--ignore-signal=CHLD", "--ignore-signal=PIPE"],
        shown={"SigIgn": _mask([signal.SIGCHLD, signal.SIGPIPE])},
    ),
    "all signals ignored": Condition(
        via=["env", "--ignore-signal"], shown={"SigIgn": _mask(_MASKABLE)}
    ),
    "all signals blocked": Condition(
        via=["env", "--block-signal"], shown={"SigBlk": _mask(_MASKABLE)}
    ),
    "a folder that is gone": Condition(
        shell="mkdir state/$$; cd state/$$; rmdir ../$$", shown={"cwd": "{u}/state/* (deleted)"}
    ),
    "a folder that cannot be read": Condition(
        shell="mkdir state/$$; cd state/$$; chmod 0 .", shown={"cwd": "{u}/state/[0-9]*[0-9]"}
    ),
    "a folder of libraries and modules": Condition(
        {"LD_LIBRARY_PATH": "", "PYTHONPATH": ".", "PATH": ".", "LOCPATH": "."},
        shell="cd all",
        shown={"cwd": "{u}/all"},
    ),
    "umask 0": Condition(shell="umask 0", shown={"Umask": "0000"}),
    "umask 777": Condition(shell="umask 777", shown={"Umask": "0777"}),
    "no new rights": Condition(
        via=["setpriv", "--no-new-privs"], honest=Honest.OUT, shown={"NoNewPrivs": "1"}
    ),
}

CONDITIONS: dict[str, Condition] = {**ENVIRONMENT, **DESCRIPTORS, **LIMITS, **INHERITED}
