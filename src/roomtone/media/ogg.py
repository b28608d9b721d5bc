"""Opus in Ogg: recordings and internet radio. See ogg_writer, ogg_reader and ogg_page for the parts."""

from __future__ import annotations

from roomtone.media.ogg_page import OpusHead
from roomtone.media.ogg_reader import OggOpusReader, OggPacket
from roomtone.media.ogg_writer import OggOpusWriter

__all__ = ["OggOpusReader", "OggOpusWriter", "OggPacket", "OpusHead"]
