"""`roomtone demo`, as a newcomer runs it."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import numpy as np
import pytest

from roomtone.assets import sample_path
from tests.cli.hearing import decoded, located, seconds_of_wav
from tests.cli.processes import finished, ran, started


def test_what_is_heard_is_what_was_said(tmp_path: Path) -> None:
    """The recording holds the sample's speech, in order, at the places where it belongs, well over the noise."""
    path = tmp_path / "heard.wav"
    code, out, err = ran("demo", "--duration", "6", "--port", "0", "--json", "--output", str(path))
    assert code == 0, err
    summary = json.loads(out.splitlines()[-1])
    assert summary["event"] == "summary"
    assert summary["output"] == str(path)
    assert summary["lost"] == 0
    assert summary["seconds"] == pytest.approx(seconds_of_wav(path), abs=0.001)
    assert 16_000 < summary["bitrate_bps"] < 48_000
    found = located(decoded(path), decoded(sample_path()))
    assert len(found) >= 8
    assert float(np.median([snr_db for _, snr_db in found])) > 6
    steps = np.diff([place for place, _ in found])
    assert all(step > 0 for step in steps)  # nothing is repeated, nothing goes back
    assert found[0][0] < 1.5  # it begins at the beginning
    assert summary["snr_db"] > 6
    assert abs(summary["offset_s"]) < 1.5


def test_a_file_of_ones_own_is_played(tmp_path: Path) -> None:
    """Any file that can be decoded; without --json the figures come out as lines, and the path last."""
    path = tmp_path / "heard.wav"
    code, out, err = ran("demo", str(sample_path()), "--duration", "2", "--port", "0", "--output", str(path))
    assert code == 0, err
    assert out.splitlines()[0].startswith("heard")
    assert out.splitlines()[-1].endswith(str(path))
    assert "http://127.0.0.1:" in err
    assert "\x1b" not in out + err  # no colour in a pipe
    assert seconds_of_wav(path) > 1


def test_ctrl_c_ends_it_with_the_summary(tmp_path: Path) -> None:
    """Without a duration it runs until it is told to stop, which is no failure."""
    path = tmp_path / "heard.wav"
    process = started(["demo", "--port", "0", "--json", "--output", str(path)])
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["received"] > 20:
            break
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["event"] == "summary"
    assert err == ""
    assert seconds_of_wav(path) > 0


def test_a_taken_port_is_told_in_one_line() -> None:
    """And how to choose another."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, err = ran("demo", "--duration", "1", "--port", str(port))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert f"127.0.0.1:{port} is taken" in err
    assert "--port" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("name", ["missing.wav", "text.wav", "empty.wav"])
def test_an_unreadable_file_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    """Exit code 1, the file's name, no traceback."""
    (tmp_path / "text.wav").write_text("no sound at all " * 100)
    (tmp_path / "empty.wav").touch()
    code, out, err = ran("demo", str(tmp_path / name), "--duration", "2", "--port", "0")
    assert (code, out) == (1, "")
    assert name in err
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1
    assert "Traceback" not in err
