"""Draws samples and stores them batch by batch; what an earlier attempt has drawn is not drawn
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.services import policies, runs, samples
from backend.services.policies import PolicySpec
from backend.services.samples import NewSample
from backend.services.studio import Studio
from workers import models
from workers.frame import JobFrame
from workers.sheets import png

BATCH = 64
NUM_STEPS = 28
"""Denoising steps where no policy comes from a run that says otherwise."""


@dataclass(frozen=True)
class Wish:
    """A picture that is wanted."""

    prompt_id: int
    prompt: str
    seed: int
    request: str = ""
    """What the generator is asked, where it is not the prompt."""

    @property
    def key(self) -> tuple[int, int, str]:
        """By what the store knows the picture, under a policy and its settings."""
        return self.prompt_id, self.seed, self.request

    @classmethod
    def of(cls, prompt: tuple[int, str], seed: int, number: int) -> Wish:
        """The `number`-th picture of a prompt (id, text) under a job's seed, whoever draws it."""
        return cls(*prompt, samples.picture_seed(seed, prompt[1], number))


@dataclass
class Drawing:
    """Draws for one job, and counts what it costs. `total` is the pictures of the whole job."""

    frame: JobFrame
    num_steps: int
    total: int
    guidance: float = 1.0
    done: int = 0
    nfe: int = 0
    ids: list[int] = field(default_factory=list)

    def draw(self, policy: PolicySpec, wishes: Sequence[Wish]) -> list[int]:
        """The samples' ids, in the order of the wishes."""
        from backend.rl.sampler import Field, draw

        studio = self.frame.studio
        known = self.known(policy, wishes)
        missing = [wish for wish in wishes if wish.key not in known]
        self._told(len(wishes) - len(missing), policy)
        for start in range(0, len(missing), BATCH):
            part = missing[start : start + BATCH]
            model = models.policy(policy.family, policy.config, policy.adapter)
            velocity = Field(model, self.guidance)
            texts, seeds = [wish.request or wish.prompt for wish in part], [w.seed for w in part]
            pictures = draw(velocity, texts, seeds, model.schedule(self.num_steps))
            self.nfe += velocity.nfe.total()
            height, width = pictures.shape[1:3]
            rows = [
                NewSample(
                    wish.prompt_id,
                    wish.seed,
                    studio.media.put(png(picture)),
                    width,
                    height,
                    samples.asked_with(self.settings, wish.request),
                )
                for wish, picture in zip(part, pictures, strict=True)
            ]
            ids = samples.add(studio, policy.project_id, policy.id, rows)
            known |= {wish.key: i for wish, i in zip(part, ids, strict=True)}
            self._told(len(part), policy)
        return [known[wish.key] for wish in wishes]

    @property
    def settings(self) -> dict[str, Any]:
        """As the store keeps them with a picture."""
        return {"num_steps": self.num_steps, "guidance": self.guidance}

    def known(self, policy: PolicySpec, wishes: Sequence[Wish]) -> dict[tuple[int, int, str], int]:
        """Those that the policy has drawn already, with others of the same prompts."""
        of_prompts = sorted({wish.prompt_id for wish in wishes})
        return samples.drawn_before(self.frame.studio, policy.id, of_prompts, self.settings)

    def _told(self, more: int, policy: PolicySpec) -> None:
        self.done += more
        self.frame.step(self.done, self.total, f"{self.done} of {self.total} pictures drawn")


def usual(studio: Studio, policy_ids: Sequence[int]) -> tuple[int, float]:
    """(denoising steps, guidance) of the run that taught one of the policies."""
    for policy_id in policy_ids:
        run_id = policies.get(studio, policy_id)["run_id"]
        if run_id is not None:
            config = runs.config_of(studio, run_id)
            steps = config.evaluation.num_steps or config.sampling.num_steps
            return steps, config.sampling.guidance
    return NUM_STEPS, 1.0
