"""Measures what pictures gain without training, and keeps the figures as the job's result.

The job walks between the queues: generate workers draw, score workers value, compare and
criticise. Each time it is taken up it goes through the ways from their beginning; what is drawn or
said already is in the store, and at the first thing that is not and belongs to the other queue it
moves there. A worker that dies, or a restart, therefore costs a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backend.errors import InputError
from backend.registry import rewards as kinds
from backend.rewards.interface import Floats, checked
from backend.rl import refining
from backend.services import jobs, policies, prompts, reward_sets, rewards, samples, untrained
from backend.services.policies import PolicySpec
from backend.services.samples import SampleFile
from backend.services.tickets import AT
from backend.services.untrained import Wanted
from backend.types import Pictures
from workers import models
from workers.drawing import Drawing, Wish
from workers.frame import JobFrame, run_job
from workers.sheets import stack

BATCH = 64
SHOWN = 24
"""Prompts whose pictures the page shows."""
DRAWING = 0.7
"""Share of the whole that drawing is, as progress is told."""


class Elsewhere(Exception):
    """The next part is for workers of this queue."""


def run(job_id: int, attempt: int) -> None:
    """Args: project_id and those of `backend.services.untrained.Wanted`."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """The figures, or that the job goes on in another queue."""
    try:
        return _Measuring(frame).done()
    except Elsewhere as queue:
        return {"ended": "moved", "queue": str(queue)}


class _Measuring:
    """One attempt's walk through the ways."""

    def __init__(self, frame: JobFrame) -> None:
        self.wanted = Wanted.of(frame.args)
        settings, studio = self.wanted.settings, frame.studio
        self.policy = policies.spec(studio, self.wanted.policy_id)
        self.texts = prompts.texts(studio, self.wanted.prompt_set_id, limit=settings.num_prompts)
        ways = 1 if self.wanted.critic_id is None else 3
        more = ways * len(self.texts) * (settings.rounds - 1)
        self.desk = _Desk(frame, jobs.get(studio, frame.job_id)["queue"], len(self.texts) + more)
        self.drawing = _Drawing(self.desk, settings.num_steps, settings.guidance)
        self.requests: dict[int, str] = {}
        """What was asked for, by sample."""

    def done(self) -> dict[str, Any]:
        """Draw all, then compare; raises Elsewhere."""
        words = [text for _id, text in self.texts]
        ids = {"picker": self.wanted.picker_id, "gold": self.wanted.gold_id}
        asked = {name: _Asked(self.desk, i) for name, i in ids.items() if i is not None}
        measures = {name: one.measure for name, one in asked.items()}
        ways: dict[str, refining.Ask] = {"best": refining.always}
        if self.wanted.critic_id is not None:
            critic = asked["critic"] = _Asked(self.desk, self.wanted.critic_id)
            ways |= {"again": refining.in_same_words(critic.requests), "refine": critic.requests}
        rounds = self.wanted.settings.rounds
        found = refining.refine(self.draw, measures["picker"], ways, words, rounds)
        rows = refining.rows(found, measures, words)
        apart = {}
        if "refine" in found:
            both = found["refine"], found["again"]
            apart = {
                name: refining.told(refining.apart(*both, one, words))
                for name, one in measures.items()
            }
        return {
            "prompts": len(words),
            "drawn": len(self.requests),
            "rows": rows,
            "apart": apart,
            "questions": {name: one.questions for name, one in asked.items()},
            "unanswered": {name: one.unanswered for name, one in asked.items()},
            "shown": self.shown(found),
        }

    def draw(self, requests: Sequence[str], which: Sequence[int], number: int) -> list[int]:
        """See `refining.Draw`; a prompt's noise in a round is that of its `number`-th picture."""
        wishes = [
            self._wish(self.texts[i], request, number)
            for request, i in zip(requests, which, strict=True)
        ]
        ids = self.drawing.draw(self.policy, wishes)
        self.requests |= dict(zip(ids, requests, strict=True))
        return ids

    def _wish(self, prompt: tuple[int, str], request: str, number: int) -> Wish:
        plain = Wish.of(prompt, self.wanted.settings.seed, number)
        return replace(plain, request="" if request == plain.prompt else request)

    def shown(self, found: dict[str, refining.Refined]) -> list[dict[str, Any]]:
        """{prompt, first, kept: {way: {sample, request}}} of the first prompts, by sample."""
        return [
            {
                "prompt": text,
                "first": found["best"].kept[0][i],
                "kept": {
                    name: {"sample": one.kept[-1][i], "request": self.requests[one.kept[-1][i]]}
                    for name, one in found.items()
                },
            }
            for i, (_id, text) in enumerate(self.texts[:SHOWN])
        ]


