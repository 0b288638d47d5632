# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The model: all states (a dimension each), and who gets in then (a table each).

It is written from docs/security.md and the table of pam.d-examples/README.md, not from the code,
and imports nothing of the product. A further factor, credential or policy is a value of a dimension
and a row of a table; ``house`` then has to know how to bring that value about.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Set
from dataclasses import dataclass, fields
from enum import Enum
from itertools import product

from keyservice.contract.pam import PamCode

from .covering import combined


class Factor(Enum):
    """The ukey in the person's reader, what they type, and what happens to the ukey."""

    RIGHT = "the right PIN"
    WRONG = "a wrong PIN"
    LOCKED = "the right PIN, locked"
    LAST_TRY = "the right PIN, one try left"
    RESERVE = "the right PIN, a third of the tries left"
    PAUSED = "the right PIN, after three wrong ones"
    ABSENT = "no ukey"
    OTHER_KEY = "a ukey with the serial and another key"
    TWO = "two ukeys with the serial"
    BAD_SIGNATURE = "the right PIN, and a signature that is wrong"
    DOWN = "no keyservice"


class Place(Enum):
    """Where the login program runs, and who began it."""

    CONSOLE = "login on a console"
    GREETER = "a greeter on a seat"
    SU = "su in a session at the desk"
    LOCKER = "the user's own program in a session at the desk"
    SSHD = "sshd"
    SU_AFAR = "su in a session by ssh"
    SSHD_ALLOWED = "sshd, which asks for a ukey"
    SU_ADMITTED = "su in a session by ssh that the ukey opened"


class Record(Enum):
    """The host's records of the person, and its policy about the keys in them."""

    NEVER = "never enrolled"
    ENROLLED = "enrolled"
    UNBOUND = "unbound"
    REVOKED = "enrolled, and the key revoked"
    DAMAGED = "the record is damaged"
    GONE = "the record is lost"
    REVOCATIONS_GONE = "enrolled, and the revocations are lost"
    ANOTHERS_DAMAGED = "never enrolled, and somebody else's record is damaged"
    ALGORITHM_REFUSED = "enrolled with a key whose algorithm the host does not accept"
    NOT_ATTESTED = "enrolled with a key that no maker vouches for, which the host demands"


class Line(Enum):
    """The words on the module's line."""

    HELPFUL = ""
    NOUSEROK = "nouserok"
    UNIFORM = "uniform"
    DECOY = "decoy uniform"
    CONTRADICTION = "uniform nouserok"


class Stack(Enum):
    """A whole example, and the words on the line after a right password."""

    HELPFUL = Line.HELPFUL
    UNIFORM = Line.UNIFORM
    EXEMPT = Line.NOUSEROK


class Password(Enum):
    RIGHT = "the right password"
    WRONG = "a wrong password"


class Glass(Enum):
    NONE = "nobody in particular"
    MEMBER = "a member of ukey-breakglass"


REMOTE = {Place.SSHD, Place.SU_AFAR, Place.SSHD_ALLOWED, Place.SU_ADMITTED}
#: The remote places where the same ukey may be asked for all the same.
ADMITTED = {Place.SSHD_ALLOWED, Place.SU_ADMITTED}
#: A local session that root's own programs began: it alone may spend the last try.
BEGUN_BY_ROOT = {Place.CONSOLE, Place.GREETER}
#: The places where the glass can be broken.
CONSOLES = {Place.CONSOLE, Place.SU}


@dataclass(frozen=True)
class State:
    """The module's line alone."""

    factor: Factor
    place: Place
    record: Record
    line: Line


@dataclass(frozen=True)
class Login:
    """A whole stack."""

    factor: Factor
    place: Place
    record: Record
    stack: Stack
    password: Password
    glass: Glass


@dataclass(frozen=True)
class Outcome:
    """The module's return value, and whether the PIN went to the ukey."""

    code: PamCode
    sent: bool = False

    @property
    def let_in(self) -> bool:
        """Let in, or skipped: a line with nouserok treats both the same."""
        return self.code in (PamCode.SUCCESS, PamCode.IGNORE)


@dataclass(frozen=True)
class Rule:
    """A row: it fits any value of a dimension that it does not name."""

    why: str
    outcome: Outcome
    factor: Collection[Factor] | None = None
    place: Collection[Place] | None = None
    record: Collection[Record] | None = None
    line: Collection[Line] | None = None

    def holds(self, state: State) -> bool:
        asked = ((getattr(self, each.name), getattr(state, each.name)) for each in fields(state))
        return all(values is None or value in values for values, value in asked)


def _says(code: PamCode, *, sent: bool = False) -> Outcome:
    return Outcome(code, sent)


