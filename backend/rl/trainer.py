"""What one update, one evaluation and one checkpoint of a run are; `loop.train` decides when."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from torch import Tensor
from torch.optim import AdamW

from backend.errors import CheckpointError, MethodError, RewardError
from backend.rewards.compose import Term
from backend.rewards.interface import Scores, checked
from backend.rl import checkpoint as files
from backend.rl.credit import Floats, assign, partition
from backend.rl.evaluate import Baseline, HeldOut, evaluate
from backend.rl.kernels import compile_kernel
from backend.rl.randomness import prompts_at, seed_of
from backend.rl.recipe import RewardTerm, RunConfig, method_of, plans_at, read_method
from backend.rl.records import (
    Iteration,
    group_records,
    iteration_metrics,
    recorded_groups,
    trunk_nodes,
)
from backend.rl.sampler import Field, Rollouts, decode, sample
from backend.rl.tree import Shape, TreePlan, grow
from backend.rl.update import Pass, accumulate, clip_gradient
from backend.types import CheckpointState, IterationRecord, Pictures, Policy, Scorer, Sink

_RESUMABLE = {"num_steps", "minutes", "checkpoint_every", "record_groups", "recipe", "evaluation"}
"""Settings that may differ when a run goes on; all others are part of what its checkpoint means."""


class Trainer:
    """One run between its updates: the adapter's optimiser, the baseline, the counts."""

    def __init__(
        self,
        config: RunConfig,
        policy: Policy,
        rewards: Mapping[str, Scorer],
        prompts: Sequence[str],
        heldout: Sequence[str],
        sink: Sink,
    ) -> None:
        self.config, self.policy, self.prompts, self.sink = config, policy, prompts, sink
        settings, method = read_method(config), method_of(config)
        self.credit, self.objective = method.credit(settings), method.objective(settings)
        self.rewards = {t.name: checked(_one_of(rewards, t.name), t.name) for t in _all(config)}
        self.terms = [
            Term(t.name, t.weight, t.transform, relative=self.rewards[t.name].shape == "groupwise")
            for t in config.rewards
        ]
        self.sigmas = policy.schedule(config.sampling.num_steps)
        self.held = HeldOut.of(heldout, config.evaluation)
        self.step = self.nfe = 0
        self.spent = 0.0
        self.baseline: Baseline | None = None
        self.ema: dict[str, Tensor] | None = None
        self.metrics: dict[str, float] = {}
        self.evaluated_at = self.saved_at = -1
        if not policy.trainable():
            optim = config.optim
            seed = seed_of(config.seed, "adapter")
            policy.add_lora(optim.lora_rank, optim.lora_alpha, optim.lora_targets, seed)
        optim = config.optim
        self.parameters = policy.trainable()
        self.optimiser = AdamW(
            self.parameters.values(),
            lr=optim.lr,
            betas=(optim.beta1, optim.beta2),
            weight_decay=optim.weight_decay,
        )

    # --- begin, resume, save ---------------------------------------------------------------------

    def begin(self) -> None:
        """Measure the base, and make the first checkpoint, so that a run can always go on."""
        if self.config.optim.ema_decay:
            self.ema = self.policy.adapter_state()
        self.evaluate()
        self.checkpoint()

    def restore(self, saved: CheckpointState) -> None:
        """Go on from a checkpoint of the same settings."""
        if saved.state.get("settings") != self._fingerprint():
            raise CheckpointError(
                f"The checkpoint of step {saved.step} was made with other settings; resume with "
                "the settings the run was started with, or start a new run."
            )
        self.policy.load_adapter(saved.adapter)
        files.load_optimiser(self.optimiser, self.parameters, saved.optimiser)
        self.ema = saved.ema
        self.step = self.saved_at = saved.step
        self.nfe, self.spent = int(saved.state["nfe"]), float(saved.state["seconds"])
        self.baseline, self.metrics = saved.state["baseline"], saved.state["metrics"]
        self.evaluated_at = int(saved.state["evaluated_at"])
        self.sink.log("info", f"Resumed after update {self.step}.", {})

    def checkpoint(self) -> None:
        """Hand over the whole state, once a step."""
        if self.saved_at == self.step:
            return
        self.saved_at = self.step
        state = {
            "settings": self._fingerprint(),
            "nfe": self.nfe,
            "seconds": self.spent,
            "baseline": self.baseline,
            "metrics": self.metrics,
            "evaluated_at": self.evaluated_at,
        }
        optimiser = files.optimiser_state(self.optimiser, self.parameters)
        adapter, header = self.policy.adapter_state(), self.policy.adapter_metadata()
        self.sink.checkpoint(
            CheckpointState(self.step, adapter, optimiser, self.ema, state, header)
        )

    def out_of_time(self) -> bool:
        """Whether the budget of minutes is spent."""
        return self.config.minutes is not None and self.spent >= 60 * self.config.minutes

    def _fingerprint(self) -> str:
        return files.fingerprint(self.config.model_dump(mode="json", exclude=_RESUMABLE))

    # --- one evaluation, one iteration -----------------------------------------------------------

    def evaluate(self) -> None:
        """Held-out rewards of the weights that will be delivered, once a step."""
        if self.evaluated_at == self.step:
            return
        self.evaluated_at, settings = self.step, self.config.evaluation
        sigmas = self.policy.schedule(settings.num_steps or self.config.sampling.num_steps)
        with self._delivered():
            record, values = evaluate(
                self._field(),
                self.held,
                self.rewards,
                sigmas,
                step=self.step,
                baseline=self.baseline,
            )
        if self.baseline is None:
            self.baseline = values
        self.metrics = record.metrics
        self.nfe += record.nfe
        self.sink.evaluation(record)

    def iterate(self) -> None:
        """One update of the policy."""
        clock, field = _Clock(), self._field()
        plans = plans_at(self.config, self.step)
        shape = grow(plans, self.config.sampling.num_steps)
        prompts = prompts_at(self.prompts, self.config.seed, self.step, len(plans))
        chosen = recorded_groups(shape, self.credit, self.config.record_groups)
        rollouts = self._sample(field, plans, shape, prompts, trunk_nodes(shape, chosen))
        clock.lap("sample")
        images = decode(self.policy, rollouts.leaves, self.config.sampling.batch_size)
        clock.lap("decode")
        scores = self._score(shape, images, prompts)
        clock.lap("reward")
        values, compose = {name: s.values for name, s in scores.items()}, self.config.compose
        credited = assign(shape, values, self.terms, self.credit, **compose.model_dump())
        clock.lap("credit")
        seen, figures = self._update(field, rollouts, credited.edge_N)
        self.step += 1
        clock.lap("update")
        it = Iteration(self.config, plans, prompts, rollouts, images, scores, credited, seen)
        groups = group_records(it, chosen, self.policy)
        metrics = iteration_metrics(it) | figures
        metrics |= {f"nfe/{purpose}": float(num) for purpose, num in field.nfe.items()}
        clock.lap("record")
        self.nfe += field.nfe.total()
        self.spent += clock.total()
        self.sink.iteration(
            IterationRecord(self.step, metrics, field.nfe.total(), clock.seconds, groups)
        )

    def _sample(
        self,
        field: Field,
        plans: Sequence[TreePlan],
        shape: Shape,
        prompts: Sequence[str],
        watched: frozenset[int],
    ) -> Rollouts:
        """Grow this step's trees; every root and explored edge has a seed of its own."""
        coefficients = compile_kernel(plans[0].kernel, self.sigmas)
        for plan in plans:
            if plan.kernel != plans[0].kernel:
                raise MethodError(
                    "All trees of an update must draw their noise by the same kernel."
                )
            self.objective.check(plan, coefficients)
        random = shape.explored | (shape.parent < 0)
        seed_N = np.zeros(len(shape), dtype=np.int64)
        for node in np.flatnonzero(random):
            where = (int(shape.tree[node]), int(shape.local[node]))
            seed_N[node] = seed_of(self.config.seed, self.step, "rollout", *where)
        cond = self.policy.embed(prompts)
        return sample(field, shape, coefficients, cond, seed_N, watched=watched)

    def _score(self, shape: Shape, images: Pictures, prompts: Sequence[str]) -> dict[str, Scores]:
        """Raw rewards of all leaves; a reward that is silent altogether ends the run."""
        group_L, _ = partition(shape, self.credit)
        of_leaf = [prompts[tree] for tree in shape.tree[shape.leaf]]
        scores = {t.name: self.rewards[t.name].score(images, of_leaf, group_L) for t in self.terms}
        for name, said in scores.items():
            if np.isnan(said.values).all():
                reason = next((reason for reason in said.reasons if reason), said.status[0])
                raise RewardError(
                    f"Reward '{name}' had no value for any of {len(said)} pictures ({reason}); "
                    "mend the reward, then resume the run."
                )
        return scores

    def _update(
        self, field: Field, rollouts: Rollouts, edge_N: Floats
    ) -> tuple[Pass | None, dict[str, float]]:
        """Optimiser steps on these rollouts; none is taken on what is not a number."""
        optim, seen, norm = self.config.optim, None, 0.0
        share = self.step / self.config.num_steps
        lr = optim.lr * (1 + (optim.lr_end - 1) * share)
        self.optimiser.param_groups[0]["lr"] = lr
        if not np.isfinite(edge_N).any():
            self.sink.log(
                "warning", f"Update {self.step + 1}: every group was skipped, nothing learned.", {}
            )
            return None, {"lr": lr}
        for number in range(optim.updates_per_rollout):
            self.optimiser.zero_grad(set_to_none=True)
            try:
                seen = accumulate(field, rollouts, edge_N, self.objective)
                norm = clip_gradient(list(self.parameters.values()), optim.max_grad_norm)
            except MethodError as error:
                self.optimiser.zero_grad(set_to_none=True)
                if number == 0:  # later passes have moved the adapter: the last checkpoint stands
                    self.checkpoint()
                raise MethodError(f"Update {self.step + 1}: {error}") from error
            self.optimiser.step()
        if self.ema is not None:
            decay, now = optim.ema_decay, self.policy.adapter_state()
            self.ema = {n: decay * old + (1 - decay) * now[n] for n, old in self.ema.items()}
        return seen, {"lr": lr, "grad_norm": norm}

    # --- helpers ---------------------------------------------------------------------------------

    def _field(self) -> Field:
        s = self.config.sampling
        return Field(self.policy, s.guidance, s.bf16, s.batch_size, s.update_batch_size)

    @contextmanager
    def _delivered(self) -> Iterator[None]:
        """The weights that will be delivered: the moving average, where one is kept."""
        if self.ema is None:
            yield
            return
        now = self.policy.adapter_state()
        self.policy.load_adapter(self.ema)
        try:
            yield
        finally:
            self.policy.load_adapter(now)


class _Clock:
    """Seconds by phase; "total" is their sum."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, phase: str) -> None:
        now = time.perf_counter()
        self.seconds[phase], self._last = now - self._last, now

    def total(self) -> float:
        self.seconds["total"] = sum(s for name, s in self.seconds.items() if name != "total")
        return self.seconds["total"]


def _one_of(rewards: Mapping[str, Scorer], name: str) -> Scorer:
    if name not in rewards:
        raise RewardError(f"Reward '{name}' is part of the run but was not loaded.")
    return rewards[name]


def _all(config: RunConfig) -> list[RewardTerm]:
    return [*config.rewards, *config.watch]
