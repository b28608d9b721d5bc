"""What Prometheus reads: the counters that are kept anyway, put together at each scrape.

Nothing here is called for a frame or a message. docs/howto/operate.md lists the metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from roomtone.server.loop_lag import LoopLag

if TYPE_CHECKING:
    from roomtone.server.app import Server

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4


class Metrics(Collector):
    """One server's metrics, in a registry of their own: several servers may run in a process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.loop_lag = LoopLag()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def start(self) -> None:
        """Begin to measure the event loop's lag."""
        self.loop_lag.start()

    def stop(self) -> None:
        """Idempotent."""
        self.loop_lag.stop()

    def exposition(self) -> bytes:
        """The text format, version 0.0.4."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing beforehand: a server that has not started has nothing to read."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Called by the registry at each scrape."""
        yield from self._sessions()
        yield from self._rooms()
        yield from self._ends()
        yield self._lag()

    def _sessions(self) -> Iterator[Metric]:
        door = self._server.door
        participants = list(door.participants())
        yield _gauge("connections", "Open WebSocket connections.", len(door.connections))
        yield _gauge(
            "reconnecting_participants",
            "Participants whose connection is lost and whose seat is kept.",
            sum(one.connection is None for one in participants),
        )
        yield _counter("resumed_sessions", "Sessions that came back to their seat.", door.resumed_sessions)
        yield _counter(
            "listener_dropped_frames",
            "Audio frames thrown away since their listener lagged or was away.",
            door.dropped_frames + sum(one.dropped_frames for one in participants),
        )

    def _rooms(self) -> Iterator[Metric]:
        server = self._server
        totals = server.rooms.statistics
        yield _gauge("rooms", "Open rooms.", len(server.rooms))
        yield _gauge("participants", "Participants in all rooms, of every kind.", totals.participants)
        yield _gauge("tracks", "Open tracks in all rooms.", totals.tracks)
        yield _counter("packets_received", "Audio packets published.", totals.packets_in)
        yield _counter("packets_delivered", "Audio packets given to listeners, each counted.", totals.packets_delivered)
        yield _labelled("packets_dropped", "Published packets that went to nobody.", "reason", totals.packets_dropped)
        yield _counter(
            "overload_dropped_deliveries",
            "Deliveries to large rooms given up since the loop was overloaded.",
            server.spreader.dropped_deliveries,
        )
        yield _gauge("streams", "Streams that play now.", server.streams.running)
        yield _counter("streams_started", "Streams that began to play.", server.streams.started)
        yield _counter("streams_failed", "Streams that could not start, or broke off.", server.streams.failed)

    def _ends(self) -> Iterator[Metric]:
        door = self._server.door
        yield _labelled("connections_closed", "Closed connections.", "close", door.closed_by_name)
        yield _labelled("errors_sent", "Errors sent to clients.", "code", door.errors_by_code)
        yield _labelled("connections_refused", "Refused connections.", "reason", door.refused_connections)

    def _lag(self) -> Metric:
        lag = self.loop_lag
        family = HistogramMetricFamily("roomtone_event_loop_lag_seconds", "How late the event loop runs what is due.")
        family.add_metric([], lag.buckets(), lag.sum_s)
        return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"roomtone_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"roomtone_{name}", text, value=value)


def _labelled(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"roomtone_{name}", text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
