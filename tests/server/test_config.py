"""Settings: where they come from, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from roomtone.server.config import Config, is_loopback, load_config


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_flags_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each source wins over the one behind it."""
    (tmp_path / "roomtone.toml").write_text("port = 1\nmax_rooms = 11\nmax_streams = 7\n")
    monkeypatch.setenv("ROOMTONE_PORT", "2")
    monkeypatch.setenv("ROOMTONE_MAX_ROOMS", "22")
    config = load_config(port=3)
    assert (config.port, config.max_rooms, config.max_streams) == (3, 22, 7)


def test_a_named_file(tmp_path: Path) -> None:
    """--config reads that file, and a missing one is an error."""
    file = tmp_path / "other.toml"
    file.write_text('[[keys]]\nid = "k"\nsecret = "0123456789012345678901234567890123"\n')
    config = load_config(file)
    assert [key.id for key in config.trusted_keys()] == ["k"]
    with pytest.raises(FileNotFoundError):
        load_config(tmp_path / "missing.toml")


@pytest.mark.parametrize(
    "settings",
    [
        {"prot": 7800},
        {"port": 70_000},
        {"max_rooms": 0},
        {"dev": True, "host": "0.0.0.0"},
        {"dev": True, "host": "voice.example"},
        {"api_key": "only half"},
        {"tls_cert": Path("missing.pem"), "tls_key": Path("missing.pem")},
        {"media_dir": Path("missing")},
        {"lag_drop_ms": 2000, "lag_close_ms": 1500},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    """At the start, not in the night."""
    with pytest.raises(ValidationError):
        Config(**settings)  # type: ignore[arg-type]


def test_dev_listens_on_loopback_unless_told() -> None:
    """The well-known key never meets a network by accident."""
    assert Config(dev=True).host == "127.0.0.1"
    assert Config(dev=True, host="0.0.0.0", allow_remote_dev=True).dev


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"api_key": "k", "api_secret": "short"},
        {"keys": [{"id": "k"}]},
        {"keys": [{"id": "k", "algorithm": "EdDSA"}]},
        {"keys": [{"id": "", "secret": "0123456789012345678901234567890123"}]},
    ],
)
def test_keys_that_open_nothing(settings: dict[str, object]) -> None:
    """No key, a weak secret, no material, no id."""
    with pytest.raises(ValueError, match="key"):
        Config(**settings).trusted_keys()  # type: ignore[arg-type]


def test_secrets_are_not_shown() -> None:
    """Neither the settings nor a key print their secret."""
    secret = "0123456789012345678901234567890123"
    config = Config(api_key="k", api_secret=secret)  # type: ignore[arg-type]
    assert secret not in repr(config)
    assert secret not in repr(config.trusted_keys())
    assert secret not in config.model_dump_json()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("LocalHost", True), ("0.0.0.0", False), ("::", False)],
)
def test_is_loopback(host: str, loopback: bool) -> None:
    """All of 127/8 and ::1; a name other than localhost is not trusted to be."""
    assert is_loopback(host) is loopback
    assert not is_loopback("voice.example")


def test_hosts_are_kept_as_they_are_compared() -> None:
    """Without port, brackets and case, so that what somebody copies from a URL works."""
    config = Config(dev=True, allowed_hosts=["Voice.Example:443", "[::1]:7800", "2001:db8::5", "*"])
    assert config.allowed_hosts == ["voice.example", "::1", "2001:db8::5", "*"]
    with pytest.raises(ValidationError, match="host"):
        Config(dev=True, allowed_hosts=["https://voice.example/"])


def test_trusted_proxies_are_networks() -> None:
    """Addresses and CIDR; a name could mean anybody."""
    assert Config(dev=True, trusted_proxies=["10.0.0.0/8", "::1"]).trusted_proxies == ["10.0.0.0/8", "::1"]
    with pytest.raises(ValidationError):
        Config(dev=True, trusted_proxies=["proxy.example"])