@dataclass
class _Desk:
    """Where the job is, and how far."""

    frame: JobFrame
    queue: str
    pictures: int
    """Drawn at most, a picture that two ways share counted for each."""
    drawn: int = 0
    last: tuple[float, str] = (0.0, "")
    """What was told last, though it came too soon to be written."""

    def here(self, queue: str) -> None:
        """Raises Elsewhere where this is not done by the workers that the job is with."""
        if self.queue.partition(AT)[0] != queue:
            frame, last = self.frame, self.last
            jobs.progress(frame.studio, frame.job_id, frame.attempt, *last)
            raise Elsewhere(queue)

    def told(self, message: str, judged: float = 0.0) -> None:
        """Say how far it is, `judged` of the last part; a person may stop it here."""
        share = DRAWING * min(self.drawn / self.pictures, 1.0) + (1 - DRAWING) * judged
        self.last = share, message
        self.frame.step(int(1000 * share), 1000, message)

    def read(self, files: Sequence[SampleFile]) -> Pictures:
        """(B, h, w, 3)."""
        return stack([self.frame.studio.media.read(file.media) for file in files])


class _Drawing(Drawing):
    """Draws only where generate workers are."""

    def __init__(self, desk: _Desk, num_steps: int, guidance: float) -> None:
        super().__init__(desk.frame, num_steps, desk.pictures, guidance)
        self.desk = desk

    def draw(self, policy: PolicySpec, wishes: Sequence[Wish]) -> list[int]:
        """As ever; raises Elsewhere where a picture is missing and cannot be drawn here."""
        known = self.known(policy, wishes)
        if any(wish.key not in known for wish in wishes):
            self.desk.here("generate")
        return super().draw(policy, wishes)

    def _told(self, more: int, policy: PolicySpec) -> None:
        self.done = self.desk.drawn = self.done + more
        self.desk.told(f"{self.done} of {self.total} pictures drawn")


