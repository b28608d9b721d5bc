"""Active speakers from levels alone: attack, release, hysteresis, thresholds, ranking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.room.speakers import ACTIVE_LEVEL, INTERVAL_S, ActiveSpeakers


class Scene:
    """Talkers that send a packet every 20 ms, or pause; the speakers are updated after each."""

    def __init__(self, *names: str) -> None:
        self.speakers = ActiveSpeakers()
        self.now = 0.0
        self.changes: list[tuple[float, set[str]]] = []
        for track, name in enumerate(names):
            self.speakers.add(track, name)
        self.speakers.update(0.0)

    def play(self, seconds: float, *levels: int | None, voice: bool = True) -> None:
        for _ in range(round(seconds / 0.02)):
            self.now += 0.02
            for track, level in enumerate(levels):
                if level is not None:
                    self.speakers.observe(track, level, voice, self.now)
            changed = self.speakers.update(self.now)
            if changed:
                self.changes.append((round(self.now, 2), changed))

    def speaking(self) -> list[str]:
        return [name for name, _ in self.speakers.speaking()]


def test_a_speaker_is_noticed_within_200_ms_and_dropped_within_a_second() -> None:
    """The attack is quick, the release slow."""
    scene = Scene("ada")
    scene.play(2, 127)
    scene.play(2, 20)
    scene.play(2, 127)
    (began, who), (ended, who_else) = scene.changes
    assert who == who_else == {"ada"}
    assert 2.1 <= began <= 2.2
    assert 4.5 <= ended <= 5.0


def test_pauses_between_words_do_not_flap() -> None:
    """400 ms of silence in every second change nothing after the beginning."""
    scene = Scene("ada")
    for _ in range(60):
        scene.play(0.6, 22)
        scene.play(0.4, 80)
    assert len(scene.changes) == 1


def test_a_sender_that_sends_nothing_in_silence_is_dropped_too() -> None:
    """Discontinuous transmission leaves no packet that could say that it is quiet."""
    scene = Scene("ada")
    scene.play(1, 20)
    assert scene.speaking() == ["ada"]
    scene.play(1, None)
    assert scene.speaking() == []


def test_a_click_is_not_speech() -> None:
    """One loud packet in an interval is not enough, however often it comes."""
    scene = Scene("ada")
    for _ in range(50):
        scene.play(0.02, 5)
        scene.play(0.18, 70)
    assert scene.changes == []


@pytest.mark.parametrize(
    ("level", "voice"), [(127, True), (127, False), (ACTIVE_LEVEL + 1, True), (10, False), (0, False)]
)
def test_silence_noise_and_quiet_rooms_do_not_speak(level: int, voice: bool) -> None:
    """It takes the voice bit and a level over the threshold."""
    scene = Scene("ada")
    scene.play(5, level, voice=voice)
    assert scene.changes == []
    assert scene.speaking() == []


def test_the_threshold_itself_speaks() -> None:
    """ACTIVE_LEVEL or louder."""
    scene = Scene("ada")
    scene.play(1, ACTIVE_LEVEL)
    assert scene.speakers.speaking() == (("ada", ACTIVE_LEVEL),)


def test_levels_are_smoothed_and_the_loudest_comes_first() -> None:
    """A jump of 20 dB arrives over some hundred milliseconds."""
    scene = Scene("ada", "bob")
    scene.play(1, 30, 25)
    assert scene.speakers.speaking() == (("bob", 25), ("ada", 30))
    scene.play(0.1, 10, 25)
    assert 20 < dict(scene.speakers.speaking())["ada"] < 30
    scene.play(2, 10, 25)
    assert scene.speakers.speaking() == (("ada", 10), ("bob", 25))


def test_a_participant_is_as_loud_as_its_loudest_track() -> None:
    """Two tracks, one entry."""
    scene = Scene("ada", "ada")
    scene.play(1, 30, 15)
    assert scene.speakers.speaking() == (("ada", 15),)
    assert scene.speakers.ranking == ["ada"]


def test_the_ranking_keeps_the_most_recent_speakers_in_front() -> None:
    """Silence alone moves nobody; a speaker goes before all who are silent."""
    scene = Scene("ada", "bob", "cy")
    scene.play(1, 90, 90, 20)
    assert scene.speakers.ranking == ["cy", "ada", "bob"]
    scene.play(5, 90, 90, 90)
    assert scene.speakers.ranking == ["cy", "ada", "bob"]
    scene.play(1, 90, 20, 90)
    assert scene.speakers.ranking == ["bob", "cy", "ada"]


def test_of_two_speakers_only_a_clearly_louder_one_overtakes() -> None:
    """5 dB do not, 7 do."""
    scene = Scene("ada", "bob")
    scene.play(3, 25, 20)
    assert scene.speakers.ranking == ["ada", "bob"]
    scene.play(3, 27, 20)
    assert scene.speakers.ranking == ["bob", "ada"]


def test_closed_tracks_leave_the_ranking_with_their_owners_last_one() -> None:
    """And the owner is told as changed at the next update."""
    scene = Scene("ada", "ada", "bob")
    scene.play(1, 20, 20, 90)
    scene.speakers.remove(0)
    assert "ada" in scene.speakers.ranking
    scene.speakers.remove(1)
    scene.speakers.remove(1)
    assert scene.speakers.ranking == ["bob"]
    assert scene.speakers.update(scene.now + INTERVAL_S) == {"ada"}


def test_it_says_when_it_has_work() -> None:
    """None without tracks, else an interval after the last update; earlier updates do nothing."""
    speakers = ActiveSpeakers()
    assert speakers.next_update() is None
    speakers.add(1, "ada")
    speakers.update(5.0)
    assert speakers.next_update() == pytest.approx(5.0 + INTERVAL_S)
    speakers.remove(1)
    assert speakers.next_update() is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 127), st.booleans(), st.floats(0, 2)), max_size=200))
def test_the_changes_always_add_up_to_who_speaks(steps: list[tuple[int, int, bool, float]]) -> None:
    """Whatever comes in, and however late: applying each change to the set gives the set, and nobody is lost."""
    speakers = ActiveSpeakers()
    for track in range(4):
        speakers.add(track, f"p{track % 3}")
    now = 0.0
    told: set[str] = set()
    for track, level, voice, wait_s in steps:
        now += wait_s
        speakers.observe(track, level, voice, now)
        told ^= speakers.update(now)
        assert told == {name for name, _ in speakers.speaking()}
        assert sorted(speakers.ranking) == ["p0", "p1", "p2"]
        assert all(0 <= level <= ACTIVE_LEVEL for _, level in speakers.speaking())