#: The first row that holds decides. The order is: the line, the record, the place, the revocation,
#: the policy, the ukey, its tries, the PIN (docs/architecture.md, "One login, step by step").
RULES = (
    Rule("words that contradict", _says(PamCode.SERVICE_ERR), line={Line.CONTRADICTION}),
    Rule("a decoy touches no ukey and always fails", _says(PamCode.AUTH_ERR), line={Line.DECOY}),
    Rule("no keyservice", _says(PamCode.AUTHINFO_UNAVAIL), factor={Factor.DOWN}),
    Rule(
        "a record that cannot be trusted is never 'not enrolled'",
        _says(PamCode.AUTHINFO_UNAVAIL),
        record={Record.DAMAGED, Record.GONE, Record.ANOTHERS_DAMAGED},
    ),
    Rule(
        "nouserok passes where there never was a ukey",
        _says(PamCode.IGNORE),
        record={Record.NEVER},
        line={Line.NOUSEROK},
    ),
    Rule(
        "not enrolled, or not any more",
        _says(PamCode.USER_UNKNOWN),
        record={Record.NEVER, Record.UNBOUND},
    ),
    Rule("remote", _says(PamCode.PERM_DENIED), place=REMOTE - ADMITTED),
    Rule("a revoked key", _says(PamCode.AUTH_ERR), record={Record.REVOKED}),
    Rule(
        "the one in hand may be the one that was revoked",
        _says(PamCode.AUTHINFO_UNAVAIL),
        record={Record.REVOCATIONS_GONE},
    ),
    Rule(
        "a key that the policy refuses; it is told before a PIN is asked, with or without the ukey",
        _says(PamCode.PERM_DENIED),
        record={Record.ALGORITHM_REFUSED, Record.NOT_ATTESTED},
    ),
    Rule("no ukey", _says(PamCode.AUTHINFO_UNAVAIL), factor={Factor.ABSENT, Factor.TWO}),
    Rule("not the key that was bound", _says(PamCode.AUTH_ERR), factor={Factor.OTHER_KEY}),
    Rule(
        "sshd gets no MAXTRIES, after which ssh asks for a password in vain",
        _says(PamCode.AUTHINFO_UNAVAIL),
        factor={Factor.LOCKED, Factor.PAUSED, Factor.LAST_TRY},
        place={Place.SSHD_ALLOWED},
    ),
    Rule("no try to spend", _says(PamCode.MAXTRIES), factor={Factor.LOCKED, Factor.PAUSED}),
    Rule(
        "the last try is for those who stand before the machine",
        _says(PamCode.MAXTRIES),
        factor={Factor.LAST_TRY},
        place=set(Place) - BEGUN_BY_ROOT,
    ),
    Rule(
        "the reserve is not for programs that are not root",
        _says(PamCode.MAXTRIES),
        factor={Factor.RESERVE},
        place={Place.LOCKER},
    ),
    Rule(
        "the PIN or the signature is wrong",
        _says(PamCode.AUTH_ERR, sent=True),
        factor={Factor.WRONG, Factor.BAD_SIGNATURE},
    ),
    Rule("both factors", _says(PamCode.SUCCESS, sent=True)),
)


def rule_of(state: State) -> Rule:
    return next(rule for rule in RULES if rule.holds(state))


def expected(state: State) -> Outcome:
    """The value that the module must return there. Under ``uniform`` all failures are the same."""
    outcome = rule_of(state).outcome
    uniform = state.line in (Line.UNIFORM, Line.DECOY)
    if uniform and outcome.code != PamCode.SUCCESS:
        return Outcome(PamCode.AUTH_ERR, outcome.sent)
    return outcome


@dataclass(frozen=True)
class Entry:
    """Whether a whole stack lets in, and whether the PIN went to the ukey."""

    let_in: bool
    sent: bool = False


def line_of(login: Login) -> State:
    """The state for the module's line in a stack, if the stack comes to it."""
    return State(login.factor, login.place, login.record, login.stack.value)


def expected_entry(login: Login) -> Entry:
    """Both factors; or the password alone, for a member on a console or somebody exempt."""
    if login.password is Password.WRONG:
        return Entry(False)
    if login.glass is Glass.MEMBER and login.place in CONSOLES:
        return Entry(True)
    outcome = expected(line_of(login))
    exempt = login.stack is Stack.EXEMPT and outcome.code == PamCode.IGNORE
    return Entry(outcome.code == PamCode.SUCCESS or exempt, outcome.sent)


def states() -> Iterator[State]:
    """Every state of a line. None is impossible: each dimension is independent."""
    for values in product(Factor, Place, Record, Line):
        yield State(*values)


def logins() -> Iterator[Login]:
    """Every login by a whole stack. A locker has none: its verdict is only for itself."""
    for values in product(Factor, Place, Record, Stack, Password, Glass):
        login = Login(*values)
        if login.place is not Place.LOCKER:
            yield login


def covered(login: Login) -> Set[Hashable]:
    """The combinations of the whole that a subset of the logins must also have.

    These are any two values; and any three of those that a stack can tell apart. Of the factor, the
    record and the place, that is the row that decides.
    """
    values = {each.name: getattr(login, each.name) for each in fields(login)}
    seen = {name: value for name, value in values.items() if name not in ("factor", "record")}
    return combined(values, 2) | combined({**seen, "row": rule_of(line_of(login)).why}, 3)