class _Asked:
    """A stored reward as the ways ask it; only score workers load it."""

    def __init__(self, desk: _Desk, reward_id: int) -> None:
        self.desk, self.row = desk, rewards.get(desk.frame.studio, reward_id)
        self.version = rewards.version_of(self.row)
        self._lacking = 0
        self._criticised: set[int] = set()
        self._silent: set[int] = set()
        self.shape = getattr(kinds.get(self.row["kind"]), "SHAPE", "pointwise")
        self.values = refining.ByValue(self._values)
        self.pairs = refining.ByPairs(self._prefer, both_ways=self.shape == "pairwise")

    @property
    def measure(self) -> refining.ByValue | refining.ByPairs:
        """By its values, or by the pairs that it compares."""
        return self.values if self.shape == "pointwise" else self.pairs

    @property
    def questions(self) -> int:
        """Pictures valued, pairs compared or pictures criticised, each once."""
        return self.values.num_known + self.pairs.bouts + len(self._criticised)

    @property
    def unanswered(self) -> int:
        """Of these, those without an answer."""
        return self._lacking + len(self._silent)

    def requests(
        self, prompts: Sequence[str], requests: Sequence[str], ids: Sequence[int]
    ) -> list[str | None]:
        """See `refining.Ask`."""
        self._criticised |= set(ids)
        words = dict(zip(ids, requests, strict=True))
        known = self._known(untrained.REQUEST, ids)
        for files in self._missing(known, ids, is_last=False):
            critic = models.reward(self.row["kind"], self.row["config"])
            texts, asked = [file.prompt for file in files], [words[file.id] for file in files]
            said = critic.next_requests(texts, asked, self.desk.read(files))
            told = {file.id: request for file, request in zip(files, said, strict=True)}
            untrained.keep_requests(self.desk.frame.studio, self.row["id"], self.version, told)
        known = self._known(untrained.REQUEST, ids)
        # a value and a detail: a request; a detail alone: why there is none
        self._silent |= {i for i in ids if known[i][0] is None and known[i][1]}
        return [known[i][1] if known[i][0] is not None else None for i in ids]

    def _values(self, prompts: Sequence[str], ids: Sequence[int]) -> Floats:
        known = self._known(rewards.TOTAL, ids)
        for files in self._missing(known, ids, is_last=True):
            said = self._scorer().score(self.desk.read(files), [file.prompt for file in files])
            rows = reward_sets.rows_of(files, said)
            rewards.record_scores(self.desk.frame.studio, self.row["id"], rows, self.version)
            known |= {r.sample_id: (r.value, "") for r in rows if r.criterion == rewards.TOTAL}
        values = [known[i][0] for i in ids]
        self._lacking += values.count(None)
        return np.array(values, dtype=np.float64)

    def _known(self, criterion: str, ids: Sequence[int]) -> dict[int, tuple[float | None, str]]:
        studio = self.desk.frame.studio
        return untrained.said_before(studio, self.row["id"], self.version, criterion, ids)

    def _missing(
        self, known: Mapping[int, Any], ids: Sequence[int], *, is_last: bool
    ) -> Iterator[list[SampleFile]]:
        """Batches of what is not known, where score workers are."""
        missing = [i for i in ids if i not in known]
        if missing:
            self.desk.here("score")
        files = samples.files_of(self.desk.frame.studio, missing)
        for start in range(0, len(files), BATCH):
            part = files[start : start + BATCH]
            if is_last:
                told = f"{start} of {len(files)} pictures judged"
                self.desk.told(told, start / len(files))
            else:
                self.desk.told(f"{start} of {len(files)} pictures criticised")
            yield part

    def _prefer(self, prompts: Sequence[str], one: Sequence[int], other: Sequence[int]) -> Floats:
        self.desk.here("score")
        studio, found = self.desk.frame.studio, []
        for start in range(0, len(one), BATCH):
            self.desk.told(f"{start} of {len(one)} pairs compared", start / len(one))
            part = slice(start, start + BATCH)
            first, second = (samples.files_of(studio, ids[part]) for ids in (one, other))
            pictures = self.desk.read([*first, *second])
            found.append(self._chance(pictures, list(prompts[part])))
        chance = np.concatenate(found)
        self._lacking += int(np.isnan(chance).sum())
        return chance

    def _chance(self, pictures: Pictures, prompts: list[str]) -> Floats:
        """How likely each picture of the first half is better than its like in the second."""
        num, scorer = len(prompts), self._scorer()
        if self.shape == "pairwise":
            said: Floats = scorer.compare(pictures[:num], pictures[num:], prompts).prefer_a
            return said
        groups = np.tile(np.arange(num), 2)
        values = scorer.score(pictures, prompts * 2, groups).values
        return np.asarray((values[:num] - values[num:] + 1) / 2)

    def _scorer(self) -> Any:
        scorer = checked(models.reward(self.row["kind"], self.row["config"]), self.row["name"])
        if scorer.shape != self.shape:
            raise InputError(
                f"'{self.row['name']}' likens the pictures of a prompt to one another, so it "
                "cannot say which is best; choose a reward that scores single pictures, or a judge "
                "of two."
            )
        return scorer
