"""Closer looks: a judge may ask for a part of a picture, or for one frame of a film strip.

    Look: picture 1, 0.2 0.2 0.6 0.6        left, top, right, bottom as shares of its size
    Frame: picture 2, 3                     the third of the frames that lie side by side

Each look is a question of its own, with what was said before it: it is counted, paid for and kept
as every other. A judge that asks for more than it may has not answered. Structure of ARM-Thinker
and VR-Thinker; the words are ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PIL import Image

from backend.rewards._judge_client import Call, picture
from backend.rewards.interface import Images

MAY_LOOK: Final = (
    "\nIf you must see a part of a picture closer before you can answer, reply with nothing but "
    "one line 'Look: picture 1, left top right bottom', each a number from 0 to 1. "
)
MAY_FRAME: Final = (
    "Each picture is a strip of {frames} frames; to see one of them in full, reply with nothing "
    "but one line 'Frame: picture 1, 2'. "
)
LIMIT: Final = "You may do so {looks} times, then you must answer."
LEAST: Final = 0.02
"""A part is at least this share of the picture, each way."""

_LOOK: Final = re.compile(
    r"\s*look\s*:\s*picture\s*(\d+)\s*,\s*" + r"[ ,]+".join([r"(\d*\.?\d+)"] * 4) + r"\s*\.?\s*",
    re.IGNORECASE,
)
_FRAME: Final = re.compile(r"\s*frame\s*:\s*picture\s*(\d+)\s*,\s*(\d+)\s*\.?\s*", re.IGNORECASE)
_ASKS: Final = re.compile(r"\s*(look|frame)\s*:", re.IGNORECASE)


@dataclass(frozen=True)
class Looks:
    """How often a judge may look closer, at strips of how many frames."""

    most: int
    frames: int = 1

    @property
    def told(self) -> str:
        """What the judge is told of it; nothing where it may not."""
        if not self.most:
            return ""
        frames = MAY_FRAME.format(frames=self.frames) if self.frames > 1 else ""
        return MAY_LOOK + frames + LIMIT.format(looks=self.most)

    def offered(self, call: Call) -> Call:
        """The question, with what the judge may do."""
        if not self.most:
            return call
        message = call.body["messages"][0]
        text, *rest = message["content"]
        content = [{**text, "text": text["text"] + self.told}, *rest]
        return replace(call, body={**call.body, "messages": [{**message, "content": content}]})

    def seen(self, text: str, pictures: Sequence[Images]) -> Images | str | None:
        """The part that an answer asks for, (h, w, 3); why there is none; None: it asks nothing."""
        if not _ASKS.match(text):
            return None
        look, frame = _LOOK.fullmatch(text), _FRAME.fullmatch(text)
        which = look or frame
        if which is None or not 1 <= int(which.group(1)) <= len(pictures):
            return "asked for a closer look at what is not there"
        pixels = pictures[int(which.group(1)) - 1]
        if look is not None:
            return _crop(pixels, [float(one) for one in look.groups()[1:]])
        return _frame(pixels, int(which.group(2)), self.frames)


def go_on(call: Call, said: str, seen: Images) -> Call:
    """The next question of a conversation: what was said, and the part that was asked for."""
    shown = {"type": "image_url", "image_url": {"url": picture(seen).url}}
    told = {"type": "text", "text": "This is the part."}
    messages = [
        *call.body["messages"],
        {"role": "assistant", "content": said},
        {"role": "user", "content": [told, shown]},
    ]
    return replace(call, body={**call.body, "messages": messages})


def _crop(pixels: Images, box: Sequence[float]) -> Images | str:
    """The part, drawn as large as the picture's longer side was."""
    left, top, right, bottom = box
    if not (max(box) <= 1 and right - left >= LEAST and bottom - top >= LEAST):
        return "asked for a closer look at what is no part of the picture"
    height, width = pixels.shape[:2]
    rows = slice(int(top * height), max(int(np.ceil(bottom * height)), int(top * height) + 1))
    columns = slice(int(left * width), max(int(np.ceil(right * width)), int(left * width) + 1))
    part = pixels[rows, columns]
    scale = max(height, width) / max(part.shape[:2])
    size = (max(round(part.shape[1] * scale), 1), max(round(part.shape[0] * scale), 1))
    return np.asarray(Image.fromarray(part).resize(size, Image.Resampling.LANCZOS))


def _frame(pixels: Images, number: int, frames: int) -> Images | str:
    if frames < 2 or not 1 <= number <= frames:
        return "asked for a frame that there is not"
    width = pixels.shape[1] // frames
    return np.ascontiguousarray(pixels[:, (number - 1) * width : number * width])
