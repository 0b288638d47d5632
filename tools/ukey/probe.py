# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey probe``: what each kind of ukeys finds in each reader, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keyservice.contract.names import CONFIG_FILE, ErrorName
from tools import output, probereport
from tools.bus import Row, asking, row, text, word
from tools.command import Failure, need_root
from tools.exits import Exit
from tools.language import N_, _, why
from tools.manual import Manual
from tools.output import Colour
from tools.parser import Parser

READER = (
    ("reader", N_("the reader's name")),
    ("card", N_("whether something is in the reader")),
    ("refused", N_("whether the configuration does not allow the reader; then it is not touched")),
    ("virtual", N_("whether the reader is an emulated one")),
    ("kind", N_("the kind that the keyservice uses it as; null where it does not")),
    ("serial", N_("the ukey's serial")),
    ("label", N_("the ukey's label")),
    ("manufacturer", N_("the ukey's manufacturer")),
    ("atr", N_("the card's answer to reset, in hexadecimal")),
    ("error", N_("the name of what kept the keyservice from asking it, such as UkeyHeld")),
)
LOOK = (
    ("kind", N_("the kind of ukeys, such as gmt0017 or piv")),
    ("known", N_("whether the card is of that kind")),
    ("asked", N_("the commands: CLA INS P1 P2, the status word, the length of the answer")),
    ("points", N_("settings that its answers point to")),
    ("error", N_("why the kind could not tell")),
)

MANUAL = Manual(
    section=8,
    summary=N_("Show what each kind of ukeys finds in each reader."),
    about=N_(
        "For a ukey that is not recognised, or does not work. Each card is asked by every kind "
        "whether it is one of its ukeys, as at its insertion, and what its answers point to is "
        "said. No PIN is sent, so no try is spent. Needs root.\n\n"
        "--report prints the same for a bug report, in English, without serials and labels."
    ),
    examples=(
        ("ukey probe", N_("why does this host not see my ukey?")),
        ("ukey probe --report", N_("for a bug report")),
    ),
    json_keys=(
        ("readers", N_("a list, with an object for each reader:")),
        *READER,
        ("looks", N_("in each, a list with an object for each kind that looked:")),
        *(each for each in LOOK if each[0] not in dict(READER)),
    ),
    files=((CONFIG_FILE, N_("the configuration")),),
    see=("ukey list", "ukey status", "keyservice.toml(5)"),
)


def parser() -> Parser:
    out = Parser("ukey probe", MANUAL)
    out.add_argument("--report", action="store_true", help=_("print it for a bug report"))
    return out


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    need_root(_("Probing needs root."))
    with asking() as bus:
        status = bus.status()
        readers, looks = bus.probe()
    found = [_reader(each, looks) for each in readers]
    if given.report:
        print(probereport.report(status, found))
    elif given.json:
        output.emit({"ok": True, "readers": found})
    elif not status.get("pcscd"):
        raise Failure(
            _("pcscd does not answer: no ukey can be used."),
            Exit.ABSENT,
            error=ErrorName.READER_ABSENT,
            hint=_("Start it: systemctl start pcscd.socket"),
        )
    elif not found:
        raise Failure(
            _("pcscd sees no reader."),
            Exit.ABSENT,
            error=ErrorName.READER_ABSENT,
            hint=_(
                "Insert the ukey. If it is in: lsusb shows whether the host sees it. pcscd takes "
                "USB devices of the class CCID; a ukey that only its maker's library reaches is "
                "none."
            ),
        )
    else:
        for each in found:
            _show(each)
    return Exit.OK


def _reader(answer: dict[str, object], looks: Sequence[dict[str, object]]) -> Row:
    theirs = [row(each, LOOK) for each in looks if each.get("reader") == answer.get("reader")]
    for each in theirs:
        for name in ("asked", "points"):
            each[name] = str(each[name] or "").splitlines()
    told: Row = {**row(answer, READER), "looks": theirs}
    if answer.get("error") is not None:
        told["text"] = _error(answer)
    return told


