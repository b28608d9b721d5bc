"""Loggers that keep quiet inside other people's programs.

A server may run inside somebody's program: what it logs goes through the standard library's logging, under the
module's own name, with the event's values as `extra`. Only the command line decides where that comes out, and
in which form (server/logging.py).
"""

from __future__ import annotations

import logging
from typing import cast

import structlog


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module: `log.info("session started", room="lobby")`."""
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.render_to_log_kwargs,
        ],
    )
    return cast("structlog.stdlib.BoundLogger", logger)
