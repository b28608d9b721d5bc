"""What a participant may do. Minted into tokens by server/auth, checked by the room at each command."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """publish/subscribe: send and hear audio. moderate: mute, promote, demote, remove others.

    hidden: others are not told of this participant. data: send room messages. room_create: joining may create
    the room; also the HTTP API's grant. ingress: start streams from URLs and files. agent: shown as an agent.
    """

    publish: bool = True
    subscribe: bool = True
    data: bool = True
    moderate: bool = False
    hidden: bool = False
    room_create: bool = False
    ingress: bool = False
    agent: bool = False
