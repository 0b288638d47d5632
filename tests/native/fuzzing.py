# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""libFuzzer on the module: its first inputs, how it is built and run, what it has covered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from keyservice.contract import frames
from keyservice.contract.frames import Kind, Tag
from keyservice.contract.names import Code, ErrorName
from tests.native.builds import HERE, NATIVE
from tests.native.endings import ENDINGS
from tests.pam.modules import YES
from tests.pam.scripted import (
    SESSION,
    Act,
    HangUp,
    NewVerdict,
    Raw,
    Refuse,
    Silence,
    new_verdict,
)
from tests.support.process import must, run

#: The system's functions that fuzz_system.c replaces.
FAKED = (
    *("clock_gettime", "close", "connect", "fcntl", "free", "getenv", "geteuid", "getsockopt"),
    *("recv", "send", "setsockopt", "socket"),
)

#: Each with its own files.
HARNESSES = {"frame": ("frame",), "session": ("session", "system")}
SANITIZE = "address,undefined"
PROFILE = ("-fprofile-instr-generate", "-fcoverage-mapping")
#: Bytes of the longest input: two of the longest frames.
LONGEST = 2 * 4100 + 3
PARSING = ("frame.c", "session.c", "wire.c")


def _bytes(act: Act) -> bytes:
    match act:
        case Raw(content):
            return content
        case Refuse(name, text):
            return bytes(frames.build_refused(name, text))
        case NewVerdict(code):
            return bytes(new_verdict(code))
        case Silence() | HangUp():
            return b""
    return bytes(frames.build_step(SESSION, act))


def seeds(name: str) -> Iterator[bytes]:
    """The frames of every ending: each frame, or each stream by itself and with some settings."""
    for number, ending in enumerate(ENDINGS.values()):
        said = [_bytes(act)[:LONGEST] for act in ending.acts]
        if name == "frame":
            yield from (content for content in said if content)
        else:
            for how, person, socket in ((0, 0, 0), (number, number * 2, number)):
                yield bytes([how & 0xFF, person & 0xFF, socket & 0xFF]) + b"".join(said)
    if name == "session":
        asked = b"".join(_bytes(act) for act in YES)
        yield from (bytes([how, person, 0]) + asked for how in range(256) for person in range(16))


def dictionary() -> str:
    """The bytes that mean something in a frame."""
    words = [bytes([1, kind]) for kind in Kind]
    words += [bytes([tag]) for tag in Tag]
    words += [bytes([Tag.SESSION, 0, 16]) + SESSION]
    words += [bytes([Tag.STEP, 0, 1, step]) for step in range(7)]
    words += [bytes([Tag.CODE, 0, len(code)]) + code.encode() for code in Code]
    words += [bytes([Tag.ERROR, 0, len(name)]) + name.encode() for name in ErrorName]
    words += [length.to_bytes(2, "big") for length in (0, 1, 16, 32, 33, 1024, 1025, 4096, 4097)]
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in words)


@dataclass(frozen=True)
class Fuzzed:
    """The result of a run."""

    status: int
    runs: int
    text: str

    @property
    def crashed(self) -> bool:
        return self.status != 0


class Kept:
    """A folder that all fuzzers share: objects, each compiled once, and the first inputs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def seeds(self, name: str) -> Path:
        """The folder of the harness's first inputs."""
        made = self._folder / f"seeds-{name}"
        if not made.exists():
            made.mkdir()
            for number, content in enumerate(seeds(name)):
                (made / f"seed-{number}").write_bytes(content)
        return made

    def object(self, source: Path, headers: Path, *flags: str) -> Path:
        """`source` compiled; at once if one of the same content, headers and flags was before."""
        read = [source, *sorted(headers.glob("*.h")), *sorted(source.parent.glob("*.h"))]
        digest = sha256("\0".join((source.name, *flags)).encode())
        for path in read:
            digest.update(sha256(path.read_bytes()).digest())
        made = self._folder / f"{source.stem}-{digest.hexdigest()}.o"
        if not made.exists():
            command = ["clang", *flags, "-Wall", "-Wextra", f"-I{headers}", "-c"]
            must([*command, "-o", str(made), str(source)], seconds=120)
        return made


class Fuzzer:
    """A harness on the module's sources, with a corpus of its own."""

    def __init__(self, name: str, folder: Path, kept: Kept, source: Path = NATIVE) -> None:
        self.name, self._folder, self._kept = name, folder, kept
        self._found = folder / "found"  # inputs that reach more than those before
        self._found.mkdir(parents=True)
        self._corpus = [str(self._found), str(kept.seeds(name))]
        (folder / "dictionary").write_text(dictionary())
        files = ["frame.c"] if name == "frame" else [path.name for path in source.glob("*.c")]
        self._source, self._files = source, sorted(files)

    def _build(self, name: str, *flags: str) -> Path:
        """Compile them so that the harness sees the real system, and the module the harness's."""
        flags = ("-std=c11", "-D_GNU_SOURCE", "-g", *flags)
        faked = [f"-D{call}=fake_{call}" for call in FAKED if self.name == "session"]
        made = [
            self._kept.object(self._source / file, self._source, *flags, *faked)
            for file in self._files
        ]
        made += [
            self._kept.object(HERE / f"fuzz_{each}.c", self._source, *flags)
            for each in HARNESSES[self.name]
        ]
        program = self._folder / name
        objects = map(str, made)
        must(["clang", *flags, "-fsanitize=fuzzer", "-o", str(program), *objects], seconds=120)
        return program

    def run(self, *limits: str, seconds: float) -> Fuzzed:
        """Run until one of libFuzzer's `limits`, such as ``-runs=1000``, or a mistake."""
        program = self._build(
            "fuzz", "-O1", f"-fsanitize=fuzzer-no-link,{SANITIZE}", "-fno-sanitize-recover=all"
        )
        limits += (f"-max_len={LONGEST}", "-len_control=0", "-timeout=5", "-print_final_stats=1")
        limits += (f"-dict={self._folder / 'dictionary'}", f"-artifact_prefix={self._folder}/")
        done = run(
            [str(program), *self._corpus, *limits, "-seed=20261121"],
            seconds=seconds,
            cwd=self._folder,
            env={"PATH": "/usr/bin:/bin", "ASAN_OPTIONS": "quarantine_size_mb=8"},
        )
        runs = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
        return Fuzzed(done.returncode, int(runs[1]) if runs else 0, done.stderr[-6000:])

    def covered(self) -> dict[str, float]:
        """For each file that parses, the percentage of its lines that the corpus reaches."""
        program = self._build("covered", "-O0", "-fsanitize=fuzzer-no-link", *PROFILE)
        raw, data = self._folder / "raw", self._folder / "data"
        must(
            [str(program), "-runs=0", *self._corpus],
            seconds=120,
            env={"PATH": "/usr/bin:/bin", "LLVM_PROFILE_FILE": str(raw)},
        )
        must(["llvm-profdata", "merge", "-o", str(data), str(raw)])
        told = must(["llvm-cov", "export", "-summary-only", f"-instr-profile={data}", str(program)])
        return {
            Path(file["filename"]).name: file["summary"]["lines"]["percent"]
            for file in json.loads(told)["data"][0]["files"]
            if Path(file["filename"]).name in PARSING
        }
