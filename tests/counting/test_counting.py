# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a process of the product leaves when it ends, however it ends by itself, is counted."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from counting import measured

from tests.support import CHECKOUT
from tests.support.process import must, run

COUNTING = CHECKOUT / "scripts/lib/counting"
SOURCE = CHECKOUT / "keyservice/core/secret.py"
#: Runs a function of the product's, itself or in a fork, and then ends in that way, or is killed.
PROGRAM = """
import os, signal, sys
sys.path[:0] = sys.argv[2:]
from counting.start import start
start(sys.argv[1])
from keyservice.core.secret import wipe
if {fork} and os.fork():
    os.wait()
else:
    wipe(bytearray(8))
    {end}
os.system(f"kill -KILL {{os.getpid()}}")
"""
#: After the imports of the other: a child is killed that has told its result.
KILLED = """
import time
told, tells = os.pipe()
pid = os.fork()
if not pid:
    os.setpgid(0, 0)
    wipe(bytearray(8))
    os.write(tells, b"!")
    time.sleep(0.3)
    os._exit(0)
os.read(told, 1)
os.killpg(pid, signal.SIGKILL)
"""
ENDS = {
    "at its end": "sys.exit()",
    "at once": "os._exit(0)",
    "by its own signal": "os.kill(os.getpid(), signal.SIGTERM)",
}


def counted(folder: Path, program: str) -> list[int]:
    """The lines of SOURCE that did not run."""
    folder.mkdir()
    (counts := folder / "python").mkdir()
    where = [str(CHECKOUT), str(CHECKOUT / "scripts/lib")]
    run([sys.executable, "-I", "-c", program, str(counts), *where])
    _, _, _, missing, _ = measured.combine([counts]).analysis2(str(SOURCE))
    return list(missing)


def test_a_child_is_counted_whose_parent_kills_it_once_it_has_told(tmp_path: Path) -> None:
    body = SOURCE.read_text().splitlines().index("def wipe(buffer: bytearray) -> None:") + 3
    program = PROGRAM.partition("if {fork}")[0] + KILLED
    assert body not in counted(tmp_path / "told", program)


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("fork", [False, True], ids=["itself", "a fork"])
def test_a_process_is_counted_however_it_ends_by_itself(
    end: str, fork: bool, tmp_path: Path
) -> None:
    body = SOURCE.read_text().splitlines().index("def wipe(buffer: bytearray) -> None:") + 3
    killed = counted(tmp_path / "killed", PROGRAM.format(fork=fork, end=""))
    ended = counted(tmp_path / "ended", PROGRAM.format(fork=fork, end=end))
    assert body in killed
    assert ended and body not in ended


def test_a_build_from_the_checkout_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts, built = tmp_path / "native", tmp_path / "built"
    counts.mkdir()
    monkeypatch.setenv("UKEY_COUNTS", str(counts))
    compiler = f"CC={COUNTING / 'counting-cc'}"
    must(["make", "--quiet", "-C", CHECKOUT / measured.NATIVE, f"O={built}", compiler])
    load = f"import ctypes; ctypes.CDLL('{built}/pam_ukey.so').pam_sm_setcred(None, 0, 0, None)"
    must([sys.executable, "-I", "-c", load])
    found = measured.native_files(CHECKOUT, [counts])
    sources = {path.name for path in (CHECKOUT / measured.NATIVE).glob("*.c")}
    assert {Path(name).name for name in found} == sources
    setcred = found["pam_ukey/native/pam_ukey.c"]
    assert 0 < setcred.lines.ran < setcred.lines.there
    assert found["pam_ukey/native/frame.c"].lines.ran == 0


def test_every_test_that_is_left_out_is_there_and_has_a_reason() -> None:
    """One that was renamed would run again, and fail."""
    for line in (COUNTING / "left-out.txt").read_text().splitlines():
        if not line.startswith("#"):
            found = re.fullmatch(r"(\S+)::(\w+)[^|]*\|\w.+", line)
            assert found, line
            assert f"def {found[2]}(" in (CHECKOUT / found[1]).read_text(), line
