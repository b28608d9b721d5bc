"""The pages on settings, metrics and the HTTP API tell what there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from roomtone.room.grants import Grants
from roomtone.server.config import Config
from roomtone.sources.errors import SourceFault
from tests.server.http import calling

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    """A page's text."""
    return (DOCS / name).read_text(encoding="utf-8")


def first_cells(text: str) -> str:
    """The first column of all tables."""
    return "\n".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|"))


def test_every_setting_is_explained() -> None:
    """No more and no fewer than the schema has."""
    text = page("reference/config.md")
    told = set(re.findall(r"`([a-z_]+)`", first_cells(text[text.index("## Where it listens") :])))
    assert told == set(Config.model_fields)


def test_the_defaults_are_right() -> None:
    """Every number in the second column is the schema's."""
    defaults = Config.model_fields
    checked = 0
    for line in page("reference/config.md").splitlines():
        match = re.match(r"\| `([a-z_]+)` \| `?([^|`]+?)`? \|", line)
        if match is None or match[1] not in defaults:
            continue
        default = defaults[match[1]].get_default(call_default_factory=True)
        told = match[2].replace(",", "")
        if told == "none":
            assert default in (None, []), match[1]
        else:
            assert told == (str(default).lower() if isinstance(default, bool) else f"{default}"), match[1]
        checked += 1
    assert checked > 20


async def test_every_route_is_listed() -> None:
    """With its grant."""
    async with calling() as api:
        document = (await api("GET", "/v1/openapi.json")).json
    listed = dict(re.findall(r"^\| `([A-Z]+ /[^`]*)` \| ([^|]*?) ?\|", page("reference/http-api.md"), re.MULTILINE))
    described = {
        f"{method.upper()} {path}": operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert set(listed) == {*described, "GET /v1/openapi.json"}
    for route, operation in described.items():
        grant = re.search(r"`(\w+)`", operation.get("description", ""))
        assert (grant is None) == (listed[route] == ""), route
        assert grant is None or f"`{grant[1]}`" in listed[route], route


def test_every_fault_of_a_source_has_its_code() -> None:
    """In the table of errors."""
    told = set(re.findall(r"`source_(\w+)`", page("reference/http-api.md")))
    assert told == set(get_args(SourceFault))


async def test_every_metric_is_listed() -> None:
    """Those of the server by name."""
    async with calling() as api:
        text = (await api("GET", "/metrics")).text
    served = {
        name + ("_total" if kind == "counter" and not name.endswith("_total") else "")
        for name, kind in re.findall(r"^# TYPE (roomtone_\w+) (\w+)$", text, re.MULTILINE)
    }
    assert served == set(re.findall(r"`(roomtone_\w+)", page("howto/operate.md")))


def test_every_grant_is_explained() -> None:
    """With its default."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (true|false) \|", page("howto/tokens.md"), re.MULTILINE))
    defaults = Grants()
    assert rows == {name: str(getattr(defaults, name)).lower() for name in Grants.__dataclass_fields__}