def _error(answer: dict[str, object]) -> str:
    """Why the card could not be asked."""
    match answer["error"]:
        case ErrorName.UKEY_HELD:
            reason = why(answer)
            said = _("It could not be asked: {reason}. Stop that program, then probe again.")
        case ErrorName.UKEY_ABSENT | ErrorName.READER_ABSENT:
            reason = ""
            said = _("It was taken out meanwhile: probe again.")
        case ErrorName.UKEY_FAILED:
            reason = ""
            said = _("It did not answer, or answered nonsense: take it out, insert it, try again.")
        case other:
            reason = str(other)
            said = _("It could not be asked: {reason}. The keyservice's log says more.")
    return said.format(reason=reason)


def _show(reader: Row) -> None:
    """The reader, what each kind said, and what to do."""
    print(output.paint(output.printable(text(reader["reader"])), Colour.BOLD))
    for line, colour in _lines(reader):
        for part in output.wrap(line, output.PROSE_MAX - 2):
            print("  " + output.paint(output.printable(part), colour))
    for setting in _settings(reader):
        print("      " + output.printable(setting))


def _lines(reader: Row) -> Iterator[tuple[str, Colour]]:
    if reader["refused"]:
        yield _refused(reader), Colour.WARNING
        return
    if not reader["card"]:
        yield _("Nothing is in it."), Colour.FAINT
        return
    if "text" in reader:
        yield str(reader["text"]), Colour.ALARM
        return
    if reader["kind"] is not None:
        said = _("The keyservice uses it: kind {kind}, serial {serial}.")
        serial = word(reader["serial"])
        yield said.format(kind=text(reader["kind"]), serial=serial), Colour.GOOD
    looks = reader["looks"]
    assert isinstance(looks, list)
    for look in looks:
        yield _look(look), Colour.NONE
    known = [look for look in looks if look["known"]]
    if not known:
        yield (
            _(
                "No kind knows this card. If it is a ukey, its maker says by which standard it "
                "speaks; 'ukey probe --report' is what we need to know of it."
            ),
            Colour.WARNING,
        )
    elif reader["kind"] is None:
        yield (
            _("It tells no serial, so it cannot be bound. 'ukey probe --report' says more."),
            Colour.WARNING,
        )
    if _settings(reader):
        yield (
            _(
                "Its answers, or its maker's name, point to this in {file}; a wrong setting can "
                "cost tries, so ask its maker:"
            ).format(file=CONFIG_FILE),
            Colour.WARNING,
        )


def _refused(reader: Row) -> str:
    if reader["virtual"]:
        return _(
            "It is an emulated reader, which is not touched: allow_virtual_readers in {file} "
            "allows those, for tests."
        ).format(file=CONFIG_FILE)
    return _(
        "The configuration does not allow this reader, so it is not touched: see [readers] in "
        "{file}."
    ).format(file=CONFIG_FILE)


def _look(look: Row) -> str:
    if look["error"]:
        return _("{kind}: could not tell: {reason}").format(kind=look["kind"], reason=look["error"])
    if look["known"]:
        return _("{kind}: it is one of these.").format(kind=look["kind"])
    asked = look["asked"]
    assert isinstance(asked, list)
    if not asked:
        return _("{kind}: it is none of these.").format(kind=look["kind"])
    header, sw, _length = str(asked[-1]).split()
    said = _("{kind}: it is none of these; the last answer was {sw}, to {header}.")
    return said.format(kind=look["kind"], sw=sw.upper(), header=header.upper())


def _settings(reader: Row) -> list[str]:
    """The lines of the configuration that the ukey's answers point to."""
    looks = reader["looks"]
    assert isinstance(looks, list)
    points = [str(point) for look in looks if look["known"] for point in look["points"]]
    return ["[[quirks]]", f'serial = "{reader["serial"] or "*"}"', *points] if points else []
