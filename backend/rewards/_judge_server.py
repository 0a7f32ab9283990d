"""Settings of a judge on a server: where it is, how it samples, and what it may cost."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from backend.config import Config as Settings


class Server(Settings):
    """Where the judge is, how it samples, and what it may cost."""

    HANDLING: ClassVar = frozenset(
        {
            "concurrency",
            "timeout_s",
            "retries",
            "backoff_s",
            "breaker",
            "price_in",
            "price_out",
            "budget_tokens",
            "budget_money",
        }
    )
    """Settings that no answer depends on, and so no version either."""

    address: str = Field(default="", title="Address")
    """The server up to its version, such as https://example.org/v1 or http://127.0.0.1:8000/v1."""
    model: str = Field(default="", title="Model")
    """The model's name at the server."""
    revision: str = Field(default="", title="Revision")
    """Which weights the server has under that name; change it with them, and what they say is a new
    series."""
    server: Literal["vllm", "openai", "plain", "systemone"] = Field(default="vllm", title="Server")
    """vllm: constrains answers by `structured_outputs`; openai: by `response_format`, as hosted
    ones and SGLang do; plain: answers are free text; systemone: `transformers serve`."""
    temperature: float = Field(default=0.0, ge=0, le=2, title="Temperature")
    """Of the judge's sampling; 0 always takes the likeliest word."""
    top_p: float = Field(default=1.0, gt=0, le=1, title="Top p")
    """Of the judge's sampling."""
    seed: int = Field(default=0, ge=0, title="Seed")
    """Of the judge's sampling; vote n has seed + n."""
    max_tokens: int = Field(
        default=512, ge=1, title="Longest answer", json_schema_extra={"unit": "tokens"}
    )
    """An answer that is cut off here is no answer."""
    votes: int = Field(default=1, ge=1, le=16, title="Votes")
    """How often the same question is asked with other seeds; the mean counts, each is kept."""
    concurrency: int = Field(default=8, ge=1, le=256, title="Calls at a time")
    """How many calls may be under way."""
    timeout_s: float = Field(
        default=60.0, gt=0, title="Time limit", json_schema_extra={"unit": "s"}
    )
    """Of one call from end to end; about four times the 95th percentile is right."""
    retries: int = Field(default=3, ge=0, le=10, title="Retries")
    """After a refusal (429, 5xx, no connection), with growing pauses."""
    backoff_s: float = Field(
        default=0.5, ge=0, title="First pause", json_schema_extra={"unit": "s"}
    )
    """Before the first retry; it doubles, and varies by half."""
    breaker: int = Field(default=10, ge=1, title="Failures in a row")
    """After which nothing is asked for half a minute."""
    price_in: float = Field(default=0.0, ge=0, title="Price of a million tokens read")
    """In whatever currency the budget is."""
    price_out: float = Field(default=0.0, ge=0, title="Price of a million tokens written")
    """In whatever currency the budget is."""
    budget_tokens: int = Field(default=0, ge=0, title="Budget in tokens")
    """Nothing more is asked when it is spent; 0 sets none."""
    budget_money: float = Field(default=0.0, ge=0, title="Budget in money")
    """Nothing more is asked when it is spent; 0 sets none."""

    looks: int = Field(default=0, ge=0, le=3, title="Closer looks")
    """How often it may ask for a part of a picture before it answers; each is a call of its own.
    For questions that are answered in free text."""
    frames: int = Field(default=1, ge=1, le=64, title="Frames")
    """With closer looks: how many frames lie side by side in a picture that is a film strip."""
