"""Finding and loading libopus, once a process.

The `av` wheel, which Roomtone needs anyway, carries a libopus of its own; it is found by its file, without
importing `av`. Failing that the system's library serves. Nothing is loaded when this module is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from ctypes.util import find_library
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

from cffi import FFI  # type: ignore[import-untyped]

PATH_VARIABLE: Final = "ROOMTONE_LIBOPUS"
"""Environment variable with the library's path; it wins over everything that is found."""

_WHEEL_PATTERNS: Final = (
    "../av.libs/libopus-*.so*",  # Linux: auditwheel
    ".dylibs/libopus*.dylib",  # macOS: delocate
    "../av.libs/*opus-*.dll",  # Windows: delvewheel; opusenc and opusfile have no such name
)
_SYSTEM_NAMES: Final = (
    "libopus.so.0",
    "libopus.0.dylib",
    "/opt/homebrew/lib/libopus.0.dylib",
    "/usr/local/lib/libopus.0.dylib",
    "opus.dll",
    "libopus-0.dll",
)

_DECLARATIONS: Final = """
typedef struct OpusEncoder OpusEncoder;
typedef struct OpusDecoder OpusDecoder;
const char *opus_get_version_string(void);
const char *opus_strerror(int error);
OpusEncoder *opus_encoder_create(int32_t rate, int channels, int application, int *error);
int32_t opus_encode(OpusEncoder *st, const int16_t *pcm, int frame_size, unsigned char *data, int32_t size);
int opus_encoder_ctl(OpusEncoder *st, int request, ...);
void opus_encoder_destroy(OpusEncoder *st);
OpusDecoder *opus_decoder_create(int32_t rate, int channels, int *error);
int opus_decode(OpusDecoder *st, const unsigned char *data, int32_t len, int16_t *pcm, int samples, int fec);
int opus_decoder_ctl(OpusDecoder *st, int request, ...);
void opus_decoder_destroy(OpusDecoder *st);
int opus_packet_parse(const unsigned char *data, int32_t len, unsigned char *out_toc,
                      const unsigned char *frames[48], int16_t size[48], int *payload_offset);
int opus_packet_has_lbrr(const unsigned char *data, int32_t len);
"""


class OpusLibraryError(OSError):
    """No usable libopus on this machine; the message says how to mend that."""


class LibOpus(NamedTuple):
    """A loaded library. The C functions release the interpreter lock while they run."""

    ffi: Any
    lib: Any
    path: str
    version: str


def candidates() -> Iterator[str]:
    """Names and paths to try, best first: the environment's, the `av` wheel's, the system's."""
    chosen = os.environ.get(PATH_VARIABLE)
    if chosen:
        yield chosen
        return
    spec = find_spec("av")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        for pattern in _WHEEL_PATTERNS:
            folder, _, name = pattern.rpartition("/")
            yield from sorted(str(path) for path in (package / folder).resolve().glob(name))
    yield from _SYSTEM_NAMES
    # Last, for on Linux it starts ldconfig and perhaps a compiler.
    found = find_library("opus")
    if found is not None:
        yield found


def open_library(names: Iterator[str]) -> LibOpus:
    """Load the first of `names` that is a libopus. Raises OpusLibraryError."""
    ffi = FFI()
    ffi.cdef(_DECLARATIONS)
    tried: list[str] = []
    for name in names:
        try:
            lib = ffi.dlopen(name)
            version = ffi.string(lib.opus_get_version_string()).decode()
        except (OSError, AttributeError) as error:
            tried.append(f"{name} ({str(error).splitlines()[0]})" if os.sep in name else name)
            continue
        return LibOpus(ffi, lib, name, version)
    raise OpusLibraryError(
        "libopus was not found. Reinstall the wheel that carries it (pip install --force-reinstall "
        "--only-binary :all: av), or install the system's (apt install libopus0, brew install opus), or set "
        f"{PATH_VARIABLE} to its path. Tried: {', '.join(tried) or 'nothing'}"
    )


@cache
def load() -> LibOpus:
    """The process's libopus. Raises OpusLibraryError when there is none."""
    return open_library(candidates())
