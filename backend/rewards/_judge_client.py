"""One client for judges on a server: vLLM, SGLang, hosted ones, and `transformers serve`.

What it holds to:

- No answer is made up. Whatever is no whole answer is a reply without data and with a reason.
- Nothing is judged twice at cost. An answer is kept by the content of its question, in a studio
  also beyond the process (`_judge_answers`); a question is asked again only where the server cannot
  have worked on it (no connection, 429, 5xx). One that broke off or ran out of time may have been
  charged, so it is given up.
- Nothing gets stuck. Every call has a time limit from end to end, so many are under way at once and
  no more, and after so many failures in a row the next ones fail at once until a pause is over.
- A budget in tokens and in money is never exceeded by more than the calls under way, in a run not
  by all of its workers together (`_judge_purse`).

Sampling parameters are always sent: servers otherwise take those of the model's own settings.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from PIL import Image

from backend.errors import EnvironmentProblem, PalateError
from backend.hooks import check_address
from backend.rewards._judge_answers import Answers, Ended, Known, Question, Reading
from backend.rewards._judge_purse import Budget, Pocket, Purse
from backend.rewards._judge_server import Server

if TYPE_CHECKING:
    import httpx

    from backend.rewards.interface import Images

log = logging.getLogger(__name__)

LARGEST: Final = 1_000_000
"""Bytes of an answer that are read."""
KEPT: Final = 20_000
PAUSE_S: Final = 30.0
"""How long nothing is asked after too many failures in a row."""
LONGEST_WAIT_S: Final = 20.0
"""The most that a server's Retry-After is obeyed."""
LOOK_S: Final = 0.25
"""How often is looked whether somebody else's question has its answer."""
LEFT: Final = "was being asked when its asker ended; it may have been charged"


class Picture(NamedTuple):
    """A picture as a data URL, and the hash of its pixels."""

    url: str
    digest: str


@dataclass(frozen=True, slots=True)
class Call:
    """One question to the server; the rest says what it is about."""

    path: str
    body: dict[str, Any]
    prompt: str = ""
    shown: tuple[Picture, ...] = ()
    vote: int = 0

    def question(self, server: Server) -> Question:
        """As it is noted: known by what is asked, of which weights, where."""
        text = json.dumps([self.path, self.body], sort_keys=True)
        told = [server.address.rstrip("/"), server.revision, text]
        first, second = ([one.digest for one in self.shown] + ["", ""])[:2]
        context = _hash(self.prompt) if self.prompt else ""
        return Question(_hash(*told), context, first, second, self.vote)


@dataclass(frozen=True, slots=True)
class Reply:
    """The server's answer, or why there is none; what it cost either way."""

    data: dict[str, Any] | None
    reason: str = ""
    tokens: int = 0
    money: float = 0.0
    key: str = ""
    """Of the question; empty where its answer was read before."""
    free: bool = False
    """The server turned the question away, as with a wrong key: it is not asked again by this
    process, and costs nothing when another one asks it."""
    charged: bool = False
    """The server may have worked on it, and did not say what that took."""


@dataclass
class Spent:
    """What was asked and what it took, since the client was made."""

    calls: int = 0
    tokens: int = 0
    money: float = 0.0
    failures: int = 0
    retries: int = 0
    known: int = 0
    """Questions whose answer was on record from an earlier process."""
    by_reason: dict[str, int] = field(default_factory=dict)


