from __future__ import annotations

from roomtone.protocol.reports import MAX_REPORTED_TRACKS, ReceiveLog


def test_silence_needs_no_report() -> None:
    """Without a frame nothing is due, at any time."""
    log = ReceiveLog(0.0)
    assert log.next_deadline() is None
    assert log.due(100.0) is None


def test_interval() -> None:
    """A report is due half a second after the last one, and only if something came since."""
    log = ReceiveLog(10.0)
    log.note(2, 40)
    assert log.next_deadline() == 10.5
    assert log.due(10.4) is None
    report = log.due(10.5)
    assert report is not None
    assert (report.received, report.sequences) == (1, {2: 40})
    assert log.next_deadline() is None
    log.note(3, 7)
    log.note(3, 8)
    assert log.next_deadline() == 11.0
    report = log.due(12.0)
    assert report is not None
    assert (report.received, report.sequences) == (3, {3: 8})


def test_newest_on_the_circle() -> None:
    """65,535 is older than 0; an old frame counts as received, but is not the newest."""
    log = ReceiveLog(0.0, interval_s=0)
    for sequence in (65_534, 0, 65_535):
        log.note(1, sequence)
    report = log.due(0.0)
    assert report is not None
    assert (report.received, report.sequences) == (3, {1: 0})
    log.note(1, 65_535)
    report = log.due(0.0)
    assert report is not None
    assert (report.received, report.sequences) == (4, {})


def test_forgotten_tracks_begin_anew() -> None:
    """A track id that is given again may begin at any number."""
    log = ReceiveLog(0.0, interval_s=0)
    log.note(1, 500)
    log.forget(1)
    log.note(1, 20)
    report = log.due(0.0)
    assert report is not None
    assert report.sequences == {1: 20}


def test_many_tracks_take_turns() -> None:
    """A report has a bound; what did not fit comes with the next."""
    log = ReceiveLog(0.0, interval_s=0)
    for track in range(MAX_REPORTED_TRACKS + 3):
        log.note(track, 1)
    first = log.due(0.0)
    log.note(0, 2)
    second = log.due(0.0)
    assert first is not None
    assert second is not None
    assert len(first.sequences) == MAX_REPORTED_TRACKS
    assert second.sequences == {256: 1, 257: 1, 258: 1, 0: 2}
