"""The servers that commands start for themselves."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.processes import ran


def test_settings_that_lie_around_do_not_matter(tmp_path: Path) -> None:
    """Neither a roomtone.toml for production nor a key in the environment changes the demo or a benchmark."""
    (tmp_path / "roomtone.toml").write_text('host = "0.0.0.0"\nmax_connections = 1\ndev = false\n')
    extra = {"ROOMTONE_API_KEY": "mine", "ROOMTONE_API_SECRET": "s" * 40, "ROOMTONE_MAX_ROOMS": "x"}
    code, out, err = ran("bench", "fanout", "--listeners", "2", "--seconds", "0.5", "--json", cwd=tmp_path, **extra)
    assert code == 0, err
    assert json.loads(out)["missing"] == 0
    code, out, err = ran("demo", "--duration", "2", "--port", "0", "--output", "a.wav", cwd=tmp_path, **extra)
    assert code == 0, err
    assert (tmp_path / "a.wav").exists()
