# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The maker, or a taken-over watcher, chooses a reader's name: no name keeps other readers away."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from keyservice.transport.state import ReaderState
from keyservice.ukeys.fields import WireError
from keyservice.ukeys.pcsc import reports
from keyservice.ukeys.pcsc.source import Pcsc
from keyservice.ukeys.pool import Ukeys
from tests.support import CHECKOUT
from tests.support.ukeys import Softkey
from tests.ukeys.real import PATIENCE, found, run, sign

NAME = "登录 ukey é 00 00"

_CHILD = """
import asyncio, logging, sys
sys.path.insert(0, sys.argv[1])
from keyservice.ukeys import child
assert sys.getfilesystemencoding() == "ascii"
says = "import os, sys; os.write(2, ascii(sys.argv[-1]).encode())"
child._PROGRAM = (sys.executable, "-I", "-c", says)
logging.basicConfig(format="%(message)s", stream=sys.stdout)
name = sys.argv[2].encode().decode("unicode-escape")
async def main():
    made = child.Child("worker", name, on_message=print, on_end=lambda status: None)
    await made.wait()
asyncio.run(main())
"""


@pytest.mark.parametrize(
    "names", [["Reader\0 00 00"], ["\0"], ["Reader 00 00"] * 2], ids=["NUL", "only NUL", "twice"]
)
def test_names_that_pcscd_cannot_have_are_no_list(names: list[str]) -> None:
    message = reports.build_readers([ReaderState(name, True, 1) for name in names])
    with pytest.raises(WireError):
        reports.parse_readers(message)


def test_a_list_with_such_a_name_costs_its_watcher_and_no_reader(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        await found(ukeys)
        hostile = [ReaderState("Reader\0 00 00", True, 1), ReaderState("Other 00 00", False, 0)]
        (source,) = ukeys._there
        assert isinstance(source, Pcsc)
        watcher = source._watcher
        source._heard(reports.build_readers(hostile))
        assert await sign(await found(ukeys))
        async with asyncio.timeout(PATIENCE):
            while source._watcher in (None, watcher):
                await asyncio.sleep(0.01)
        assert "Other 00 00" not in [each.reader for each in ukeys.present()]

    run(scenario)


@pytest.mark.parametrize("name", [NAME, "bytes \udcff\udcfe 00 00"], ids=["letters", "no text"])
def test_the_locale_of_the_service_changes_no_name(name: str) -> None:
    """A host's locale may have no such characters, or other bytes for them."""
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", _CHILD, str(CHECKOUT), ascii(name)[1:-1]],
        env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.partition(": ")[2].strip() == ascii(name), done.stderr
