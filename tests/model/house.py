# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The real thing beside the model: it brings about each value of a dimension.

libpam, ``pam_ukey.so``, the example stacks and the login programs' uids, terminals and files of
logind are real. So are the sockets and the whole keyservice behind them, in this process on
emulated ukeys (``tests.access.rig``). Three things are not: pcscd, by ``tests.inprocess``; the
session of a process, since no systemd runs here that makes cgroups; and the tick at which a failure
under ``uniform`` shows, which tests/access/test_uniform.py measures: it would take hours here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from keyservice.access import sdlogin, session
from keyservice.access.locality import Logind
from keyservice.access.settings import Rules, ServiceRule
from keyservice.contract.names import RUN_DIR
from keyservice.contract.pam import PamCode
from keyservice.core.username import file_name
from keyservice.servers import listeners
from keyservice.servers.sockets import Sockets
from keyservice.store import revocations
from keyservice.store.file_records import FileRecords
from keyservice.store.files import PrivateDirectory
from keyservice.store.records import Binding, Records
from keyservice.store.revocations import Revocation
from keyservice.store.state import State as Kept
from keyservice.store.throttle import PinName
from tests.access.conftest import Make
from tests.access.rig import MACHINE_ID, PEOPLE, PIN, WRONG, Service, seen, serving
from tests.pam.stacks import EXAMPLES, auth_lines
from tests.support.people import User
from tests.support.stacks import without_pauses
from tests.support.ukeys import Softkey

from .places import SPOTS, Door, Spot, login_sessions
from .rules import Entry, Factor, Glass, Line, Login, Outcome, Password, Place, Record, Stack, State

SERIAL = "SN0"
RULES = Rules(
    allow_virtual_readers=True,
    wait_for_ukey=0,
    services={"sshd": ServiceRule(factors_from_afar=("ukey",))},
)
#: Those of a host for which a value of the records stands; ``RULES`` for one that is not named.
_POLICIES = {
    Record.ALGORITHM_REFUSED: replace(RULES, algorithms=frozenset({"p384", "ed25519"})),
    Record.NOT_ATTESTED: replace(RULES, attested=True),
}
_VERIFY_PIN = 0x18  #: the INS of the command
#: Stands for PAM_IGNORE, which libpam never returns.
_IGNORED = "auth [default=die] pam_debug.so auth=cred_insufficient\n"
_GROUPS, _GLASS = Path("/etc/group"), "ukey-breakglass"


#: The tries that are left when a login begins; 10 for a factor that is not named.
_LEFT = {Factor.LOCKED: 0, Factor.LAST_TRY: 1, Factor.RESERVE: 3}
_ALL_LEFT, _FEW_LEFT = 10, 5


def write_stacks(folder: Path, change: Callable[[str], str] = lambda text: text) -> None:
    """A folder for each line alone, and one for each whole stack, with a file for each service.

    `change` is applied to the text of each whole stack.
    """
    for spot in SPOTS.values():
        for line in Line:
            _write(folder / line.name, spot, alone(line))
        for stack in Stack:
            _write(folder / f"stack-{stack.name}", spot, change(_whole(spot, stack)))


def _write(folder: Path, spot: Spot, text: str) -> None:
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    (folder / spot.service).write_text(text)


def alone(line: Line) -> str:
    return (
        f"auth [success=ok ignore=1 default=die] pam_ukey.so {line.value}\n"
        "auth [default=1] pam_permit.so\n" + _IGNORED + "auth required pam_permit.so\n"
    )


def _whole(spot: Spot, stack: Stack) -> str:
    """The auth lines of Debian's example; for nouserok as pam.d-examples/README.md has it."""
    variant = "uniform" if stack is Stack.UNIFORM else "helpful"
    text = without_pauses((EXAMPLES / "debian" / variant / spot.example).read_text())
    made = "".join(map(str, auth_lines(text)))
    if stack is Stack.EXEMPT:
        exempt = "auth [success=ok ignore=ignore default=die] pam_ukey.so nouserok"
        line = "auth [success=ok default=die] pam_ukey.so "
        assert made.count(line) == 1, made
        made = made.replace(line, exempt)
    return made


