"""Record what a room sounds like into a WAV file.

export TOKEN=$(roomtone token --dev --identity ear --room lobby)
python examples/listen_to_wav.py http://127.0.0.1:7800 "$TOKEN" heard.wav 10
"""

from __future__ import annotations

import argparse
import asyncio
import wave

import roomtone


async def listen(url: str, token: str, path: str, seconds: float) -> None:
    async with roomtone.connect(url, token) as room:
        with wave.open(path, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(48_000)
            left = round(seconds * 48_000)
            async for frame in room.mix():
                file.writeframes(frame.pcm[:left].astype("<i2").tobytes())
                left -= len(frame.pcm)
                if left <= 0:
                    break
        print(f"{seconds:g} s of {room.name} are in {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Record a room into a WAV file.")
    parser.add_argument("url", help="the server, as http://127.0.0.1:7800")
    parser.add_argument("token", help="may subscribe")
    parser.add_argument("path", help="the file to write")
    parser.add_argument("seconds", type=float, nargs="?", default=10.0)
    arguments = parser.parse_args()
    try:
        asyncio.run(listen(arguments.url, arguments.token, arguments.path, arguments.seconds))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
