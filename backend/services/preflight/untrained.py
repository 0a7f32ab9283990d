"""Preflight of a measurement without training: what is drawn, asked and paid, what would fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.errors import ConfigError, InputError, NotFound
from backend.registry import rewards as kinds
from backend.rewards import _judge_price
from backend.rl.cost import RunCost
from backend.services import policies, prompts, rewards, run_gains, samples, untrained, workers
from backend.services.durations import spell
from backend.services.preflight import judging, machine
from backend.services.preflight.line import Fix, Line
from backend.services.studio import Studio
from backend.services.untrained import Wanted
from db.tables import PromptSet, Reward

POCKET_JUDGE = "pocket-judge"


@dataclass(frozen=True)
class Size:
    """How much is drawn and asked, at most."""

    prompts: int
    rounds: int
    ways: int

    @property
    def pictures(self) -> int:
        """Of best-of-N, which the same redraws in the same words share, and of other requests."""
        return self.prompts * (self.rounds + (self.ways > 1) * (self.rounds - 1))

    @property
    def critiques(self) -> int:
        """The first pictures, then those of both ways that ask the critic, but for the last."""
        return self.prompts * (1 + 2 * (self.rounds - 2)) if self.ways > 1 else 0

    def questions(self, reward: Reward, *, picks: bool) -> int:
        """Pictures that a reward values; of a judge of pairs, those compared in both orders."""
        shape = getattr(kinds.get(reward.kind), "SHAPE", "pointwise")
        if shape == "pointwise":
            return self.pictures
        compared = self.ways * self.prompts * (self.rounds - 1) * (2 if picks else 1)
        if shape == "pairwise":
            return 2 * compared
        module = kinds.get(reward.kind)
        each = module.judge_calls(module.Config.read(reward.config), np.array([2]))
        return compared * int(each)


def check(studio: Studio, project_id: int, wanted: Wanted) -> dict[str, Any]:
    """{lines, pictures, drawn, nfe, questions}; raises ConfigError on a bad setting."""
    with studio.read() as session:
        asked, chosen = untrained.found(session, project_id, wanted)
        policy = policies.find(session, wanted.policy_id)
        by = {name: asked.get(name) for name in untrained.MEASURES}
        began = run_gains.of_policy(session, project_id, wanted.policy_id, by)
    texts = prompts.texts(studio, wanted.prompt_set_id, limit=wanted.settings.num_prompts)
    ways = 3 if wanted.settings.way == "refine" else 1
    size = Size(len(texts), wanted.settings.rounds, ways)
    there = _there(studio, wanted, texts)
    nfe = (size.pictures - there) * wanted.settings.calls_per_picture
    lines = [
        _prompts_line(wanted, chosen, size),
        _pictures_line(wanted, size, there),
        _time_line(studio, project_id, nfe),
        *_critic_lines(wanted, asked, texts),
        *_gold_lines(wanted),
        *(line for key, r in asked.items() for line in _asked_lines(studio, key, r, size)),
        *_runs_lines(studio, wanted, chosen, began),
        *_worker_lines(studio),
    ]
    return {
        "lines": [line.plain() for line in lines],
        "policy": policy.name,
        "pictures": size.pictures,
        "drawn": there,
        "nfe": nfe,
        "questions": {key: _questions(key, reward, size) for key, reward in asked.items()},
    }


def failing(found: dict[str, Any]) -> list[str]:
    """Why it cannot be started: a sentence for each line that fails."""
    return [f"{one['name']}: {one['reason']}" for one in found["lines"] if one["status"] == "fail"]


def _there(studio: Studio, wanted: Wanted, texts: list[tuple[int, str]]) -> int:
    """Pictures in the prompts' own words that are drawn already."""
    settings = wanted.settings
    drawn_with = {"num_steps": settings.num_steps, "guidance": settings.guidance}
    ids = [prompt_id for prompt_id, _text in texts]
    known = samples.drawn_before(studio, wanted.policy_id, ids, drawn_with)
    return sum(
        (prompt_id, samples.picture_seed(settings.seed, text, number), "") in known
        for prompt_id, text in texts
        for number in range(settings.rounds)
    )


def _questions(key: str, reward: Reward, size: Size) -> int:
    return size.critiques if key == "critic" else size.questions(reward, picks=key == "picker")


def _prompts_line(wanted: Wanted, chosen: PromptSet, size: Size) -> Line:
    value = f"the first {size.prompts:,} of '{chosen.name}'"
    if size.prompts < 2:
        reason = "A standard error needs two prompts; choose a set that has them."
        return Line("Prompts", value, "fail", reason)
    if chosen.split != "heldout":
        reason = "Runs are trained on these, so what they gain here is no fair comparison."
        return Line("Prompts", value, "warn", reason)
    return Line("Prompts", value)