def pin_went_to(ukey: Softkey) -> bool:
    """Whether a PIN went to the ukey since its APDUs were last forgotten."""
    return any(ins == _VERIFY_PIN for ins, _ in ukey.control.apdus())


def _typed(factor: Factor) -> bytes:
    return WRONG if factor is Factor.WRONG else PIN


# -- records


def _damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def keep(folder: Path, record: Record, binding: Binding) -> Kept:
    """Bring about the `binding`'s records as a keyservice finds them at its start."""
    folder.mkdir()
    records, histories = PrivateDirectory(folder / "records"), PrivateDirectory(folder / "state")
    kept = Kept(records, histories, MACHINE_ID)
    kept.start()
    own = records.path / file_name(binding.user)
    if record not in (Record.NEVER, Record.ANOTHERS_DAMAGED):
        kept.bindings.add(binding)
    match record:
        case Record.UNBOUND:
            kept.bindings.remove(binding)
        case Record.REVOKED:
            kept.revocations.append(revocation(binding.fingerprint))
        case Record.DAMAGED:
            _damage(own)
        case Record.GONE:
            own.unlink()
        case Record.REVOCATIONS_GONE:
            kept.revocations.append(revocation("ab" * 32))
            (histories.path / revocations.FILE).unlink()
        case Record.ANOTHERS_DAMAGED:
            kept.bindings.add(replace(binding, user="bob", uid=binding.uid + 1, serial="SN9"))
            _damage(records.path / file_name("bob"))
    started = Kept(records, histories, MACHINE_ID)
    started.start()
    return started


def revocation(key: str) -> Revocation:
    return Revocation(key, True, "2026-01-02T03:04:05Z", 0, "carol", "SN9")


# -- the house