class Client:
    """Asks a server, in batches; keeps answers, money and failures between them."""

    def __init__(
        self,
        settings: Server,
        key: str = "",
        answers: Answers | None = None,
        purse: Purse | None = None,
    ) -> None:
        check_address(settings.address, "address", "A judge cannot be asked at")
        self.settings, self._key, self._answers = settings, key, answers
        self._purse = purse or Pocket(Budget(settings.budget_tokens, settings.budget_money))
        self.spent = Spent()
        self._kept: OrderedDict[str, Reply] = OrderedDict()
        self._in_a_row, self._shut_until = 0, 0.0

    def ask(self, calls: Sequence[Call], *, recorded: bool = True) -> list[Reply]:
        """One reply a call, in order; equal questions are asked once. What is not to be `recorded`
        is asked anew by every process, as a start check is."""
        if not self.settings.address:
            raise EnvironmentProblem(
                "This judge has no address; set where its server is, such as "
                "http://127.0.0.1:8000/v1."
            )
        asked = [call.question(self.settings) for call in calls]
        answers = self._answers if recorded else None
        self._remember(answers, [one.key for one in asked if one.key not in self._kept])
        found = {one.key: self._kept[one.key] for one in asked if one.key in self._kept}
        both = zip(asked, calls, strict=True)
        fresh = {one.key: (one, call) for one, call in both if one.key not in found}
        new = asyncio.run(self._all(answers, list(fresh.values())))
        found |= zip(fresh, new, strict=True)
        return [found[one.key] for one in asked]

    def knows(self, calls: Sequence[Call]) -> list[bool]:
        """Which of the answers are known, so that the server is not needed for them."""
        keys = [call.question(self.settings).key for call in calls]
        self._remember(self._answers, [key for key in keys if key not in self._kept])
        return [key in self._kept for key in keys]

    def read(self, readings: Sequence[Reading]) -> None:
        """Put what was read from new answers on record; without one there is nothing to do."""
        if self._answers is not None and readings:
            self._answers.read(readings)

    def _remember(self, answers: Answers | None, keys: Sequence[str]) -> None:
        """Take over what is on record; what somebody awaits is looked at when its turn comes."""
        if answers is not None and keys:
            for key, known in answers.known(keys).items():
                if known.awaited_s is None:
                    self.spent.known += 1
                    self._keep(key, Reply(known.data, known.reason))

    async def _all(
        self, answers: Answers | None, asked: Sequence[tuple[Question, Call]]
    ) -> list[Reply]:
        import httpx

        gate = asyncio.Semaphore(self.settings.concurrency)
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        limits = httpx.Limits(max_connections=self.settings.concurrency)
        async with httpx.AsyncClient(
            headers=headers, timeout=None, limits=limits, trust_env=False, follow_redirects=False
        ) as client:
            return list(
                await asyncio.gather(*(self._one(answers, client, gate, *one) for one in asked))
            )

    async def _one(
        self,
        answers: Answers | None,
        client: httpx.AsyncClient,
        gate: asyncio.Semaphore,
        question: Question,
        call: Call,
    ) -> Reply:
        async with gate:
            if answers is None:
                reply, again = await self._tried(client, call)
            else:
                reply, again = await self._on_record(answers, client, question, call)
            if not again:  # answered, or perhaps charged for: never asked twice
                self._keep(question.key, reply)
                reply = replace(reply, key=question.key)
            return self._count(reply)

    async def _on_record(
        self, answers: Answers, client: httpx.AsyncClient, question: Question, call: Call
    ) -> tuple[Reply, bool]:
        """As `_tried`, noted before and after; a question that cannot be noted is not asked."""
        try:
            known = await asyncio.to_thread(answers.begin, question)
            if known is not None:
                reply = await self._awaited(answers, question.key, known)
                return reply, reply.data is None
        except PalateError as error:
            return Reply(None, f"was not asked: {error}"), True
        began = time.monotonic()
        reply, again = await self._tried(client, call)
        took = time.monotonic() - began
        ended = Ended(question.key, reply.data, reply.reason, reply.tokens, reply.money, took)
        try:
            if again or reply.free:
                await asyncio.to_thread(answers.release, question.key)
            else:
                await asyncio.to_thread(answers.end, ended)
        except PalateError as error:  # the answer is here all the same
            log.warning("A judge's answer could not be put on record: %s", error)
        return reply, again

    async def _awaited(self, answers: Answers, key: str, known: Known) -> Reply:
        """The answer that somebody else awaits; given up when their time is up."""
        while known.awaited_s is not None and known.awaited_s < self.settings.timeout_s:
            await asyncio.sleep(LOOK_S)
            known = (await asyncio.to_thread(answers.known, [key])).get(key, Known(None, LEFT))
        return Reply(known.data, known.reason or ("" if known.data else LEFT))

    async def _tried(self, client: httpx.AsyncClient, call: Call) -> tuple[Reply, bool]:
        """A reply, after retries where those are free, and whether asking again later is free."""
        reply, again = Reply(None, "was not asked"), True
        for attempt in range(self.settings.retries + 1):
            aside = self._size(call)
            barred = self._barred() or await self._take(aside)
            if barred:
                return Reply(None, barred), True
            reply, again, wait = await self._try(client, call)
            kept = aside if reply.charged else reply.tokens
            await self._settle(aside, kept, reply.money)
            self._note(reply.data is not None)
            if not again:
                break
            if attempt < self.settings.retries:
                self.spent.retries += 1
                await asyncio.sleep(max(wait, self._pause(attempt)))
        return reply, again

    def _keep(self, key: str, reply: Reply) -> None:
        self._kept[key] = reply
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    async def _try(self, client: httpx.AsyncClient, call: Call) -> tuple[Reply, bool, float]:
        """A reply, whether asking again is free, and how long the server wants to be left alone."""
        import httpx

        self.spent.calls += 1
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                status, wait, text = await self._read(client, call)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Reply(None, f"could not be reached ({type(error).__name__})"), True, 0.0
        except TimeoutError:
            why = f"gave no answer in {self.settings.timeout_s:g} s; it may have been charged"
            return Reply(None, why, charged=True), False, 0.0
        except httpx.HTTPError as error:
            why = f"broke off in its answer ({type(error).__name__})"
            return Reply(None, why, charged=True), False, 0.0
        if status == 429 or status >= 500:
            return Reply(None, f"refused with status {status}"), True, wait
        if status != 200:
            why = f"answered with status {status}: {text[:120]}"
            return Reply(None, why, free=True), False, 0.0
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
        prices = self.settings.price_in, self.settings.price_out
        money = (read * prices[0] + wrote * prices[1]) / 1e6
        self.spent.tokens += read + wrote
        self.spent.money += money
        return Reply(data, tokens=read + wrote, money=money)

    # ---- what may be asked

    def _barred(self) -> str:
        """Why nothing is asked now; empty where it may be."""
        if time.monotonic() < self._shut_until:
            return f"was left alone after {self.settings.breaker} failures in a row"
        return ""

    async def _take(self, tokens: int) -> str:
        """Set tokens aside; a budget that cannot be looked at is not spent from."""
        if isinstance(self._purse, Pocket):
            return self._purse.take(tokens)
        try:
            return await asyncio.to_thread(self._purse.take, tokens)
        except PalateError as error:
            return f"was not asked: {error}"

    async def _settle(self, aside: int, tokens: int, money: float) -> None:
        if isinstance(self._purse, Pocket):
            return self._purse.settle(aside, tokens, money)
        try:
            await asyncio.to_thread(self._purse.settle, aside, tokens, money)
        except PalateError as error:  # what was set aside stays spent
            log.warning("What a judge took could not be put on record: %s", error)

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


def picture(pixels: Images) -> Picture:
    """A picture (H, W, 3) as it is sent: always PNG, so that what is judged is what was drawn."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    return Picture(url, digest(pixels))


def digest(pixels: Images) -> str:
    """The hash by which a judgement knows a picture (H, W, 3)."""
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def _hash(*told: str) -> str:
    return hashlib.blake2b("\0".join(told).encode(), digest_size=16).hexdigest()


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
