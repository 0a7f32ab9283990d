"""How a judge on a server is asked, and how any answer of it is read.

A reader returns what was said, or the reason why nothing was; no reader guesses. Of two verdicts
that contradict each other neither counts; an answer that was cut off is no answer. The questions
themselves, in our own words: `_judge_points` for one picture, `_judge_pairs` for two.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from backend.rewards._judge_client import Call, Picture
from backend.rewards._judge_server import Server

FIRST, SECOND, TIE, CANNOT = "first", "second", "tie", "cannot_judge"
CLIP: Final = 6.0
"""Bound of a yes against no in nats."""
TOP: Final = 20


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer says: a value, or None with the reason and whether the judge abstained."""

    value: float | None
    reason: str = ""
    abstains: bool = False
    parts: dict[str, float] = field(default_factory=dict)
    request: str = ""
    """Of a critique, what to ask of the generator instead."""


Reader = Callable[[dict[str, Any]], Said]
"""From a server's answer to what it says."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way to ask: the question, the shape of the answer, and who reads it."""

    text: str
    """With {prompt} where the prompt goes, and doubled braces elsewhere."""
    read: Reader
    schema: dict[str, Any] | None = None
    """Of the answer, where it is constrained; reasoning never is."""
    more: dict[str, Any] = field(default_factory=dict)
    """Settings of the call beside those of the server."""

    def call(self, server: Server, prompt: str, shown: Sequence[Picture], vote: int = 0) -> Call:
        """The question about these pictures."""
        text = self.text.format(prompt=prompt)
        return chat(server, text, shown, schema=self.schema, vote=vote, prompt=prompt, **self.more)


# ---------------------------------------------------------------- asking


def chat(
    server: Server,
    text: str,
    shown: Sequence[Picture],
    *,
    schema: dict[str, Any] | None = None,
    vote: int = 0,
    prompt: str = "",
    **more: Any,
) -> Call:
    """A chat question: the text first and pictures last, so that a server can keep the prefix."""
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    content += [{"type": "image_url", "image_url": {"url": one.url}} for one in shown]
    body: dict[str, Any] = {
        "model": server.model,
        "messages": [{"role": "user", "content": content}],
        "temperature": server.temperature,
        "top_p": server.top_p,
        "seed": server.seed + vote,
        "max_tokens": server.max_tokens,
        **more,
    }
    if schema is not None and server.server == "vllm":
        body["structured_outputs"] = {"json": schema}
    if schema is not None and server.server == "openai":
        told = {"name": "answer", "strict": True, "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": told}
    return Call("chat/completions", body, prompt, tuple(shown), vote)


def typed(server: Server, question: dict[str, Any], prompt: str, shown: Sequence[Picture]) -> Call:
    """A question of `transformers serve` at /v1/systemone; the pictures are its state."""
    assets = {
        f"picture-{i}": {
            "type": "image",
            "format": "png",
            "data_base64": one.url.split(",", 1)[1],
        }
        for i, one in enumerate(shown, 1)
    }
    body = {"state": list(assets), "questions": {"q": question}, "assets": assets}
    return Call("systemone", {"model": server.model, **body}, prompt, tuple(shown))


def object_of(**properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def array_of(each: dict[str, Any], least: int = 0, most: int | None = None) -> dict[str, Any]:
    """The schema of a list."""
    told: dict[str, Any] = {"type": "array", "items": each}
    if least:
        told["minItems"] = least
    if most is not None:
        told["maxItems"] = most
    return told


TEXT: Final = {"type": "string"}
WINNER: Final = {"type": "string", "enum": [FIRST, SECOND, TIE]}
VERDICTS: Final = object_of(verdict={"type": "string", "enum": [FIRST, SECOND, TIE, CANNOT]})
CANARY: Final = object_of(verdict={"type": "string", "enum": ["north", "south"]})
CANARY_TEXT: Final = "Reply with the single word banana and nothing else."


# ---------------------------------------------------------------- reading


def by_text(read: Callable[[str], Said]) -> Reader:
    """A reader of a chat answer's text."""

    def reader(data: dict[str, Any]) -> Said:
        text = text_of(data)
        return read(text) if isinstance(text, str) else text

    return reader


def by_json(read: Callable[[dict[str, Any]], Said]) -> Reader:
    """A reader of a chat answer that is a JSON object."""

    def reader(text: str) -> Said:
        data = read_json(text)
        return read(data) if isinstance(data, dict) else Said(None, "answered without JSON")

    return by_text(reader)


def text_of(data: dict[str, Any]) -> Said | str:
    """The text of a chat answer, or why there is none."""
    try:
        choice = data["choices"][0]
        text, ended = choice["message"]["content"], choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        return Said(None, "answered without a text")
    if not isinstance(text, str) or not text.strip():
        return Said(None, "answered with nothing")
    if ended == "length":
        return Said(None, "was cut off in its answer")
    return text


def read_json(text: str) -> Any:
    """The JSON of an answer, also inside a fence; None where there is none."""
    fenced = re.search(r"```(?:json)?\s*(.*?)```", text, re.DOTALL)
    try:
        return json.loads(fenced.group(1) if fenced else text)
    except ValueError:
        return None


def number(value: Any, low: float, high: float) -> float | None:
    """A number of a JSON answer, None where it is none or lies outside."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and low <= value <= high else None


def read_yes(data: dict[str, Any]) -> Said:
    """ln p(yes) − ln p(no), each summed over its spellings, within ±6.

    One that is not among the likeliest words is at most as likely as the least of them.
    """
    try:
        top = data["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        told = [(str(one["token"]), float(one["logprob"])) for one in top]
    except (KeyError, IndexError, TypeError, ValueError):
        return Said(None, "answered without the probabilities of its first word")
    mass = {"yes": 0.0, "no": 0.0}
    for token, logprob in told:
        word = token.strip(" \t\n▁Ġ.,!\"'").lower()
        if word in mass and math.isfinite(logprob):
            mass[word] += math.exp(min(logprob, 0.0))
    if not any(mass.values()):
        return Said(None, "said neither yes nor no")
    least = math.exp(min(min(logprob for _, logprob in told), 0.0)) or 1e-12
    apart = math.log(mass["yes"] or least) - math.log(mass["no"] or least)
    return yes_of(apart)


def read_typed(data: dict[str, Any], kind: str) -> Said:
    """The answer of /v1/systemone: the chance of "first", or of yes as its log odds."""
    try:
        answer = data["answers"]["q"]
        chance = answer["probabilities"][FIRST] if kind == "choice" else answer["noul"]
    except (KeyError, TypeError):
        return Said(None, "answered without probabilities")
    known = number(chance, 0, 1)
    if known is None:
        return Said(None, "gave a probability that is none")
    if kind == "choice":
        return Said(known)
    near = min(max(known, 1e-9), 1 - 1e-9)
    return yes_of(math.log(near) - math.log1p(-near))


def yes_of(apart: float) -> Said:
    """Log odds of yes within ±6, and the probability beside them."""
    value = min(max(apart, -CLIP), CLIP)
    return Said(value, parts={"probability": 1 / (1 + math.exp(-value))})
