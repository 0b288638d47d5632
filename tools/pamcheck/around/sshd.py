# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Ways in by ssh that never run PAM's auth stack: what ``sshd -T`` says, for strangers, for root
and for people whom a Match block treats differently."""

from __future__ import annotations

import getopt
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tools.language import N_, _

from .. import ssh_key
from ..finding import Finding, Severity
from ..places import Places
from .sshd_config import CONFIG, Config, Visitor
from .system import DEADLINE, FOLDERS, NotLooked, NotThere, System, not_looked_at
from .units import Units

#: How many visitors sshd is asked about, at 8 ms each, and the seconds for them all.
_MOST = 512
_SECONDS = 4 * DEADLINE
#: The files in which distributions keep sshd's options, and the variable's name.
_OPTION_FILES = (("/etc/default/ssh", "SSHD_OPTS"), ("/etc/sysconfig/sshd", "OPTIONS"))
_UNITS = (("ssh.service", "sshd.service"), ("ssh@.service", "sshd@.service"))
_SSHD_OPTIONS = "46C:DE:QRTVb:c:def:g:h:ik:o:p:qrtu:"
#: How many visitors a finding names.
_NAMED = 3


@dataclass(frozen=True)
class Way:
    """A kind of finding; `{who}` stands in its text. `keywords`: what decides."""

    kind: str
    severity: Severity
    text: str
    remedy: str
    keywords: tuple[str, ...]


_METHODS = N_(
    "AuthenticationMethods keyboard-interactive:pam (or publickey,keyboard-interactive:pam for a "
    "key as well), where sshd reads it first"
)
_LISTS = ("authenticationmethods",)
PUBLIC_KEY = Way(
    "ssh-public-key-alone",
    Severity.OPEN,
    N_("A public key alone lets in {who}: sshd checks it itself and asks nothing of PAM's auth."),
    _METHODS,
    (*_LISTS, "pubkeyauthentication"),
)
CERTIFICATE = Way(
    "ssh-certificate-alone",
    Severity.OPEN,
    N_("A certificate of TrustedUserCAKeys alone lets in {who}, under every name it carries."),
    _METHODS,
    ("trustedusercakeys", *_LISTS),
)
KERBEROS = Way(
    "ssh-kerberos-alone",
    Severity.OPEN,
    N_("A Kerberos ticket alone lets in {who}."),
    "GSSAPIAuthentication no",
    ("gssapiauthentication", *_LISTS),
)
HOST = Way(
    "ssh-host-alone",
    Severity.OPEN,
    N_("The key of another host alone lets in {who}: that host says who it is."),
    "HostbasedAuthentication no",
    ("hostbasedauthentication", *_LISTS),
)
WITHOUT_PROMPTS = Way(
    "ssh-without-prompts",
    Severity.OPEN,
    N_("AuthenticationMethods has a list without keyboard-interactive, which lets in {who}."),
    _METHODS,
    _LISTS,
)
PASSWORD = Way(
    "ssh-password-alone",
    Severity.OPEN,
    N_("The password alone lets in {who}: sshd checks it itself, without PAM."),
    "UsePAM yes",
    ("usepam",),
)
KERBEROS_PASSWORD = Way(
    "ssh-kerberos-password",
    Severity.OPEN,
    N_("The Kerberos password alone lets in {who}: sshd asks the KDC, not PAM."),
    "KerberosAuthentication no",
    ("kerberosauthentication",),
)
EMPTY_PASSWORD = Way(
    "ssh-empty-password",
    Severity.OPEN,
    N_("An account with an empty password needs none: this is so for {who}."),
    "PermitEmptyPasswords no",
    ("permitemptypasswords",),
)
ONE_ANSWER = Way(
    "ssh-one-answer",
    Severity.NOTE,
    N_(
        "PasswordAuthentication answers every prompt with the password, so pam_ukey refuses it: "
        "this is offered to {who}."
    ),
    "PasswordAuthentication no",
    ("passwordauthentication",),
)
ONE_ANSWER_ONLY = Way(
    "ssh-one-answer",
    Severity.SHUT,
    N_(
        "ssh passes none of PAM's prompts on to {who}: PasswordAuthentication answers each with "
        "the password, so nobody gets in with a ukey."
    ),
    N_("KbdInteractiveAuthentication yes, and PasswordAuthentication no"),
    (*_LISTS, "kbdinteractiveauthentication", "passwordauthentication"),
)
NO_WAY = Way(
    "ssh-shut",
    Severity.SHUT,
    N_("sshd lets nobody in by any method: this is so for {who}."),
    N_("KbdInteractiveAuthentication yes, and UsePAM yes"),
    ("kbdinteractiveauthentication", "usepam", *_LISTS),
)
NO_KEY = Way(
    "ssh-no-key",
    Severity.SHUT,
    N_(
        "sshd asks {who} for no key before it asks PAM, and the keyservice lets people from afar in"
        " by an ssh key only: nobody gets in."
    ),
    "AuthenticationMethods publickey,keyboard-interactive:pam",
    (*_LISTS, "pubkeyauthentication"),
)
WITHOUT_PAM = Way(
    "ssh-without-pam",
    Severity.OPEN,
    N_("UsePAM is off: sshd asks PAM nothing, not even whether an account has expired."),
    "UsePAM yes",
    ("usepam",),
)
#: By the one method that a list consists of.
_ALONE = {
    "publickey": PUBLIC_KEY,
    "gssapi-with-mic": KERBEROS,
    "gssapi-keyex": KERBEROS,
    "hostbased": HOST,
}
#: The methods that PermitRootLogin prohibit-password leaves to root; forced-commands-only leaves
#: the first of them.
_NO_PASSWORD = ("publickey", "gssapi-with-mic", "gssapi-keyex", "hostbased")


class Settings:
    """What ``sshd -T`` printed."""

    def __init__(self, dump: str) -> None:
        self._values: dict[str, list[str]] = {}
        for line in dump.splitlines():
            keyword, _space, value = line.partition(" ")
            self._values.setdefault(keyword, []).append(value)

    def on(self, keyword: str) -> bool:
        return self._values.get(keyword) == ["yes"]

    def given(self, keyword: str) -> bool:
        """It is there, and not ``none``."""
        return self._values.get(keyword, ["none"]) != ["none"]

    def words(self, keyword: str) -> list[str]:
        return " ".join(self._values.get(keyword, [])).split()

    def methods(self, *, root: bool) -> set[str]:
        """The methods that can succeed."""
        keys = ("authorizedkeysfile", "authorizedkeyscommand", "trustedusercakeys")
        gssapi = self.on("gssapiauthentication")
        possible = {
            "publickey": self.on("pubkeyauthentication") and any(map(self.given, keys)),
            "password": self.on("passwordauthentication"),
            "keyboard-interactive": self.on("kbdinteractiveauthentication") and self.on("usepam"),
            "gssapi-with-mic": gssapi,
            "gssapi-keyex": gssapi and self.on("gssapikeyexchange"),
            "hostbased": self.on("hostbasedauthentication"),
        }
        allowed = {name for name, there in possible.items() if there}
        if root:
            (login,) = self.words("permitrootlogin") or ["yes"]
            if login in ("without-password", "prohibit-password"):
                allowed &= set(_NO_PASSWORD)
            elif login == "forced-commands-only":
                allowed &= {"publickey"}
            elif login != "yes":
                allowed.clear()
        return allowed

    def lists(self, *, root: bool) -> list[list[str]]:
        """Each list of methods that is enough, and that somebody can complete."""
        possible = self.methods(root=root)
        words = self.words("authenticationmethods")
        if words in ([], ["any"]):
            return [[name] for name in sorted(possible)]
        lists = [[method.partition(":")[0] for method in word.split(",")] for word in words]
        return [names for names in lists if set(names) <= possible]


def judge(settings: Settings, *, root: bool, key: bool = False) -> Iterator[Way]:
    """The ways in that these settings leave open. `key`: PAM lets in by an ssh key only."""
    lists = settings.lists(root=root)
    pam = settings.on("usepam")
    if not pam:
        yield WITHOUT_PAM
    for names in lists:
        if "keyboard-interactive" in names:
            continue
        if "password" in names:
            if settings.on("kerberosauthentication"):
                yield KERBEROS_PASSWORD
            if not pam:
                yield PASSWORD
        elif len(set(names)) == 1:
            if names[0] == "publickey" and settings.given("trustedusercakeys"):
                yield CERTIFICATE
            yield _ALONE[names[0]]
        else:
            yield WITHOUT_PROMPTS
    prompts = any("keyboard-interactive" in names for names in lists)
    one_answer = any("password" in names and "keyboard-interactive" not in names for names in lists)
    if pam and one_answer:
        yield ONE_ANSWER if prompts else ONE_ANSWER_ONLY
    if key and prompts and not any(map(_key_first, lists)):
        yield NO_KEY
    if settings.on("permitemptypasswords") and (prompts or one_answer):
        yield EMPTY_PASSWORD
    if not lists and not root:
        yield NO_WAY


def _key_first(names: Sequence[str]) -> bool:
    """Whether sshd has verified a key when it asks PAM."""
    prompts = "keyboard-interactive"
    return prompts in names and "publickey" in names[: names.index(prompts)]


def look(system: System) -> Iterator[Finding]:
    """The findings for the sshd that the distribution starts."""
    sshd = system.program("sshd")
    if sshd is None:
        raise NotThere(CONFIG, _("no sshd is installed"))
    key = ssh_key.alone(Places(system.root))
    options, file = _options(system)
    config = Config(system, file)
    visitors, total = config.visitors(_MOST)
    until = time.monotonic() + _SECONDS
    found: dict[Way, list[Visitor]] = {}
    services: set[str] = set()
    asked = 0
    for visitor in visitors:
        if time.monotonic() > until:
            break
        asked += 1
        ran = system.run(sshd, "-T", *options, "-C", visitor.specification)
        if ran.status != 0 and not visitor.special:
            # sshd itself would not start, or not all of it is here.
            raise NotLooked(sshd, ran.complaint, _hint(ran.complaint))
        if ran.status != 0:
            text = _("sshd refuses {who}, since its configuration does not fit together: {reason}")
            yield Finding(
                "ssh-configuration",
                Severity.SHUT,
                config.place((), visitor),
                text.format(who=_who([visitor]), reason=ran.complaint),
                _("mend that Match block"),
            )
            continue
        settings = Settings(ran.out)
        services.update(settings.words("pamservicename"))
        for way in dict.fromkeys(judge(settings, root=visitor.root, key=key)):
            them = found.setdefault(way, [])
            # A visitor whom a finding about another one covers adds nothing new.
            if not any(visitor.within(other) for other in them):
                them.append(visitor)
    for way, them in found.items():
        place = config.place(way.keywords, them[0])
        text = _(way.text).format(who=_who(them))
        yield Finding(way.kind, way.severity, place, text, _(way.remedy))
    for line in config.unknown():
        why = NotLooked(line.place, " ".join(("Match", *line.arguments)))
        yield not_looked_at("ssh", why)
    for service in sorted(services - {"sshd"}):
        reason = _("it asks PAM by the name of {service}").format(service=service)
        why = NotLooked(file, reason, f"ukey pam check {shlex.quote(service)}")
        yield not_looked_at("ssh", why)
    if asked < total:
        reason = _("sshd was asked for {asked} of {total} combinations of what Match blocks name")
        why = NotLooked(file, reason.format(asked=asked, total=total), "sshd -T -C …")
        yield not_looked_at("ssh", why)


def _options(system: System) -> tuple[list[str], str]:
    """The distribution's options for sshd that change its configuration, and the file it reads."""
    kept = _of_units(system)
    for file, variable in _OPTION_FILES:
        given: list[str] = []
        for _number, line in system.lines(file):
            key, equals, value = line.partition("=")
            if key == variable and equals:
                given = _changing(file, value)
        kept += given
    files = [value for option, value in pairwise(kept) if option == "-f"]
    return kept, files[-1] if files else CONFIG


