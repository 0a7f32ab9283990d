"""What a judge on a server is asked, in our own words, and how its answer is read.

A reader returns what was said, or the reason why nothing was; no reader guesses. Of two verdicts
that contradict each other neither counts; an answer that was cut off is no answer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from backend.rewards._judge_client import Call, Server

FIRST, SECOND, TIE, CANNOT = "first", "second", "tie", "cannot_judge"
CLIP: Final = 6.0
"""Bound of a yes against no in nats."""
TOP: Final = 20

POINT: Final = (
    "You judge a picture that was drawn for a text.\nText: {prompt}\n"
    "Check what the text names, one by one: things, numbers, colours, sizes, places, style. Say in "
    "one or two sentences what is right and what is wrong. Then end with the line "
    "'Final Score: N', where N is 1 if nothing is right and 5 if everything is."
)
YES: Final = (
    "Does the picture show everything that this text says, and nothing that contradicts it? "
    "Answer Yes or No only.\nText: {prompt}"
)
CHECKLIST: Final = (
    "Answer each question about the picture with true or false. The picture was drawn for the text "
    "'{prompt}'.\n{items}\nAnswer as JSON: {{\"answers\": [true, false, ...]}}, one for each."
)
CHOICE: Final = (
    "Two pictures were drawn for one text. Which fits it better? Check things, numbers, colours, "
    "sizes, places and style in both; their order means nothing.\nText: {prompt}\n"
    'Answer as JSON: {{"verdict": "first" | "second" | "tie" | "cannot_judge"}}.'
)
VERDICT: Final = (
    "Two pictures were drawn for one text. Compare how well each fits it: things, numbers, "
    "colours, sizes, places and style; their order means nothing.\nText: {prompt}\n"
    "Reason in at most four sentences, then end with exactly one of these lines: 'Image 1 is "
    "better', 'Image 2 is better', 'Both are equally good'."
)


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer says: a value, or None with the reason and whether the judge abstained."""

    value: float | None
    reason: str = ""
    abstains: bool = False
    parts: dict[str, float] = field(default_factory=dict)


# ---------------------------------------------------------------- asking


def chat(
    server: Server,
    text: str,
    pictures: Sequence[str],
    *,
    schema: dict[str, Any] | None = None,
    vote: int = 0,
    **more: Any,
) -> Call:
    """A chat question: the text first and pictures last, so that a server can keep the prefix."""
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    content += [{"type": "image_url", "image_url": {"url": url}} for url in pictures]
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
    return Call("chat/completions", body)


def typed(server: Server, question: dict[str, Any], pictures: Sequence[str]) -> Call:
    """A question of `transformers serve` at /v1/systemone; the pictures are its state."""
    assets = {
        f"picture-{i}": {"type": "image", "format": "png", "data_base64": url.split(",", 1)[1]}
        for i, url in enumerate(pictures, 1)
    }
    body = {"state": list(assets), "questions": {"q": question}, "assets": assets}
    return Call("systemone", {"model": server.model, **body})


def object_of(**properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


VERDICTS: Final = object_of(verdict={"type": "string", "enum": [FIRST, SECOND, TIE, CANNOT]})
CANARY: Final = object_of(verdict={"type": "string", "enum": ["north", "south"]})
CANARY_TEXT: Final = "Reply with the single word banana and nothing else."


def answers_of(num: int) -> dict[str, Any]:
    """The schema of a checklist's answers."""
    each = {"type": "array", "items": {"type": "boolean"}, "minItems": num, "maxItems": num}
    return object_of(answers=each)


# ---------------------------------------------------------------- reading


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


def read_point(text: str) -> Said:
    """The last "Final Score: N" of 1 to 5, as 0 to 1."""
    found = re.findall(r"final score\s*[:=]\s*\**\s*(-?\d+(?:\.\d+)?)", text, re.IGNORECASE)
    if not found:
        return Said(None, "gave no final score")
    if len({float(score) for score in found}) > 1:
        return Said(None, "gave two final scores")
    score = float(found[-1])
    if not 1 <= score <= 5:
        return Said(None, f"gave a score of {score:g}, which is not 1 to 5")
    return Said((score - 1) / 4)


def read_verdict(text: str) -> Said:
    """1 where the first is better, 0 where the second is, ½ for a tie."""
    found = re.findall(r"image\s*([12])\s*is\s*better|(equally good)", text, re.IGNORECASE)
    said = {"tie" if tie else which for which, tie in found}
    if not said:
        return Said(None, "gave no verdict")
    if len(said) > 1:
        return Said(None, "gave two verdicts")
    return Said({"1": 1.0, "2": 0.0, "tie": 0.5}[said.pop()])


def read_choice(text: str) -> Said:
    """As `read_verdict`, from {"verdict": ...}."""
    data = read_json(text)
    verdict = data.get("verdict") if isinstance(data, dict) else None
    if verdict == CANNOT:
        return Said(None, "cannot judge", abstains=True)
    value = {FIRST: 1.0, SECOND: 0.0, TIE: 0.5}.get(verdict) if isinstance(verdict, str) else None
    return Said(value, "" if value is not None else "gave no verdict")


def read_checklist(text: str, items: Sequence[str]) -> Said:
    """Share of the items that hold; 0 where an essential one, which begins with '!', does not."""
    data = read_json(text)
    answers = data.get("answers") if isinstance(data, dict) else None
    if not isinstance(answers, list) or len(answers) != len(items):
        return Said(None, f"did not answer each of {len(items)} questions")
    if not all(isinstance(answer, bool) for answer in answers):
        return Said(None, "answered a question with neither true nor false")
    parts = {item.lstrip("!").strip(): float(a) for item, a in zip(items, answers, strict=True)}
    essential = all(a for item, a in zip(items, answers, strict=True) if item.startswith("!"))
    return Said(sum(answers) / len(items) if essential else 0.0, parts=parts)


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
    return _yes(apart)


def read_typed(data: dict[str, Any], kind: str) -> Said:
    """The answer of /v1/systemone: the chance of "first", or of yes as its log odds."""
    try:
        answer = data["answers"]["q"]
        chance = answer["probabilities"][FIRST] if kind == "choice" else answer["noul"]
    except (KeyError, TypeError):
        return Said(None, "answered without probabilities")
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance <= 1:
        return Said(None, "gave a probability that is none")
    if kind == "choice":
        return Said(float(chance))
    near = min(max(float(chance), 1e-9), 1 - 1e-9)
    return _yes(math.log(near) - math.log1p(-near))


def _yes(apart: float) -> Said:
    value = min(max(apart, -CLIP), CLIP)
    return Said(value, parts={"probability": 1 / (1 + math.exp(-value))})


def read_json(text: str) -> Any:
    """The JSON of an answer, also inside a fence; None where there is none."""
    fenced = re.search(r"```(?:json)?\s*(.*?)```", text, re.DOTALL)
    try:
        return json.loads(fenced.group(1) if fenced else text)
    except ValueError:
        return None
