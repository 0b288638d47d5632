# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey pam enable SERVICE…|--all``: have PAM ask for the ukey, after it is known to be safe."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from keyservice.contract.factors import SSH_KEY
from keyservice.contract.pam import SSHD
from tools import output
from tools.bus import asking
from tools.command import Failure, need_root
from tools.exits import Exit
from tools.language import N_, _, reason
from tools.manual import Manual
from tools.output import Colour
from tools.pamcheck.afar import factors
from tools.pamcheck.finding import Severity
from tools.pamcheck.libpam import Unable
from tools.pamcheck.places import Places
from tools.pamedit import block, flow, people, trying
from tools.pamedit.files import BACKUPS
from tools.pamedit.flow import Flow, Wanted
from tools.pamedit.people import People
from tools.pamedit.private import for_libpam, private
from tools.pamedit.verdicts import Judge, by_sshd, reached
from tools.parser import Parser, name

from . import changing

MANUAL = Manual(
    section=8,
    summary=N_("Have PAM ask for the ukey: change /etc/pam.d, where that is safe."),
    about=N_(
        "In the file of each service, the lines that ask for the password are replaced by those of "
        "pam.d-examples, which ask for the password and the ukey. Stacks that it does not "
        "understand line by line are not changed, and it says why. --all has pam-auth-update do "
        "it for all services that include common-auth; people without a ukey still get in by "
        "these.\n\n"
        "Before it changes anything it wants to know of a second way in (a member of "
        "ukey-breakglass who has a password, or two administrators with ukeys), of somebody who is "
        "enrolled, and, from libpam itself and a copy of the stacks, who would get in: it refuses "
        "where the password alone would let an enrolled person in, and where nobody would get in, "
        "as by sshd with factors_from_afar = []. Then USER tries a login by that copy, with the "
        "real password, ukey and PIN. A wrong PIN costs a try.\n\n"
        "Then it shows the change, warns of what lets people in without PAM, as a public key "
        "alone by sshd, and asks. The files as they were are kept in a dated folder, and "
        "the command that puts them back is shown; it is a plain cp, for a rescue shell. Each file "
        "is replaced whole or not at all."
    ),
    examples=(
        ("ukey pam enable login --user alice", N_("at the console; alice has a ukey")),
        ("ukey pam enable login su --dry-run", N_("only show what would be changed")),
        ("ukey pam enable --all --user alice", N_("wherever common-auth is asked")),
    ),
    json_keys=flow.KEYS,
    files=(
        ("/etc/pam.d/SERVICE", N_("the stacks")),
        (f"{BACKUPS}/pam.d-DATE", N_("the files as they were")),
    ),
    see=("ukey pam disable", "ukey pam check", "ukey pam try", "ukey bindings", "pam_ukey(8)"),
)


def parser() -> Parser:
    out = Parser("ukey pam enable", MANUAL)
    changing.add(out)
    out.add_argument(
        "--user",
        metavar="USER",
        type=name,
        help=_("who tries the login; needed where several people are enrolled"),
    )
    return out


def command(arguments: Sequence[str]) -> Exit:
    out = parser()
    given = out.parse_args(arguments)
    wanted = changing.wanted(out, given, enable=True)
    need_root(_("Changing /etc/pam.d needs root."))
    places = Places()
    run = Flow(wanted, places)
    with asking() as bus:
        only_ssh = not wanted.all and SSHD.issuperset(wanted.services)
        found = _people(bus.list_bindings(), ssh=only_ssh)
        _readers_answer(bus.status())
    if not run.plan(lambda *what: block.enabled(places, *what)):
        return run.nothing(_("Nothing to do: the ukey is asked for already."))
    services = reached(places, run.changes)
    with private(places, run.changes) as folder:
        try:
            forbidden = Judge(places, services, folder).enabling(wanted.services)
            sshd = by_sshd(services)
            shut = [("sshd", each) for each in sshd if each.severity is Severity.SHUT]
            run.forbid([*forbidden, *shut])
        except Unable:
            raise changing.cannot_judge() from None
        run.facts["services"] = list(services)
        run.show()
        run.warn([each for each in sshd if each.severity is Severity.OPEN])
        if wanted.dry_run:
            return run.nothing(_("Nothing was changed: --dry-run."))
        user = _who(given.user, found)
        with for_libpam(folder) as stacks:
            for service in _tried(wanted, services):
                if service in SSHD and SSH_KEY in (factors(places, service) or ()):
                    output.say(_only_ssh_can(user), Colour.WARNING)
                else:
                    trying.attempt(service, user, stacks)
    output.say(
        _("Keep this root shell open, and log in at another terminal, before you close it."),
        Colour.WARNING,
    )
    return run.carry_out(_("Change these files? [y/N]"))


def _only_ssh_can(user: str) -> str:
    text = _(
        "The login by sshd is not tried: only ssh itself shows a key. {user} needs a registered "
        "one (ukey ssh-key list {user}): log in by ssh from another machine before you close this "
        "shell."
    )
    return text.format(user=user)


def _people(bindings: Sequence[Mapping[str, object]], *, ssh: bool) -> People:
    """`ssh`: nothing but sshd is changed. Raises :class:`Failure` where a ukey that is lost would
    shut the host."""
    try:
        found = people.look(bindings, ssh=ssh)
    except OSError as error:
        text = _("The accounts cannot be read: {reason}.")
        raise Failure(text.format(reason=reason(error)), Exit.FAILED) from None
    if not found.enrolled:
        raise Failure(
            _("Nobody who can log in has a ukey: everybody would be locked out."),
            Exit.NOT_BOUND,
            hint=_("Bind one first: getpubkey USER"),
        )
    if not found.second_way:
        raise Failure(
            _("There is no second way in: one lost ukey would lock everybody out."),
            Exit.STACK,
            hint=_(
                "Give a second administrator a ukey, or set up a break-glass account: "
                "pam.d-examples/README.md."
            ),
        )
    return found


def _readers_answer(status: Mapping[str, object]) -> None:
    if status.get("pcscd") is False:
        raise Failure(
            _("pcscd does not answer: no ukey can be used."),
            Exit.ABSENT,
            hint=_("Start it: systemctl start pcscd.socket"),
        )


def _who(given: str | None, found: People) -> str:
    """The person who tries it. A member of the break-glass group would not be asked for a ukey."""
    may = [user for user in found.enrolled if user not in found.breakglass]
    user = given or os.environ.get("SUDO_USER", "")
    if user in may:
        return user
    if given is None and len(may) == 1:
        return may[0]
    text = _("Say by --user who tries the login: somebody with a ukey of their own.")
    if given is not None:
        text = _("{user} cannot try it: it takes somebody who has a ukey and no break-glass.")
    raise Failure(
        text.format(user=given),
        Exit.USAGE,
        hint=_("They can: {users}").format(users=", ".join(may) or "-"),
    )


def _tried(wanted: Wanted, services: Mapping[str, Path]) -> Sequence[str]:
    """Of many services one stands for all: login, if it is among them. sshd stands for itself: the
    keyservice that runs may not have read yet that it is allowed from afar."""
    if not wanted.all:
        return [service for service in wanted.services if service in services]
    others = sorted(services.keys() - {"sshd"}, key=lambda service: (service != "login", service))
    return [*others[:1], *(["sshd"] if "sshd" in services else [])]