def _of_units(system: System) -> list[str]:
    """Options that units give, those of a socket's too."""
    units = Units(system)
    told: dict[tuple[str, ...], str] = {}
    for names in _UNITS:
        # The second is the first by another name, where both are there.
        started = (units.settings(name, "ExecStart") for name in names)
        for setting in next(filter(None, started), []):
            program, *words = setting.words or [""]
            if program not in [f"{folder}/sshd" for folder in FOLDERS]:
                raise NotLooked(setting.place, _("it starts {program}").format(program=program))
            plain = [word for word in words if not word.startswith("$")]
            told[tuple(_told(setting.place, plain))] = setting.place
    if len(told) > 1:
        raise NotLooked([*told.values()][-1], _("units give sshd different options"))
    return list(next(iter(told), ()))


def _changing(file: str, value: str) -> list[str]:
    """Those that a file gives to the unit."""
    try:
        # Split twice: by the shell's quotes, then into words.
        words = shlex.split(" ".join(shlex.split(value, comments=True)))
    except ValueError as error:
        raise NotLooked(file, str(error)) from None
    return _told(file, words)


def _told(place: str, words: list[str]) -> list[str]:
    """Those of sshd's options that change its configuration."""
    try:
        found, _rest = getopt.getopt(words, _SSHD_OPTIONS)
    except getopt.GetoptError as error:
        raise NotLooked(place, str(error)) from None
    return [word for pair in found if pair[0] in ("-f", "-o", "-p", "-h") for word in pair]


def _hint(complaint: str) -> str:
    if "privilege separation directory" in complaint:
        return "mkdir -p /run/sshd"
    if "hostkeys" in complaint:
        return _("run it as root; or make the host's keys: ssh-keygen -A")
    return "sshd -t"


def _who(visitors: Sequence[Visitor]) -> str:
    """The first few visitors, as people read them."""
    if not visitors[0].special:
        return _("anybody")
    shown = "; ".join(map(_one, visitors[:_NAMED]))
    return shown + "; …" if len(visitors) > _NAMED else shown


def _one(visitor: Visitor) -> str:
    said = {
        "user": _("user {value}"),
        "host": _("from host {value}"),
        "addr": _("from {value}"),
        "laddr": _("at {value}"),
        "lport": _("on port {value}"),
        "rdomain": _("in routing domain {value}"),
    }
    words = [said[key].format(value=value) for key, value in visitor.special.items()]
    return " ".join(words if "user" in visitor.special else [_("anybody"), *words])
