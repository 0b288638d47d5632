# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""pam_ukey.so by itself: malformed frames, slow and full sockets, the rest of an answer."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from keyservice.contract import frames
from keyservice.contract.names import ROOT_SOCKET
from keyservice.contract.names import Code as Said
from keyservice.contract.pam import PamCode
from keyservice.contract.steps import Error, Prompt, Verdict
from tests.pam.malformed import MALFORMED, WHOLE, body, step
from tests.pam.modules import Module
from tests.pam.scripted import SESSION, HangUp, Raw, SocketServer, receive
from tests.support import CHECKOUT
from tests.support.process import must

NATIVE = CHECKOUT / "pam_ukey/native"
YES = Verdict(Said.SUCCESS)


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_frame_lets_nobody_in(native: Module, content: bytes) -> None:
    native.stack()
    with native.service((Raw(content), YES)):
        assert native.run().code == PamCode.SERVICE_ERR


def test_a_frame_cut_off_is_a_service_that_is_gone(native: Module) -> None:
    native.stack()
    whole = frames.build_step(SESSION, YES)
    for length in (1, 3, 4, 5, len(whole) - 1):
        with native.service((Raw(bytes(whole[:length])), HangUp())):
            assert native.run().code == PamCode.AUTHINFO_UNAVAIL


def test_what_a_later_version_adds_passes(native: Module) -> None:
    native.stack()
    more = body(WHOLE + b"\x7f\0\3new" + b"\x7e\0\0")
    longest = step(TEXT="界".encode() * 341)
    with native.service((Raw(more), Raw(longest), YES)):
        run_ = native.run()
    assert (run_.code, run_.shown) == (0, [("info", "hello"), ("info", "界" * 341)])


def test_what_was_said_before_a_hang_up_is_still_heard(native: Module) -> None:
    native.stack()
    asked = Raw(bytes(frames.build_step(SESSION, Prompt("PIN: "))))
    with native.service((asked, Error("Too late."), Verdict(Said.MAXTRIES))):
        run_ = native.run(answers=["sleep=300=314159"])
    assert run_.code == PamCode.MAXTRIES
    assert run_.shown == [("hidden", "PIN: "), ("error", "Too late.")]


#: calloc, which has no memory for anything as large as a session.
_NO_MEMORY = """
#include <stddef.h>
#include <string.h>
void *malloc(size_t);
void *calloc(size_t count, size_t size)
{
    void *made = count * size > 4096 ? NULL : malloc(count * size);
    return made == NULL ? NULL : memset(made, 0, count * size);
}
"""


def test_without_memory_it_refuses(native: Module, tmp_path: Path) -> None:
    (tmp_path / "none.c").write_text(_NO_MEMORY)
    none = tmp_path / "none.so"
    must(["cc", "-O1", "-fno-builtin", "-fPIC", "-shared", "-o", none, tmp_path / "none.c"])
    native.stack()
    for preloaded, code in (({}, PamCode.SUCCESS), ({"LD_PRELOAD": str(none)}, PamCode.BUF_ERR)):
        with native.service((YES,)) as service:
            assert native.run(env=preloaded).code == code
        assert len(service.seen.begun) == (code == PamCode.SUCCESS)


WORDS = ("authenticate", "search", "plant", "search")


@pytest.mark.parametrize("ending", [YES, HangUp(), Raw(b"\xff" * 8)])
def test_no_copy_of_an_answer_stays_in_memory(
    native: Module, ending: Verdict | HangUp | Raw
) -> None:
    native.stack()
    with native.service((Prompt("PIN: "), ending)) as service:
        run_ = native.run(*WORDS, answers=["=canary" + "271828" * 20])
    assert service.seen.answers == [b"canary" + b"271828" * 20]
    assert [count for what, count in run_.history if what == "search"] == [0, 1]


def test_nor_one_that_a_failed_conversation_left(native: Module) -> None:
    native.stack()
    with native.service((Prompt("PIN: "), YES)) as service:
        run_ = native.run(*WORDS, answers=["left=canary" + "271828" * 20])
    assert (run_.code, service.seen.answers) == (PamCode.CONV_ERR, [])
    assert [count for what, count in run_.history if what == "search"] == [0, 1]


class Trickle(SocketServer):
    """A byte now and then, of a step that never ends."""

    def serve(self, connection: socket.socket) -> None:
        receive(connection)
        for byte in step(TEXT=b"x" * 1000):
            connection.send(bytes([byte]))
            time.sleep(0.05)


def test_one_deadline_for_all_of_it(native: Module) -> None:
    native.stack("timeout=1")
    with Trickle(0):
        began = time.monotonic()
        assert native.run().code == PamCode.AUTHINFO_UNAVAIL
        assert 0.9 < time.monotonic() - began < 2


def test_a_full_queue_is_waited_for_until_the_deadline(native: Module) -> None:
    native.stack("timeout=1")
    Path(ROOT_SOCKET).parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as waiting:
        listener.bind(ROOT_SOCKET)
        listener.listen(0)
        waiting.connect(ROOT_SOCKET)
        began = time.monotonic()
        assert native.run("disturbed", "authenticate").code == PamCode.AUTHINFO_UNAVAIL
        assert 0.9 < time.monotonic() - began < 2
        Path(ROOT_SOCKET).unlink()


def body_of(source: str, start: str, end: str) -> str:
    return source[source.index(start) :].partition(end)[0]


def test_one_place_lets_in_and_one_passes_over() -> None:
    native = body_of((NATIVE / "pam_ukey.c").read_text(), "int conclude(", "\n}\n")
    python = body_of((CHECKOUT / "pam_ukey/calls.py").read_text(), "def _conclude", "\n\n\n")
    for source in (native, python):
        assert source.count("PAM_SUCCESS") == source.count("PAM_IGNORE") == 1
    others = "".join(path.read_text() for path in NATIVE.glob("*.c") if path.name != "pam_ukey.c")
    assert "return PAM_SUCCESS" not in others and "return PAM_IGNORE" not in others
