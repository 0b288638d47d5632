# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""pam_ukey.so by itself: malformed frames, slow and full sockets, and how it is built."""

from __future__ import annotations

import random
import re
import shutil
import socket
import time
from pathlib import Path

import pytest

from keyservice.contract import frames
from keyservice.contract.frames import Kind, Tag
from keyservice.contract.names import ROOT_SOCKET, ErrorName, StepKind, WaitFor
from keyservice.contract.names import Code as Said
from keyservice.contract.steps import Error, Info, Prompt, Step, Verdict, Wait
from tests.pam.libpam import Code
from tests.pam.modules import Module
from tests.pam.scripted import SESSION, HangUp, Raw, SocketServer, receive
from tests.support import CHECKOUT
from tests.support.process import must, run

NATIVE = CHECKOUT / "pam_ukey/native"
YES = Verdict(Said.SUCCESS)
STEP = {Tag.SESSION: SESSION, Tag.STEP: bytes([StepKind.INFO]), Tag.TEXT: b"hello"}


def step(**changes: bytes | None) -> bytes:
    """An info step with other fields in place of its own; None leaves one out."""
    fields = {**STEP, **{Tag[name]: value for name, value in changes.items()}}
    return bytes(frames.build(Kind.STEP, {k: v for k, v in fields.items() if v is not None}))


def body(content: bytes, kind: int = Kind.STEP) -> bytes:
    return frames.HEADER.pack(1, kind, len(content)) + content


