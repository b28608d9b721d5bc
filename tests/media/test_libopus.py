"""Finding libopus."""

from __future__ import annotations

import subprocess
import sys

import pytest

from roomtone.media import libopus


def test_the_library_of_the_av_wheel_is_found_first() -> None:
    """The wheel that is a dependency anyway decides the version, not what the system happens to have."""
    loaded = libopus.load()
    assert loaded.path == next(libopus.candidates())
    assert "opus" in loaded.path
    assert loaded.version.startswith("libopus ")


def test_av_itself_is_not_imported() -> None:
    """Loading a codec does not cost the 57 ms and 20 MB that importing PyAV costs."""
    code = "import sys; from roomtone.media import libopus; libopus.load(); print('av' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_environment_overrides_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator may name the library, and then only that one counts."""
    monkeypatch.setenv(libopus.PATH_VARIABLE, "/somewhere/libopus.so")
    assert list(libopus.candidates()) == ["/somewhere/libopus.so"]


def test_a_missing_library_is_told_with_its_mend() -> None:
    """The error names what was tried and three ways out."""
    with pytest.raises(libopus.OpusLibraryError) as caught:
        libopus.open_library(iter(["/no/such/libopus.so", "libno-such-opus.so.9"]))
    message = str(caught.value)
    assert "pip install" in message
    assert libopus.PATH_VARIABLE in message
    assert "/no/such/libopus.so" in message
    assert "libno-such-opus.so.9" in message


def test_another_library_is_not_taken_for_opus() -> None:
    """A file that loads but has none of the functions is passed over for the next candidate."""
    other = "libc.so.6" if sys.platform == "linux" else "libSystem.dylib"
    assert libopus.open_library(iter([other, libopus.load().path])).path == libopus.load().path