@dataclass
class House:
    """A keyservice that tests steer, and the doors to it."""

    service: Service
    doors: Mapping[Place, Door]
    user: User
    ukey: Softkey  #: that is bound
    twin: Softkey  #: with its serial
    binding: Binding  #: of the ukey
    kept: Mapping[Record, Kept]
    stacks: Path
    factor: Factor | None = None
    _front: Sockets | None = field(default=None, repr=False)

    async def line(self, state: State) -> Outcome:
        """Log in by the module's line alone."""
        await self._prepare(state.factor, state.record)
        return await self._alone(state.place, self.stacks / state.line.name, _typed(state.factor))

    async def key(
        self, place: Place, folder: Path, records: Records, rules: Rules, said: str = ""
    ) -> Outcome:
        """Log in by the line of `folder` alone, with the right ukey in the reader, where sshd has
        verified what it `said`."""
        await self._prepare(Factor.RIGHT, Record.ENROLLED)
        services = self.service.services
        services.records, services.rules = records, rules
        return await self._alone(place, folder, PIN, said)

    async def _alone(self, place: Place, folder: Path, pin: bytes, variable: str = "") -> Outcome:
        return Outcome(await self.code(place, folder, pin, variable), self._sent())

    async def code(self, place: Place, folder: Path, pin: bytes, variable: str = "") -> PamCode:
        """What the line of `folder` returns, in the state of now."""
        code, _ = await self._login(place, folder, pin, self.user.password, variable)
        return PamCode.IGNORE if code == PamCode.CRED_INSUFFICIENT else PamCode(code)

    async def stack(self, login: Login) -> Entry:
        """Log in by a whole stack."""
        await self._prepare(login.factor, login.record)
        folder = self.stacks / f"stack-{login.stack.name}"
        right = login.password is Password.RIGHT
        password = self.user.password if right else "a wrong one"
        self._be_member(login.glass is Glass.MEMBER)
        pin = _typed(login.factor)
        code, setcred = await self._login(login.place, folder, pin, password)
        return Entry(code == setcred == PamCode.SUCCESS, self._sent())

    async def _login(
        self, place: Place, folder: Path, pin: bytes, password: str, variable: str = ""
    ) -> tuple[int, int]:
        spot, uid = SPOTS[place], self.user.uid
        return await self.doors[place].login(
            {
                "folder": str(folder),
                "service": spot.service,
                "user": self.user.name,
                "tty": spot.tty,
                "rhost": spot.rhost,
                "uids": (0 if spot.real else uid, 0 if spot.effective else uid, 0),
                "password": password,
                "pin": pin.decode(),
                "variable": variable,
            }
        )

    # -- the state before a login

    async def _prepare(self, factor: Factor, record: Record) -> None:
        self.service.services.records = FileRecords(self.kept[record])
        self.service.services.rules = _POLICIES.get(record, RULES)
        if factor is not self.factor:
            await self._put(factor)
            self.factor = factor
        elif factor is not Factor.DOWN and not self._tries_are_right(factor):
            await self._put(factor)
        if factor is not Factor.PAUSED and self.service.services.throttle.counts(SERIAL):
            await self.service.services.throttle.reset(SERIAL)
        for each in (self.ukey, self.twin):
            each.control.reset_apdus()

    def _be_member(self, wanted: bool) -> None:
        lines = _GROUPS.read_text().splitlines()
        line = next(each for each in lines if each.startswith(f"{_GLASS}:"))
        members = self.user.name if wanted else ""
        if line.rpartition(":")[2] != members:
            lines[lines.index(line)] = line.rpartition(":")[0] + f":{members}"
            _GROUPS.write_text("\n".join([*lines, ""]))

    def _tries_are_right(self, factor: Factor) -> bool:
        left = self.ukey.tries_left()
        return left == _LEFT[factor] if factor in _LEFT else left > _FEW_LEFT

    async def _put(self, factor: Factor) -> None:
        self._serve(factor is not Factor.DOWN)
        for each in (self.ukey, self.twin):
            each.control.remove()
        await seen(self.service.ukeys)
        self.ukey.set_tries(_LEFT.get(factor, _ALL_LEFT))
        if factor not in (Factor.ABSENT, Factor.OTHER_KEY):
            await self.service.put_in(self.ukey)
        if factor in (Factor.OTHER_KEY, Factor.TWO):
            await self.service.put_in(self.twin)
        await seen(self.service.ukeys)
        if factor is Factor.BAD_SIGNATURE:
            self.ukey.control.misbehave(signature="flipped")
        await self.service.services.throttle.reset(SERIAL)
        if factor is Factor.PAUSED:
            await self._pause()

    async def _pause(self) -> None:
        application = self.ukey.file.load().applications[0].name
        pin = PinName(SERIAL, application, False)
        for _ in range(RULES.throttle_after):
            await self.service.services.throttle.count(pin, None)
            await self.service.services.throttle.failed(pin)

    def _serve(self, wanted: bool) -> None:
        if wanted and self._front is None:
            self._front = Sockets(self.service.sessions)
            self._front.start(listeners.create(Path(RUN_DIR)))
        elif not wanted and self._front is not None:
            self.close()

    def _sent(self) -> bool:
        return any(map(pin_went_to, (self.ukey, self.twin)))

    def close(self) -> None:
        if self._front is not None:
            self._front.stop()
            self._front = None


@asynccontextmanager
async def living(
    folder: Path, make: Make, there: Mapping[Place, Door], user: User, patch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    """A house for `user`, whose stacks are in `folder`."""
    inside = {door.pid: SPOTS[place].session or None for place, door in there.items()}
    patch.setattr(sdlogin, "session_of", lambda pid, pidfd: inside.get(pid))
    patch.setattr(session, "tick", lambda answered, now: now)
    patch.setitem(PEOPLE, user.name, user.uid)
    ukey, twin = make(serial=SERIAL), make(1, serial=SERIAL, inserted=False)
    with login_sessions(user, there[Place.SSHD_ALLOWED].pid):
        async with serving(folder / "service", RULES) as service:
            service.services.logind = Logind()
            binding = service.bind(ukey, user.name)
            kept = {each: keep(folder / each.name, each, binding) for each in Record}
            house = House(service, there, user, ukey, twin, binding, kept, folder / "stacks")
            try:
                # this opens the session in which su asks for the same ukey
                opened = State(Factor.RIGHT, Place.SSHD_ALLOWED, Record.ENROLLED, Line.HELPFUL)
                assert (await house.line(opened)).code == PamCode.SUCCESS
                yield house
            finally:
                house.close()
