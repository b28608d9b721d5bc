"""The server's settings: flags over environment (ROOMTONE_*) over roomtone.toml over these defaults."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from roomtone.server.access import host_name
from roomtone.server.access import is_loopback as is_loopback  # for those who ask what a configured host means
from roomtone.server.auth import DEV_KEY, Key

CONFIG_FILE = "roomtone.toml"
DEFAULT_PORT = 7800


class KeyConfig(BaseModel):
    """One trusted key: an HS256 `secret`, or the `public_key` (PEM, or a path to it) of an EdDSA pair."""

    model_config = ConfigDict(extra="forbid")

    id: str
    algorithm: Literal["HS256", "EdDSA"] = "HS256"
    secret: SecretStr | None = None
    public_key: str | None = None

    def key(self) -> Key:
        """Raises ValueError where the material is missing or too weak."""
        if self.algorithm == "HS256":
            if self.secret is None:
                raise ValueError(f"key {self.id!r} is HS256 and has no secret")
            return Key(self.id, "HS256", self.secret.get_secret_value())
        if self.public_key is None:
            raise ValueError(f"key {self.id!r} is EdDSA and has no public_key")
        material = self.public_key
        if "-----BEGIN" not in material:
            material = Path(material).read_text(encoding="ascii")
        return Key(self.id, "EdDSA", material)


class Config(BaseSettings):
    """Everything `roomtone serve` can be told. Limits carry their unit in their name."""

    model_config = SettingsConfigDict(
        env_prefix="ROOMTONE_", toml_file=CONFIG_FILE, extra="forbid", frozen=True, validate_default=False
    )

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(DEFAULT_PORT, ge=0, le=65535, description="one port for HTTP and WebSocket; 0 picks one")
    dev: bool = Field(False, description="trust the well-known development key; loopback only")
    allow_remote_dev: bool = Field(False, description="let --dev listen on an address others can reach")
    api_key: str | None = Field(None, description="id of an HS256 key, with api_secret")
    api_secret: SecretStr | None = Field(None, description="secret of that key, at least 32 bytes")
    keys: list[KeyConfig] = Field(default_factory=list, description="further keys: HS256 secrets, EdDSA public keys")
    tls_cert: Path | None = Field(None, description="PEM certificate chain: serve https and wss")
    tls_key: Path | None = Field(None, description="PEM private key of tls_cert")
    allowed_origins: list[str] = Field(
        default_factory=list, description='web origins that may connect besides our own; "*" for any'
    )
    allowed_hosts: list[str] = Field(
        default_factory=list,
        description="Host names to answer to; empty: loopback names on loopback, else any",
    )
    trusted_proxies: list[str] = Field(
        default_factory=list,
        description="addresses and networks whose X-Forwarded-For is believed, for the limit per address",
    )

    max_connections: int = Field(10_000, ge=1, description="WebSocket connections in all")
    max_connections_per_ip: int = Field(500, ge=1, description="WebSocket connections from one address")
    max_rooms: int = Field(1_000, ge=1, description="rooms at once")
    max_participants_per_room: int = Field(2_000, ge=1, description="a room's capacity, where none is given")
    max_tracks_per_participant: int = Field(8, ge=1, le=64)
    max_track_bitrate_bps: int = Field(1_000_000, ge=6_000, description="more is dropped; 48 kHz PCM is 768,000")
    max_control_messages_per_s: int = Field(100, ge=10, description="a session's text messages")
    max_control_bytes_per_s: int = Field(262_144, ge=65_536, description="a connection's text messages, in bytes")
    auto_create_rooms: bool = Field(True, description="joining makes the room; else only the room_create grant does")
    empty_room_timeout_s: float = Field(60, ge=0, description="a room nobody is in goes after this")
    reconnect_grace_s: float = Field(30, ge=0, description="a dropped connection keeps its seat so long")
    drain_timeout_s: float = Field(10, ge=0, description="how long a stopping server waits for its sessions")
    drain_url: str | None = Field(None, description="where a stopping server sends its clients; back here without")
    receive_report_interval_ms: int = Field(500, ge=100, le=5_000)
    lag_drop_ms: int = Field(1_000, ge=200, description="a listener so far behind loses its oldest audio")
    lag_close_ms: int = Field(10_000, ge=1_000, description="a listener so far behind is closed")

    media_dir: Path | None = Field(None, description="streams may play files below it; none without")
    allow_private_stream_urls: bool = Field(False, description="let streams fetch from private addresses")
    max_streams: int = Field(100, ge=0, description="server-side streams at once")
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: list[str]) -> list[str]:
        return [one.rstrip("/").lower() for one in value]

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, value: list[str]) -> list[str]:
        """Names are compared without port and brackets, so they are kept without."""
        names = [host_name(f"[{one}]" if one.count(":") > 1 and "[" not in one else one) for one in value]
        for one, name in zip(value, names, strict=True):
            if not name:
                raise ValueError(f"{one!r} is not a host name")
        return names

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, value: list[str]) -> list[str]:
        for one in value:
            ipaddress.ip_network(one)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if self.dev and not self.allow_remote_dev and not is_loopback(self.host):
            raise ValueError(
                f"--dev trusts a key that everybody knows, so it listens on loopback only, not on {self.host}; "
                "use your own keys, or add --allow-remote-dev if nobody else can reach this network"
            )
        if (self.api_key is None) != (self.api_secret is None):
            raise ValueError("api_key and api_secret go together")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        for path in (self.tls_cert, self.tls_key):
            if path is not None and not path.is_file():
                raise ValueError(f"{path} is not a file")
        if self.media_dir is not None and not self.media_dir.is_dir():
            raise ValueError(f"media_dir {self.media_dir} is not a directory")
        if self.lag_close_ms <= self.lag_drop_ms:
            raise ValueError("lag_close_ms has to be over lag_drop_ms")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    def trusted_keys(self) -> list[Key]:
        """The keys whose tokens open doors. Raises ValueError when one is malformed or there is none."""
        keys = [entry.key() for entry in self.keys]
        if self.api_key is not None and self.api_secret is not None:
            keys.append(Key(self.api_key, "HS256", self.api_secret.get_secret_value()))
        if self.dev:
            keys.append(DEV_KEY)
        if not keys:
            raise ValueError(
                "no key is configured, so nobody could join: set ROOMTONE_API_KEY and ROOMTONE_API_SECRET, "
                "add [[keys]] to roomtone.toml, or start with --dev"
            )
        return keys


def load_config(file: Path | None = None, **overrides: Any) -> Config:
    """Settings from `overrides`, the environment and `file` (./roomtone.toml where it exists).

    Raises pydantic.ValidationError for a wrong value or an unknown key, FileNotFoundError for a named file
    that is missing.
    """
    if file is None:
        return Config(**overrides)
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist")

    class FromFile(Config):
        model_config = SettingsConfigDict(toml_file=file)

    return FromFile(**overrides)
