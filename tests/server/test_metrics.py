"""What Prometheus reads."""

from __future__ import annotations

import asyncio

from prometheus_client.parser import text_string_to_metric_families

from roomtone.media.packet import Packet
from roomtone.server.loop_lag import BOUNDS_S, LoopLag
from tests.server.http import Api, calling, is_problem
from tests.server.test_api_participants import seat


async def scrape(api: Api) -> dict[tuple[str, str], float]:
    """(name, label value or "") to value."""
    reply = await api.with_token(None)("GET", "/metrics")
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


def packet(track: int, sequence: int) -> Packet:
    """Some packet."""
    return Packet(track, sequence, sequence * 960, b"frame")


async def test_packets_are_counted_in_and_out() -> None:
    """Published, delivered to each listener, dropped by reason."""
    async with calling() as api:
        ada, _, _ = seat(api.server, "ada"), seat(api.server, "bob"), seat(api.server, "eve")
        track = ada.open_track("opus", 0.0)
        for sequence in range(4):
            ada.publish(packet(track.id, sequence), 1.0)
        ada.mute(True, 1.0)
        ada.publish(packet(track.id, 4), 1.0)
        found = await scrape(api)
        assert found["roomtone_packets_received_total", ""] == 5
        assert found["roomtone_packets_delivered_total", ""] == 8
        assert found["roomtone_packets_dropped_total", "muted"] == 1
        assert found["roomtone_rooms", ""] == 1
        assert found["roomtone_participants", ""] == 3
        assert found["roomtone_tracks", ""] == 1


async def test_counters_outlive_their_room() -> None:
    """A counter that goes down would look like a restart."""
    async with calling() as api:
        ada = seat(api.server, "ada")
        track = ada.open_track("opus", 0.0)
        ada.publish(packet(track.id, 0), 1.0)
        assert (await scrape(api))["roomtone_packets_received_total", ""] == 1
        await api("DELETE", "/v1/rooms/lobby")
        found = await scrape(api)
        assert found["roomtone_packets_received_total", ""] == 1
        assert found["roomtone_rooms", ""] == 0


async def test_doors_counters_are_told() -> None:
    """Connections, closes by name, errors by code, refusals by reason."""
    async with calling() as api:
        door = api.server.door
        door.closed_by_name["bad_token"] += 2
        door.errors_by_code["invalid"] += 3
        door.refused_connections["max_connections"] += 1
        door.resumed_sessions = 4
        door.dropped_frames = 5
        found = await scrape(api)
        assert found["roomtone_connections_closed_total", "bad_token"] == 2
        assert found["roomtone_errors_sent_total", "invalid"] == 3
        assert found["roomtone_connections_refused_total", "max_connections"] == 1
        assert found["roomtone_resumed_sessions_total", ""] == 4
        assert found["roomtone_listener_dropped_frames_total", ""] == 5
        assert found["roomtone_connections", ""] == 0
        assert found["roomtone_streams", ""] == 0


async def test_the_process_is_told_of() -> None:
    """CPU time and resident memory, under the names that dashboards know."""
    async with calling() as api:
        found = await scrape(api)
        assert found["process_cpu_seconds_total", ""] > 0
        assert found["process_resident_memory_bytes", ""] > 1_000_000


async def test_scraping_from_elsewhere_needs_a_token() -> None:
    """A request that a proxy passed on is not from this machine; any valid token will do."""
    async with calling() as api:
        passed_on = {"X-Forwarded-For": "203.0.113.9"}
        is_problem(await api.with_token(None)("GET", "/metrics", headers=passed_on), 401, "no_token")
        assert (await api.granted(room="x")("GET", "/metrics", headers=passed_on)).status == 200


async def test_two_servers_have_metrics_of_their_own() -> None:
    """Nothing is registered globally."""
    async with calling() as one, calling() as other:
        seat(one.server, "ada")
        assert (await scrape(one))["roomtone_participants", ""] == 1
        assert (await scrape(other))["roomtone_participants", ""] == 0


def test_lag_is_put_into_buckets() -> None:
    """Cumulative counts, as Prometheus wants them; early is not late."""
    lag = LoopLag()
    for seconds in (-0.001, 0.0005, 0.02, 5.0):
        lag.add(seconds)
    buckets = dict(lag.buckets())
    assert buckets["0.001"] == 2
    assert buckets["0.01"] == 2
    assert buckets["0.025"] == 3
    assert buckets[str(BOUNDS_S[-1])] == 3
    assert buckets["+Inf"] == 4
    assert lag.sum_s == 5.0205


async def test_the_loop_is_measured_while_the_server_runs() -> None:
    """A blocked loop shows."""
    lag = LoopLag()
    lag.start()
    loop = asyncio.get_running_loop()
    try:
        until = loop.time() + 0.3
        while loop.time() < until:  # block on purpose
            pass
        await asyncio.sleep(0.01)
    finally:
        lag.stop()
    assert sum(lag.counts) == 1
    assert lag.sum_s > 0.1
