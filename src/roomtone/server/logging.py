"""Logs: one event a line on standard error, for people (console) or for machines (json).

Standard output stays free for what a command prints. The standard library's loggers (aiohttp's, asyncio's)
come out in the same form.
"""

from __future__ import annotations

import logging
import sys
from typing import Final, Literal

import structlog
from aiohttp.http_exceptions import HttpProcessingError
from structlog.typing import Processor

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_LEVELS: Final[dict[LogLevel, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def setup_logging(log_format: LogFormat = "console", level: LogLevel = "info") -> None:
    """Send everything from `level` up to standard error. May be called again: the last call counts."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_shorten)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(log_format)],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(_LEVELS[level])
    # FFmpeg's complaints about single broken packets are counted where they matter, and flood a log otherwise.
    logging.getLogger("libav").setLevel(logging.ERROR)


def _shorten(record: logging.LogRecord) -> bool:
    """What strangers send that is no HTTP is worth a line, not a page; and what they sent may hold a token."""
    error = record.exc_info[1] if record.exc_info else None
    if record.name == "aiohttp.server" and isinstance(error, HttpProcessingError):
        record.exc_info = record.exc_text = None
        record.msg, record.args = f"a request that is no HTTP: {type(error).__name__}", ()
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def _renderers(log_format: LogFormat) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    colours = sys.stderr.isatty()
    # Plain: the renderer's own choice prints every local variable, tokens and secrets among them.
    return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)]
