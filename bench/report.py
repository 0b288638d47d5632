# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""From figures to tables in Markdown, and into ``docs/benchmarks.md`` between its markers."""

from __future__ import annotations

from collections.abc import Sequence

from bench.figures import Figures
from bench.memory import UNIT
from bench.stats import Ratio, ratio, summarise

FLOOR, RIVAL, OURS = "pam_permit", "pam_p11", "pam_ukey.so"
AIM_LOGIN = 0.5  #: the cost of pam_ukey.so over that of pam_p11, each above pam_permit
AIM_SESSION = 1.5  #: a session over its floor
AIM_MEMORY = 40  #: MiB of the unit with one reader
AIM_SM2 = 1.15  #: a verification by the service over one by ``openssl speed``
BEGIN, END = "<!-- {part}: begin -->", "<!-- {part}: end -->"


def render(figures: Figures) -> str:
    """The tables, a line for each aim, and what they were measured on."""
    parts = [
        table(*_logins(figures)),
        table(*_session(figures)),
        table(*_memory(figures)),
        table(*_sm2(figures)),
        _aims(figures),
        _machine(figures),
    ]
    return "\n\n".join(parts) + "\n"


def write_between(document: str, content: str, *, part: str = "figures") -> str:
    """`document` with what stands between the part's markers replaced. Both must be there, once."""
    begin, end = BEGIN.format(part=part), END.format(part=part)
    if document.count(begin) != 1 or document.count(end) != 1:
        raise ValueError(f"the document needs each marker once: {begin!r}, {end!r}")
    before, rest = document.split(begin)
    if end not in rest:
        raise ValueError("the markers are in the wrong order")
    return f"{before}{begin}\n\n{content}\n{end}{rest.split(end)[1]}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that also reads well in a terminal: the first column left, others right."""
    widths = [max(2, *map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
    lines = [_row(head, widths), _row(rule, widths), *(_row(row, widths) for row in rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(padded)} |"


def _logins(figures: Figures) -> tuple[list[str], list[list[str]]]:
    floor, rival = figures.samples(FLOOR), figures.samples(RIVAL)
    head = ["Login, whole process", "n", "median ms", "p95 ms"]
    head += [f"over {FLOOR} ms", f"× {FLOOR}", f"× {RIVAL}"]
    rows = []
    for login in figures.logins:
        row = summarise(login.samples)
        extra = row.median - summarise(floor).median
        rows.append(
            [login.title, str(row.count), f"{row.median:.2f}", f"{row.p95:.2f}", f"{extra:.2f}"]
            + [f"{ratio(login.samples, side).value:.2f}" for side in (floor, rival)]
        )
    return head, rows


def _session(figures: Figures) -> tuple[list[str], list[list[str]]]:
    session = figures.session
    rest = [total - card for total, card in zip(session.total, session.card, strict=True)]
    parts = {
        "Begin to verdict, over root.sock": session.total,
        "the card's own time": session.card,
        "the rest: keyservice, device worker, pcscd": rest,
        "the floor": session.floor,
    }
    rows = []
    for title, samples in parts.items():
        row = summarise(samples)
        rows.append([title, str(row.count), f"{row.median:.2f}", f"{row.p95:.2f}"])
    return ["Inside one login", "n", "median ms", "p95 ms"], rows


def _memory(figures: Figures) -> tuple[list[str], list[list[str]]]:
    rows = [[name, f"{size:.1f}"] for name, size in figures.memory.items()]
    return ["Memory, with one reader", "MiB"], rows


def _sm2(figures: Figures) -> tuple[list[str], list[list[str]]]:
    sides = {
        f"keyservice, engine {figures.sm2.engine}": figures.sm2.ours,
        "openssl speed sm2": figures.sm2.openssl,
    }
    rows = []
    for title, samples in sides.items():
        row = summarise(samples)
        rows.append([title, str(row.count), f"{row.median:.0f}", f"{row.p95:.0f}"])
    return ["SM2 verification", "turns", "median µs", "p95 µs"], rows


def _aims(figures: Figures) -> str:
    ours, rival = figures.samples(OURS), figures.samples(RIVAL)
    cost, whole = ratio(ours, rival, figures.samples(FLOOR)), ratio(ours, rival)
    session = ratio(figures.session.total, figures.session.floor)
    unit = figures.memory[UNIT]
    sm2 = ratio(figures.sm2.ours, figures.sm2.openssl)
    return "\n".join(
        [
            f"- Over {FLOOR}, {OURS} costs {_said(cost)} of what {RIVAL} does:"
            f" {_verdict(cost.value, AIM_LOGIN)} Of whole processes it is {_said(whole)}.",
            f"- A session over root.sock costs {_said(session)} of its floor:"
            f" {_verdict(session.value, AIM_SESSION)}",
            f"- The unit has {unit:.1f} MiB: {_verdict(unit, AIM_MEMORY)}",
            f"- SM2 verification in {_said(sm2)} of openssl's: {_verdict(sm2.value, AIM_SM2)}",
        ]
    )


def _said(figure: Ratio) -> str:
    return f"{figure.value:.2f} ({figure.low:.2f}–{figure.high:.2f})"


def _verdict(figure: float, aim: float) -> str:
    return f"the aim of {aim} or less is {'met' if figure <= aim else 'not met'}."


def _machine(figures: Figures) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in figures.machine.items())
    return f"Measured on {figures.date}: {facts}."
