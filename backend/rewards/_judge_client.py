"""One client for judges on a server: vLLM, SGLang, hosted ones, and `transformers serve`.

What it holds to:

- No answer is made up. Whatever is no whole answer is a reply without data and with a reason.
- Nothing is judged twice at cost. An answer is kept by the content of its question; a question is
  asked again only where the server cannot have worked on it (no connection, 429, 5xx). One that
  broke off or ran out of time may have been charged, so it is given up.
- Nothing gets stuck. Every call has a time limit from end to end, so many are under way at once and
  no more, and after so many failures in a row the next ones fail at once until a pause is over.
- A budget in tokens and in money is never exceeded by more than the calls under way.

Sampling parameters are always sent: servers otherwise take those of the model's own settings.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import random
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from PIL import Image
from pydantic import Field

from backend.config import Config as Settings
from backend.errors import EnvironmentProblem
from backend.hooks import check_address

if TYPE_CHECKING:
    import httpx

    from backend.rewards.interface import Images

LARGEST: Final = 1_000_000
"""Bytes of an answer that are read."""
KEPT: Final = 20_000
PAUSE_S: Final = 30.0
"""How long nothing is asked after too many failures in a row."""
LONGEST_WAIT_S: Final = 20.0
"""The most that a server's Retry-After is obeyed."""


class Server(Settings):
    """Where the judge is, how it samples, and what it may cost."""

    address: str = Field(default="", title="Address")
    """The server up to its version, such as https://example.org/v1 or http://127.0.0.1:8000/v1."""
    model: str = Field(default="", title="Model")
    """The model's name at the server."""
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


