"""What is going on, while it goes on: redrawn in place on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from roomtone.cli.output import Output

METER_CELLS: Final = 20
METER_FLOOR_DB: Final = 60
REDRAWS_PER_S: Final = 8
PLAIN_INTERVAL_S: Final = 3.0
JSON_INTERVAL_S: Final = 1.0


def meter(level: int) -> Text:
    """A bar for an RFC 6464 level, 0 (loudest) to 127 -dBov: -60 dB and less is empty."""
    share = max(0.0, 1 - level / METER_FLOOR_DB)
    filled = min(METER_CELLS, round(share * METER_CELLS))
    style = "red" if level <= 3 else "yellow" if level <= 10 else "green"
    return Text("█" * filled, style=style) + Text("░" * (METER_CELLS - filled), style="dim")


class LiveView:
    """Shows a set of figures over and over. All on standard error, so that a pipe gets results only.

    `fields` of show() go to programs. One that is quiet shows nothing.
    """

    def __init__(self, output: Output, title: str) -> None:
        self._output = output
        self._title = title
        self._live: Live | None = None
        self._next_line = 0.0

    def __enter__(self) -> Self:
        if self._output.live:
            self._live = Live(
                console=self._output.errors, refresh_per_second=REDRAWS_PER_S, transient=True, auto_refresh=False
            )
            self._live.start()
        else:
            self._output.note(self._title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, now: float, level: int, cells: Mapping[str, str], fields: Mapping[str, Any]) -> None:
        """now: monotonic seconds, which decide when the next plain line is due. cells: by heading, for people."""
        if self._live is not None:
            self._live.update(Group(Text(self._title, style="bold"), _table(level, cells)), refresh=True)
        elif now >= self._next_line:
            self._next_line = now + (JSON_INTERVAL_S if self._output.json else PLAIN_INTERVAL_S)
            self._output.event("progress", **fields)
            text = "  ".join(f"{heading} {cell}" for heading, cell in cells.items())
            self._output.note(f"{-level:4d} dB  {text}")


def _table(level: int, cells: Mapping[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("level", no_wrap=True)
    for heading in cells:
        table.add_column(heading, justify="right")
    table.add_row(meter(level), *cells.values())
    return table