VERDICT = bytes([StepKind.VERDICT])
WHOLE = step()[frames.HEADER.size :]
MALFORMED = {
    "another version": b"\x02" + step()[1:],
    "too long a frame": frames.HEADER.pack(1, Kind.STEP, 4097) + bytes(4097),
    "empty": body(b""),
    "no session": step(SESSION=None),
    "a short session": step(SESSION=SESSION[:15]),
    "a long session": step(SESSION=SESSION + b"\0"),
    "no kind": step(STEP=None),
    "kind 0": step(STEP=b"\0"),
    "kind 6": step(STEP=b"\6"),
    "a long kind": step(STEP=b"\0\1"),
    "a text with NUL": step(TEXT=b"a\0b"),
    "a text too long": step(TEXT=bytes([65]) * 1025),
    "echo 2": step(STEP=bytes([StepKind.PROMPT]), ECHO=b"\2"),
    "a long echo": step(STEP=bytes([StepKind.PROMPT]), ECHO=b"\0\0"),
    "a long code": step(STEP=VERDICT, CODE=b"S" * 33),
    "a code with NUL": step(STEP=VERDICT, CODE=b"SUCCESS\0"),
    "a verdict without a code": step(STEP=VERDICT),
    "a code that only begins well": step(STEP=VERDICT, CODE=b"SUCCESSFUL"),
    "a field twice": body(WHOLE + bytes([Tag.TEXT, 0, 0])),
    "an unknown field twice": body(WHOLE + bytes([0x7F, 0, 0]) * 2),
    "a field cut": body(WHOLE[:-1]),
    "a field's head cut": body(WHOLE + b"\x7f\0"),
    "a field past the frame": body(WHOLE + b"\x7f\xff\xff"),
    "a frame of a client's": body(WHOLE, Kind.ANSWER),
    "an acceptance": body(b"", Kind.ACCEPTED),
    "a refusal of nothing": body(b"", Kind.REFUSED),
    "another session's step": step() + step(SESSION=SESSION[::-1]),
    "another session's verdict": step() + step(SESSION=bytes(16), STEP=VERDICT, CODE=b"SUCCESS"),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_frame_lets_nobody_in(native: Module, content: bytes) -> None:
    native.stack()
    with native.service((Raw(content), YES)):
        assert native.run().code == Code.SERVICE_ERR


def test_a_frame_cut_off_is_a_service_that_is_gone(native: Module) -> None:
    native.stack()
    whole = frames.build_step(SESSION, YES)
    for length in (1, 3, 4, 5, len(whole) - 1):
        with native.service((Raw(bytes(whole[:length])), HangUp())):
            assert native.run().code == Code.AUTHINFO_UNAVAIL


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
    assert run_.code == Code.MAXTRIES
    assert run_.shown == [("hidden", "PIN: "), ("error", "Too late.")]


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
    assert (run_.code, service.seen.answers) == (Code.CONV_ERR, [])
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
        assert native.run().code == Code.AUTHINFO_UNAVAIL
        assert 0.9 < time.monotonic() - began < 2


def test_a_full_queue_is_waited_for_until_the_deadline(native: Module) -> None:
    native.stack("timeout=1")
    Path(ROOT_SOCKET).parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as waiting:
        listener.bind(ROOT_SOCKET)
        listener.listen(0)
        waiting.connect(ROOT_SOCKET)
        began = time.monotonic()
        assert native.run("disturbed", "authenticate").code == Code.AUTHINFO_UNAVAIL
        assert 0.9 < time.monotonic() - began < 2
        Path(ROOT_SOCKET).unlink()


SEEDS: tuple[Step, ...] = (
    Info("hello"),
    Error("错误"),
    Wait("Insert it.", WaitFor.UKEY),
    Prompt("PIN: "),
    Verdict(Said.AUTH_ERR, "no", ErrorName.PIN_WRONG, {"left": 3}),
)


class Mutants(SocketServer):
    """Each connection gets frames with some bytes changed, cut or doubled."""

    def __init__(self, seed: int) -> None:
        super().__init__(0)
        self._random = random.Random(seed)

    def serve(self, connection: socket.socket) -> None:
        receive(connection)
        content = bytearray()
        for each in self._random.choices(SEEDS, k=self._random.randint(1, 4)):
            content += frames.build_step(SESSION, each)
        for _ in range(self._random.randint(1, 6)):
            at = self._random.randrange(len(content))
            match self._random.randrange(4):
                case 0:
                    content[at] = self._random.randrange(256)
                case 1:
                    content[at] ^= 1 << self._random.randrange(8)
                case 2:
                    del content[at : at + self._random.randint(1, 8)]
                case 3:
                    content[at:at] = content[at : at + self._random.randint(1, 300)]
            if not content:
                break
        connection.sendall(content)


@pytest.fixture(scope="module")
def sanitized(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module and the driver with the compiler's checks of memory and arithmetic."""
    folder = tmp_path_factory.mktemp("sanitized")
    flags = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"
    make = ["make", "--quiet", "-C", str(NATIVE), f"O={folder}", f"CFLAGS={flags}"]
    must([*make, "HARDENING=-fPIC", "LINKING=-shared"], seconds=120)
    source = str(Path(__file__).with_name("driver.c"))
    must(["cc", *flags.split(), "-o", str(folder / "driver"), source, "-lpam"], seconds=120)
    shutil.copy(built / "pam_row.so", folder)
    return folder


def test_changed_frames_neither_let_in_nor_break_memory(
    sanitized: Path, built: Path, tmp_path: Path
) -> None:
    module = Module("native", sanitized, tmp_path)
    module.stack()
    with Mutants(20261121):
        ran = module.run(*["authenticate"] * 1000, answers=["=314159"] * 1000, timeout=60)
    assert len(ran.history) == 1000
    assert {code for _, code in ran.history} <= {
        Code.AUTH_ERR,
        Code.AUTHINFO_UNAVAIL,
        Code.SERVICE_ERR,
        Code.CONV_ERR,
    }


# -- the build


def test_only_libpams_entry_points_are_exported(built: Path) -> None:
    symbols = must(["nm", "-D", "--defined-only", built / "pam_ukey.so"]).splitlines()
    calls = ("acct_mgmt", "authenticate", "chauthtok", "close_session", "open_session", "setcred")
    assert [line.split()[-1] for line in symbols] == [f"pam_sm_{call}" for call in calls]


#: All that the module may ask of others. No locale, signal, environment, user database or file.
USED = {
    *("clock_gettime", "close", "connect", "fcntl", "geteuid", "getenv", "getsockopt", "recv", "send"),
    *("setsockopt", "socket", "explicit_bzero", "free", "memchr", "memcmp", "memcpy", "memset"),
    *("strcmp", "strlen", "strncmp", "strnlen", "strspn", "__errno_location"),
    *("pam_get_item", "pam_get_user", "pam_getenv", "pam_prompt", "pam_syslog"),
}


def test_it_asks_nothing_else_of_libc_and_libpam(built: Path) -> None:
    symbols = must(["nm", "-D", "--undefined-only", built / "pam_ukey.so"]).split()
    names = {name.partition("@")[0] for name in symbols if len(name) > 1}
    checked = {re.sub(r"^__(explicit_bzero|\w+)_chk$", r"\1", name) for name in names}
    runtime = {"__stack_chk_fail", "__cxa_finalize", "__gmon_start__"}
    runtime |= {"_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "__stack_chk"}
    assert checked - runtime <= USED


def test_it_is_hardened(built: Path) -> None:
    dynamic = must(["readelf", "-dW", built / "pam_ukey.so"])
    assert re.findall(r"NEEDED.*\[(.*)\]", dynamic) == ["libpam.so.0", "libc.so.6"]
    assert "BIND_NOW" in dynamic or "FLAGS_1.*NOW" in dynamic
    assert not re.search("RPATH|RUNPATH|TEXTREL", dynamic)
    segments = must(["readelf", "-lW", built / "pam_ukey.so"])
    assert "GNU_RELRO" in segments
    assert re.search(r"GNU_STACK.* RW ", segments)
    symbols = must(["nm", "-D", "--undefined-only", built / "pam_ukey.so"])
    assert "__stack_chk_fail" in symbols and "_chk@" in symbols


def test_a_linter_finds_nothing() -> None:
    if shutil.which("clang-tidy") is None:
        pytest.skip("clang-tidy is not installed")
    done = run(["make", "-C", NATIVE, "tidy"], seconds=120)
    assert done.returncode == 0, done.stdout


def test_nothing_is_written_where_it_is_built_from(tmp_path: Path) -> None:
    make = ["make", "--quiet", "-C", str(NATIVE), f"O={tmp_path / 'a'}"]
    must([*make, "install", f"DESTDIR={tmp_path / 'b'}", "SECURITYDIR=/lib/security"], seconds=120)
    (made,) = (path for path in (tmp_path / "b").rglob("*") if path.is_file())
    assert made.relative_to(tmp_path / "b") == Path("lib/security/pam_ukey.so")
    assert made.stat().st_mode & 0o7777 == 0o644


def body_of(source: str, start: str, end: str) -> str:
    return source[source.index(start) :].partition(end)[0]


def test_one_place_lets_in_and_one_passes_over() -> None:
    native = body_of((NATIVE / "pam_ukey.c").read_text(), "int conclude(", "\n}\n")
    python = body_of((CHECKOUT / "pam_ukey/calls.py").read_text(), "def _conclude", "\n\n\n")
    for source in (native, python):
        assert source.count("PAM_SUCCESS") == source.count("PAM_IGNORE") == 1
    others = "".join(path.read_text() for path in NATIVE.glob("*.c") if path.name != "pam_ukey.c")
    assert "return PAM_SUCCESS" not in others and "return PAM_IGNORE" not in others