@dataclass(frozen=True, slots=True)
class Call:
    """One question to the server."""

    path: str
    body: dict[str, Any]

    @property
    def key(self) -> str:
        """Hash of what is asked."""
        text = json.dumps([self.path, self.body], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Reply:
    """The server's answer, or why there is none; what it cost either way."""

    data: dict[str, Any] | None
    reason: str = ""
    tokens: int = 0


@dataclass
class Spent:
    """What was asked and what it took, since the client was made."""

    calls: int = 0
    tokens: int = 0
    money: float = 0.0
    failures: int = 0
    retries: int = 0
    by_reason: dict[str, int] = field(default_factory=dict)


class Client:
    """Asks a server, in batches; keeps answers, money and failures between them."""

    def __init__(self, settings: Server, key: str = "") -> None:
        check_address(settings.address, "address", "A judge cannot be asked at")
        self.settings, self._key = settings, key
        self.spent = Spent()
        self._kept: OrderedDict[str, Reply] = OrderedDict()
        self._in_a_row, self._shut_until, self._reserved = 0, 0.0, 0

    def ask(self, calls: Sequence[Call]) -> list[Reply]:
        """One reply a call, in order; equal questions are asked once."""
        if not self.settings.address:
            raise EnvironmentProblem(
                "This judge has no address; set where its server is, such as "
                "http://127.0.0.1:8000/v1."
            )
        fresh = {call.key: call for call in calls if call.key not in self._kept}
        found = dict(zip(fresh, asyncio.run(self._all(list(fresh.values()))), strict=True))
        return [found.get(call.key) or self._kept[call.key] for call in calls]

    async def _all(self, calls: Sequence[Call]) -> list[Reply]:
        import httpx

        gate = asyncio.Semaphore(self.settings.concurrency)
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        limits = httpx.Limits(max_connections=self.settings.concurrency)
        async with httpx.AsyncClient(
            headers=headers, timeout=None, limits=limits, trust_env=False, follow_redirects=False
        ) as client:
            return list(await asyncio.gather(*(self._one(client, gate, call) for call in calls)))

    async def _one(self, client: httpx.AsyncClient, gate: asyncio.Semaphore, call: Call) -> Reply:
        async with gate:
            reply, again = Reply(None, "was not asked"), True
            for attempt in range(self.settings.retries + 1):
                barred = self._barred(call)
                if barred:
                    return self._count(Reply(None, barred))
                reply, again, wait = await self._try(client, call)
                self._note(reply.data is not None)
                if not again:
                    break
                if attempt < self.settings.retries:
                    self.spent.retries += 1
                    await asyncio.sleep(max(wait, self._pause(attempt)))
            if not again:  # answered, or perhaps charged for: never asked twice
                self._kept[call.key] = reply
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return self._count(reply)

    async def _try(self, client: httpx.AsyncClient, call: Call) -> tuple[Reply, bool, float]:
        """A reply, whether asking again is free, and how long the server wants to be left alone."""
        import httpx

        size = self._size(call)
        self._reserved += size
        self.spent.calls += 1
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                status, wait, text = await self._read(client, call)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Reply(None, f"could not be reached ({type(error).__name__})"), True, 0.0
        except TimeoutError:
            why = f"gave no answer in {self.settings.timeout_s:g} s; it may have been charged"
            return Reply(None, why), False, 0.0
        except httpx.HTTPError as error:
            return Reply(None, f"broke off in its answer ({type(error).__name__})"), False, 0.0
        finally:
            self._reserved -= size
        if status == 429 or status >= 500:
            return Reply(None, f"refused with status {status}"), True, wait
        if status != 200:
            return Reply(None, f"answered with status {status}: {text[:120]}"), False, 0.0
        return self._understood(text), False, 0.0

    async def _read(self, client: httpx.AsyncClient, call: Call) -> tuple[int, float, str]:
        address = f"{self.settings.address.rstrip('/')}/{call.path}"
        async with client.stream("POST", address, json=call.body) as response:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > LARGEST:
                    break
            wait = response.headers.get("retry-after", "")
            seconds = min(float(wait), LONGEST_WAIT_S) if wait.isdigit() else 0.0
            return response.status_code, seconds, bytes(body).decode("utf-8", "replace")

    def _understood(self, text: str) -> Reply:
        try:
            data = json.loads(text)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            return Reply(None, "answered with something that is no JSON")
        used = data.get("usage")
        used = used if isinstance(used, dict) else {}
        read = _number(used.get("prompt_tokens", used.get("input_tokens")))
        wrote = _number(used.get("completion_tokens", used.get("output_tokens")))
        self.spent.tokens += read + wrote
        prices = self.settings.price_in, self.settings.price_out
        self.spent.money += (read * prices[0] + wrote * prices[1]) / 1e6
        return Reply(data, tokens=read + wrote)

    # ---- what may be asked

    def _barred(self, call: Call) -> str:
        """Why a call is not made; empty where it may be."""
        if time.monotonic() < self._shut_until:
            return f"was left alone after {self.settings.breaker} failures in a row"
        budget = self.settings.budget_tokens
        if budget and self.spent.tokens + self._reserved + self._size(call) > budget:
            return f"was not asked: the budget of {budget:,} tokens is spent"
        money = self.settings.budget_money
        if money and self.spent.money >= money:
            return f"was not asked: the budget of {money:g} is spent"
        return ""

    def _size(self, call: Call) -> int:
        """Tokens a call is expected to take: what calls took on average, or its limit."""
        answered = max(self.spent.calls - self.spent.failures, 1)
        return max(int(call.body.get("max_tokens", 1)), self.spent.tokens // answered)

    def _note(self, good: bool) -> None:
        self._in_a_row = 0 if good else self._in_a_row + 1
        if self._in_a_row >= self.settings.breaker:
            self._in_a_row, self._shut_until = 0, time.monotonic() + PAUSE_S

    def _count(self, reply: Reply) -> Reply:
        if reply.data is None:
            self.spent.failures += 1
            self.spent.by_reason[reply.reason] = self.spent.by_reason.get(reply.reason, 0) + 1
        return reply

    def _pause(self, attempt: int) -> float:
        varied: float = self.settings.backoff_s * random.uniform(0.5, 1.5)
        return varied * float(2**attempt)


def picture_url(picture: Images) -> str:
    """A picture (H, W, 3) as a data URL; always PNG, so that what is judged is what was drawn."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
