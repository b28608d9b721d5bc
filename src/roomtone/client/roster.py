"""Who is in the room and what they publish, kept up to date from a snapshot and the events after it."""

from __future__ import annotations

from roomtone.protocol.messages import (
    ParticipantInfo,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    RoomSnapshot,
    ServerMessage,
    Speakers,
    TrackClosed,
    TrackInfo,
    TrackOpened,
    TrackUpdated,
)


class Roster:
    """participants by participant id, tracks by track id, speakers as participant ids, loudest first."""

    def __init__(self) -> None:
        self.participants: dict[str, ParticipantInfo] = {}
        self.tracks: dict[int, TrackInfo] = {}
        self.speakers: list[str] = []
        self.name = ""
        self.metadata = ""

    def load(self, snapshot: RoomSnapshot) -> None:
        """Begin again from `snapshot`."""
        self.name = snapshot.name
        self.metadata = snapshot.metadata
        self.participants = {one.participant_id: one for one in snapshot.participants}
        self.tracks = {track.track: track for track in snapshot.tracks}
        self.speakers = list(snapshot.speakers)

    def apply(self, message: ServerMessage) -> None:
        """One message from the server; most change nothing here."""
        if isinstance(message, ParticipantJoined | ParticipantUpdated):
            self.participants[message.participant.participant_id] = message.participant
        elif isinstance(message, ParticipantLeft):
            self.participants.pop(message.participant_id, None)
            gone = [track for track, info in self.tracks.items() if info.participant_id == message.participant_id]
            for track in gone:
                del self.tracks[track]
        elif isinstance(message, TrackOpened | TrackUpdated):
            self.tracks[message.track.track] = message.track
        elif isinstance(message, TrackClosed):
            self.tracks.pop(message.track, None)
        elif isinstance(message, Speakers):
            self.speakers = [speaker.participant_id for speaker in message.speakers]

    def identity(self, participant_id: str) -> str:
        """The identity of a participant; the id itself for one that is hidden."""
        info = self.participants.get(participant_id)
        return info.identity if info is not None else participant_id
