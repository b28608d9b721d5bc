"""Stream a file, or a URL, into a room, once or for ever.

export TOKEN=$(roomtone token --dev --identity radio --room lobby)
python examples/stream_file.py http://127.0.0.1:7800 "$TOKEN" song.mp3 --loop
"""

from __future__ import annotations

import argparse
import asyncio

import roomtone


async def stream(url: str, token: str, source: str, *, loop: bool) -> None:
    async with roomtone.connect(url, token) as room:
        track = await room.publish(source, name="radio", content="music", loop=loop)
        print(f"streaming {source} into {room.name} as {room.identity}")
        await track.wait()
        print(f"{track.statistics.sent_frames} frames sent")


def main() -> None:
    parser = argparse.ArgumentParser(description="Stream a file or a URL into a room.")
    parser.add_argument("url", help="the server, as http://127.0.0.1:7800")
    parser.add_argument("token", help="may publish")
    parser.add_argument("source", help="path or http(s) URL of anything that PyAV reads")
    parser.add_argument("--loop", action="store_true", help="begin again at the end")
    arguments = parser.parse_args()
    try:
        asyncio.run(stream(arguments.url, arguments.token, arguments.source, loop=arguments.loop))
    except roomtone.RoomtoneError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