def _pictures_line(wanted: Wanted, size: Size, there: int) -> Line:
    new, settings = size.pictures - there, wanted.settings
    nfe = new * settings.calls_per_picture
    value = f"{new:,} to draw, {nfe:,} evaluations"
    if size.ways == 1:
        reason = f"{settings.rounds} pictures for each prompt; {there:,} of them are there already."
        return Line("Pictures", value, reason=reason)
    reason = (
        f"At most: the critic may be content sooner. {there:,} are there already. Beside the "
        "rewritten ones stand as many in the prompt's own words, and best of N."
    )
    return Line("Pictures", value, reason=reason)


def _time_line(studio: Studio, project_id: int, nfe: int) -> Line:
    pace = machine.pace(studio, project_id, RunCost(nfe, 0, 0, 0, 0, 0), None)
    if pace.seconds_per_step is None:
        reason = "No run of this project has been timed yet."
        return Line("Time of drawing", "unknown", reason=reason)
    return Line("Time of drawing", spell(pace.seconds_per_step), reason=pace.by)


def _critic_lines(
    wanted: Wanted, asked: dict[str, Reward], texts: list[tuple[int, str]]
) -> Iterator[Line]:
    if wanted.settings.way != "refine":
        return
    critic = asked.get("critic")
    if critic is None:
        reason = (
            "Nobody says what to ask for instead. Choose the pocket judge, or a judge on a server "
            "whose question is 'rational'."
        )
        yield Line("Critic", "none", "fail", reason, {"text": "See the rewards", "url": "/rewards"})
        return
    if not untrained.can_critique(critic.kind, critic.config):
        reason = f"'{critic.name}' scores, but does not say what to ask for instead."
        yield Line("Critic", critic.name, "fail", reason)
        return
    fault = _unread(texts) if critic.kind == POCKET_JUDGE else ""
    if fault:
        reason = f"The pocket judge rewrites prompts of the pocket world alone. {fault}"
        yield Line("Critic", critic.name, "fail", reason)
        return
    if wanted.critic_id == wanted.picker_id:
        reason = "It also picks what came of its own requests; a picker that wrote none is fairer."
        yield Line("Critic", critic.name, "warn", reason)
        return
    yield Line("Critic", critic.name)


def _unread(texts: list[tuple[int, str]]) -> str:
    from backend.pocket import world

    try:
        for _prompt_id, text in texts:
            world.parse(text)
    except InputError as error:
        return str(error)
    return ""


def _gold_lines(wanted: Wanted) -> Iterator[Line]:
    if wanted.gold_id is None or wanted.gold_id == wanted.picker_id:
        reason = (
            "Only the picker itself says what was gained, and it likes its own picks. Choose a "
            "reward that does not pick."
        )
        yield Line("Judged by", "the picker alone", "warn", reason)


def _asked_lines(studio: Studio, key: str, reward: Reward, size: Size) -> Iterator[Line]:
    try:
        rewards.read_config(studio, reward.kind, reward.config)
    except ConfigError as error:
        yield Line(f"Reward {reward.name}", reward.kind, "fail", str(error))
        return
    num = _questions(key, reward, size)
    judge = _judge_price.asked(reward.kind, reward.config)
    if judge is None:
        yield Line(f"Questions to {reward.name}", f"{num:,}", reason="No charge.")
    else:
        yield judging.price_line(studio, reward.name, judge, num)
    yield from judging.audit_line(
        studio, reward.project_id, reward.name, reward.kind, reward.config
    )


def _runs_lines(
    studio: Studio, wanted: Wanted, chosen: PromptSet, began: list[dict[str, Any]]
) -> Iterator[Line]:
    """Whether a run was evaluated on the same prompts in the same way, by one of these rewards."""
    size = prompts.get(studio, chosen.id)["num_prompts"]
    known = [run for run in began if any(run[name] for name in untrained.MEASURES)]
    same = [r for r in known if untrained.is_same(wanted, chosen.name, size, r["heldout"])]
    if same:
        yield Line("Beside runs", f"{len(same)} on these prompts, in this way")
    elif known:
        reason = (
            "Runs that watched these rewards were evaluated on other prompts or with other steps, "
            "so their gains compare only roughly."
        )
        yield Line("Beside runs", "none", "warn", reason, _as_run(studio, chosen, known[0]))
    else:
        reason = "No run that began from this policy was evaluated by one of these rewards yet."
        yield Line("Beside runs", "none", reason=reason)


def _as_run(studio: Studio, chosen: PromptSet, run: dict[str, Any]) -> Fix | None:
    """Measure where that run was evaluated."""
    heldout = run["heldout"]
    try:
        set_id = prompts.named(studio, chosen.project_id, heldout["set"])["id"]
    except NotFound:
        return None
    settings = {name: heldout[name] for name in ("num_prompts", "num_steps", "guidance")}
    return {
        "text": f"measure as '{run['name']}' was evaluated",
        "changes": {"prompt_set_id": set_id, "settings": settings},
    }


def _worker_lines(studio: Studio) -> Iterator[Line]:
    for queue in ("generate", "score"):
        if not workers.alive(studio, queue):
            reason = f"It waits until a worker comes: start one with 'palate worker {queue}'."
            fix = {"text": "See the workers", "url": "/workers"}
            yield Line("Workers", f"none on the {queue} queue", "warn", reason, fix)
