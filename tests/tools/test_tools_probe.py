# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey probe`` against a scripted keyservice on the real system bus: each line is right, and says
what to do."""

from __future__ import annotations

from typing import Any

from tests.tools.running import Commands, only_json
from tests.tools.scripted_bus import BusService

Row = dict[str, Any]

STATUS = {"version": "1.2.3", "pcscd": True}
NAME = "Maker Token (AB12345678) 00 00"
READER: Row = {"reader": NAME, "card": True, "refused": False, "virtual": False}
UKEY: Row = {
    **READER,
    "kind": "gmt0017",
    "serial": "9F3A00017C21",
    "label": "alice's",
    "manufacturer": "Longmai",
    "atr": "3b80",
}
KNOWN: Row = {
    "reader": NAME,
    "kind": "gmt0017",
    "known": True,
    "asked": "80040000 9000 288",
    "points": 'byte_order = "big"\nmac_length = "wire"',
}
OTHER: Row = {
    "reader": NAME,
    "kind": "piv",
    "known": False,
    "asked": "00a40400 6a82 0",
    "points": "",
}


def shown(commands: Commands, bus: BusService, reader: Row, *looks: Row) -> str:
    bus.answers |= {"Status": STATUS, "Probe": ([reader], list(looks))}
    done = commands.piped("ukey", "probe")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_ukey_and_where_it_differs(commands: Commands, bus: BusService) -> None:
    assert shown(commands, bus, UKEY, KNOWN, OTHER) == (
        "Maker Token (AB12345678) 00 00\n"
        "  The keyservice uses it: kind gmt0017, serial 9F3A00017C21.\n"
        "  gmt0017: it is one of these.\n"
        "  piv: it is none of these; the last answer was 6A82, to 00A40400.\n"
        "  Its answers, or its maker's name, point to this in /etc/ukey/keyservice.toml; a wrong "
        "setting\n"
        "  can cost tries, so ask its maker:\n"
        "      [[quirks]]\n"
        '      serial = "9F3A00017C21"\n'
        '      byte_order = "big"\n'
        '      mac_length = "wire"\n'
    )


def test_what_is_no_ukey_or_cannot_be_asked(commands: Commands, bus: BusService) -> None:
    cases = [
        ({**READER, "card": False}, (), "Nothing is in it."),
        ({**READER, "refused": True}, (), "see [readers] in"),
        ({**READER, "refused": True, "virtual": True}, (), "allow_virtual_readers"),
        (READER, ({**KNOWN, "known": False}, OTHER), "No kind knows this card"),
        (READER, (KNOWN,), "It tells no serial"),
        (
            {**READER, "error": "UkeyHeld", "why": "reader-held"},
            (),
            "another program holds it for itself. Stop that program",
        ),
        ({**READER, "error": "UkeyFailed"}, (), "take it out, insert it"),
        ({**READER, "error": "ReaderAbsent"}, (), "taken out meanwhile"),
        ({**READER, "error": "OfTomorrow"}, (), "OfTomorrow"),
        (READER, ({**OTHER, "error": "it hung"},), "piv: could not tell: it hung"),
        (READER, ({**OTHER, "asked": ""},), "piv: it is none of these."),
    ]
    for reader, looks, text in cases:
        assert text in " ".join(shown(commands, bus, reader, *looks).split()), reader


def test_without_a_reader_or_pcscd_it_says_what_to_do(commands: Commands, bus: BusService) -> None:
    for running, text in ((True, "lsusb"), (False, "systemctl start pcscd.socket")):
        bus.answers |= {"Status": {**STATUS, "pcscd": running}, "Probe": ([], [])}
        done = commands.piped("ukey", "probe")
        assert done.returncode == 7
        assert text in done.stderr


def test_json_has_lists_in_it(commands: Commands, bus: BusService) -> None:
    bus.answers |= {"Status": STATUS, "Probe": ([UKEY], [KNOWN, OTHER])}
    found: Any = only_json(commands.piped("ukey", "probe", "--json").stdout)
    (reader,) = found["readers"]
    assert reader["serial"] == "9F3A00017C21"
    assert [look["points"] for look in reader["looks"]] == [KNOWN["points"].split("\n"), []]
    assert reader["looks"][1]["asked"] == ["00a40400 6a82 0"]


def test_a_report_names_no_ukey(commands: Commands, bus: BusService) -> None:
    bus.answers |= {
        "Status": STATUS,
        "Probe": ([UKEY], [KNOWN, {**OTHER, "error": "no answer of 9F3A00017C21"}]),
    }
    done = commands.piped("ukey", "probe", "--report", environment={"LANG": "zh_CN.UTF-8"})
    assert done.returncode == 0
    for secret in ("9F3A00017C21", "AB12345678", "alice"):
        assert secret not in done.stdout
    for told in ("pam-ukey 1.2.3", "reader: Maker Token (…) 00 00", "atr: 3b80", "gmt0017: is one"):
        assert told in done.stdout
    assert "    00a40400 6a82 0\n" in done.stdout
    assert '    points to byte_order = "big"\n' in done.stdout


def test_it_is_for_root(commands: Commands, bus: BusService) -> None:
    bus.answers |= {"Status": STATUS, "Probe": ([], [])}
    done = commands.piped("ukey", "probe", user=65534)
    assert done.returncode == 4
    assert bus.asked == []
