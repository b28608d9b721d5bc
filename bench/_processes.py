"""The processes of a benchmark: the C programs, the server, and which processor each of them keeps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roomtone.server.auth import DEV_KEY, mint

BENCH = Path(__file__).resolve().parent
BUILD = BENCH / "build"
_CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPU = _CPUS[0]
LOAD_CPU = _CPUS[1 % len(_CPUS)]
START_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Seat:
    """One connection of a plan. role: "l" listens, "s" speaks and listens, "k" gets stuck."""

    role: str
    room: str
    token: str


def plan(rooms: int, listeners: int, speakers: int, *, stuck: int = 0) -> list[Seat]:
    """So many of each in every room, each with a token of its own. The rooms are bench-0, bench-1, ..."""
    seats = []
    for number in range(rooms):
        room = f"bench-{number}"
        for index, role in enumerate("s" * speakers + "k" * stuck + "l" * listeners):
            seats.append(Seat(role, room, mint(DEV_KEY, f"{role}{index}", room=room)))
    return seats


def program(name: str) -> str:
    """The path of a compiled bench/NAME.c. Exits with one line where there is no compiler."""
    source, binary = BENCH / f"{name}.c", BUILD / name
    newest = max(source.stat().st_mtime, (BENCH / "common.h").stat().st_mtime)
    if not binary.exists() or binary.stat().st_mtime < newest:
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            sys.exit("the benchmarks need a C compiler (cc); on Debian: apt install gcc libc6-dev")
        BUILD.mkdir(exist_ok=True)
        subprocess.run([compiler, "-O2", "-Wall", "-o", str(binary), str(source)], check=True)
    return str(binary)


def pinned(cpu: int) -> Callable[[], None]:
    """For subprocess' preexec_fn: keep the child on one processor."""

    def pin() -> None:
        os.sched_setaffinity(0, {cpu})

    return pin


@contextmanager
def floor(mode: str, groups: int) -> Iterator[tuple[int, int]]:
    """(pid, port) of bench/floor.c on the server's processor."""
    process = subprocess.Popen(
        [program("floor"), mode, str(groups)],
        stdout=subprocess.PIPE,
        preexec_fn=pinned(SERVER_CPU),
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.pid, json.loads(process.stdout.readline())["port"]
    finally:
        _stop(process)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(*flags: str) -> Iterator[tuple[int, int]]:
    """(pid, port) of `roomtone serve` on the server's processor, in an empty directory, no settings."""
    port = free_port()
    command = [sys.executable, "-m", "roomtone", "serve", "--dev", "--port", str(port), *flags]
    command += ["--log-level", "error"]
    with _spawned(command) as process:
        wait_until_healthy(process, port)
        yield process.pid, port


@contextmanager
def _spawned(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROOMTONE_")}
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stderr=log,
            preexec_fn=pinned(SERVER_CPU),
            text=True,
            **({"stdout": log} | options),
        )
        try:
            yield process
        finally:
            _stop(process)
            log.seek(0)
            complaints = log.read()
            if "Traceback" in complaints:
                print(complaints[-4_000:], file=sys.stderr)


@contextmanager
def python_on_server_cpu(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A script of bench/ in a process of its own, spoken to by lines over its stdin and stdout."""
    command = [sys.executable, str(BENCH / script), *arguments]
    with _spawned(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process


def wait_until_healthy(process: subprocess.Popen[str], port: int) -> None:
    """Until /healthz answers. Exits where the server stops first or takes over 20 s."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"the server stopped with exit code {process.returncode} before it was ready")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"the server did not answer within {START_TIMEOUT_S:.0f} s")


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run_load(
    port: int,
    seats: Sequence[Seat],
    *flags: str,
    warmup_s: float,
    seconds: float,
    cpu_pid: int | None = None,
    on_begin: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Run bench/load.c with a plan; its result. `on_begin` is called when the measured part begins.

    Exits where a connection is refused or lost before all have joined.
    """
    command = [program("load"), "--port", str(port), *flags]
    command += ["--warmup", str(warmup_s), "--seconds", str(seconds)]
    if cpu_pid is not None:
        command += ["--cpu-pid", str(cpu_pid)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=pinned(LOAD_CPU), text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    feeder = threading.Thread(target=_feed, args=(process.stdin, seats))
    feeder.start()
    result: dict[str, Any] = {}
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "begin" and on_begin is not None:
            on_begin()
        elif event["event"] == "result":
            result = event
    feeder.join()
    if process.wait() != 0 or not result:
        sys.exit("the load could not join; its lines above say why")
    return result


def _feed(stdin: Any, seats: Sequence[Seat]) -> None:
    with stdin:
        stdin.writelines(f"{seat.role} {seat.room} {seat.token}\n" for seat in seats)


def resident_bytes(pid: int) -> int:
    """Of one process, now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def keep_to_load_cpu() -> None:
    """The harness itself stays off the server's processor."""
    os.sched_setaffinity(0, {LOAD_CPU})
    if SERVER_CPU == LOAD_CPU:
        print("one processor only: the load disturbs what it measures", file=sys.stderr)
