"""Talk with everybody in a room: microphone and loudspeaker, mute by M and Enter, who speaks on the screen.

    pip install 'roomtone[microphone]'
    python examples/voice_chat.py http://127.0.0.1:7800 "$(roomtone token --dev --identity ada --room lobby)"

Without a sound device: `--say FILE` talks from a file, `--silent` listens without a loudspeaker.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

import roomtone


async def play(room: roomtone.Room, *, silent: bool) -> None:
    """The mixed room to the loudspeaker."""
    speaker: Any = None
    if not silent:
        import sounddevice

        speaker = sounddevice.RawOutputStream(samplerate=48_000, channels=1, dtype="int16", latency="low")
        speaker.start()
    try:
        async for frame in room.mix():
            if speaker is not None:
                await asyncio.to_thread(speaker.write, frame.pcm.tobytes())
    finally:
        if speaker is not None:
            speaker.close()


async def tell(room: roomtone.Room) -> None:
    """Who comes, goes and speaks."""
    async for event in room.events():
        match event:
            case roomtone.ParticipantJoined(participant=who):
                print(f"{who.identity} is here")
            case roomtone.ParticipantLeft(identity=identity, reason=reason):
                print(f"{identity} has {reason}")
            case roomtone.Speakers():
                print("speaking:", ", ".join(room.speakers) or "nobody")
            case roomtone.StateChanged(state=state):
                print(state)


async def obey(track: roomtone.LocalTrack) -> None:
    """M and Enter mutes and unmutes; Q and Enter, or the end of the input, leaves."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        async for line in reader:
            match line.strip().lower():
                case b"m":
                    await (track.unmute() if track.muted else track.mute())
                    print("muted" if track.muted else "live")
                case b"q":
                    return
    finally:
        pipe.close()


async def talk(url: str, token: str, say: str | None, *, silent: bool) -> None:
    async with roomtone.connect(url, token) as room:
        print(f"in {room.name}:", ", ".join(sorted(room.participants)))
        source = say if say is not None else roomtone.Microphone()
        track = await room.publish(source, name="microphone")
        helpers = [asyncio.create_task(play(room, silent=silent)), asyncio.create_task(tell(room))]
        try:
            await obey(track)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Talk with everybody in a room.")
    parser.add_argument("url", help="the server, as http://127.0.0.1:7800")
    parser.add_argument("token", help="may publish and subscribe")
    parser.add_argument("--say", metavar="FILE", help="talk from a file instead of the microphone")
    parser.add_argument("--silent", action="store_true", help="no loudspeaker")
    arguments = parser.parse_args()
    try:
        asyncio.run(talk(arguments.url, arguments.token, arguments.say, silent=arguments.silent))
    except roomtone.RoomtoneError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
