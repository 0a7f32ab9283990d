"""What one update, one evaluation and one checkpoint of a run are; `loop.train` decides when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from torch.optim import AdamW

from backend.errors import CheckpointError, ConfigError, MethodError, RewardError
from backend.rewards.interface import Checked, Scores, checked
from backend.rl import checkpoint as files
from backend.rl import rates
from backend.rl.collect import Clock, Collected, Collector, Data
from backend.rl.complaints import Complaints
from backend.rl.composing import without_later
from backend.rl.composition import Composition
from backend.rl.credit import Floats
from backend.rl.early_stop import History
from backend.rl.evaluate import Baseline, HeldOut, evaluate, show
from backend.rl.objectives import others_needed
from backend.rl.randomness import seed_of
from backend.rl.recipe import RewardTerm, RunConfig, method_of, plans_at, read_method, shape_at
from backend.rl.records import Iteration, group_records, iteration_metrics, recorded_groups
from backend.rl.sampler import Field
from backend.rl.steering import changed
from backend.rl.team import Alone, Team
from backend.rl.update import Pass, Totals, accumulate, clip_gradient, merge_passes, prepare
from backend.types import CheckpointState, IterationRecord, Orders, Policy, Scorer, Sink

_RESUMABLE = {
    "num_steps",
    "minutes",
    "checkpoint_every",
    "record_groups",
    "record_latents",
    "recipe",
    "evaluation",
    "alarms",
}
"""Settings that may differ when a run goes on; all others are part of what its checkpoint means."""
_NO_MATTER = {"processes", "scoring"}
"""Settings that change who does the work, not what is done."""
EMA = "ema"


class Trainer:
    """One run between its updates: the optimiser, the baseline, the counts."""

    def __init__(
        self,
        config: RunConfig,
        policy: Policy,
        rewards: Mapping[str, Scorer],
        data: Data,
        sink: Sink,
        team: Team | None = None,
    ) -> None:
        self.given = self.config = config
        self.changes: tuple[tuple[str, Any], ...] = ()
        self.policy, self.sink, self.complain = policy, sink, Complaints(sink)
        self.team = team or Alone()
        settings, method = read_method(config), method_of(config)
        self.credit, self.objective = method.credit(settings), method.objective(settings)
        self.rewards = {t.name: checked(_one_of(rewards, t.name), t.name) for t in _all(config)}
        relative = {name: reward.shape == "groupwise" for name, reward in self.rewards.items()}
        self.composition = Composition(config, relative)
        self.held = HeldOut.of(data.heldout, config.evaluation)
        self.step = self.nfe = 0
        self.spent = 0.0
        self.baseline: Baseline | None = None
        self.metrics: dict[str, float] = {}
        self.history = History(config.early_stop, config.rewards)
        self.evaluated_at = self.sampled_at = self.saved_at = -1
        self._prepare_policy()
        if config.sampling.release_encoders:
            judged = data.pairs.prompts if data.pairs else []
            policy.release_encoders(list(dict.fromkeys([*data.prompts, *data.heldout, *judged])))
        self.collector = Collector(config, policy, self.rewards, self.credit, data, self.team)

    def _prepare_policy(self) -> None:
        """What is trained, the copies that follow it, and the optimiser."""
        optim = self.config.optim
        if not self.policy.trainable():
            seed = seed_of(self.config.seed, "adapter")
            self.policy.prepare(
                optim.train, optim.lora_rank, optim.lora_alpha, optim.lora_targets, seed
            )
        self.policy.enable_checkpointing(optim.checkpointing)
        if self.team.shares_out:
            self._check_shared_out()
            self.team.share_out(self.policy)
        for name in self._decays(0):
            self.policy.blend(name, 0.0)
        self.parameters = self.policy.trainable()
        self.factors = rates.factors(optim.lr_groups, list(self.parameters))
        self.optimiser = AdamW(
            [{"params": [parameter]} for parameter in self.parameters.values()],
            lr=optim.lr,
            betas=(optim.beta1, optim.beta2),
            weight_decay=optim.weight_decay,
        )

    def _check_shared_out(self) -> None:
        """While the network is whole, it has one set of weights."""
        if self.config.optim.train == "lora" or others_needed(self.objective):
            raise ConfigError(
                "Sharing out the weights (FSDP) is for full fine-tuning with a loss that looks at "
                "no other weights: train 'full', without a pull towards the base (kl 0) and with a "
                "method that needs no copy, or unset PALATE_ACCELERATE_CONFIG.",
                field="optim.train",
            )

    def _decays(self, step: int) -> dict[str, float]:
        """Copies of the policy and their decay after update `step`."""
        ema = self.config.optim.ema_decay
        return self.objective.decays(step) | ({EMA: ema} if ema else {})

    # --- begin, resume, save ---------------------------------------------------------------------

    def begin(self) -> None:
        """Measure the base, and make the first checkpoint, so that a run can always go on."""
        self.evaluate()
        self._know_base()
        self.checkpoint()

    def _know_base(self) -> None:
        """Rewards that are measured against the base are told what they said of it."""
        if self.composition.needs_base:
            known = self.team.agree(self.baseline)
            self.composition.base = known or {}

    def restore(self, saved: CheckpointState) -> None:
        """Go on from a checkpoint of the same settings."""
        if saved.state.get("settings") != self._fingerprint():
            raise CheckpointError(
                f"The checkpoint of step {saved.step} was made with other settings; resume with "
                "the settings the run was started with, or start a new run."
            )
        self.policy.load_adapter(saved.adapter)
        files.load_optimiser(self.optimiser, self.parameters, saved.optimiser)
        for name, weights in saved.copies.items():
            self.policy.load_adapter(weights, name)
        for name, reward in self._learning():
            reward.load_state(saved.rewards.get(name, {}))
        self.step = self.saved_at = saved.step
        self.nfe, self.spent = int(saved.state["nfe"]), float(saved.state["seconds"])
        self.baseline, self.metrics = saved.state["baseline"], saved.state["metrics"]
        self.history.rows = list(saved.state["history"])
        self.evaluated_at = int(saved.state["evaluated_at"])
        self.sampled_at = int(saved.state.get("sampled_at", -1))
        self.composition.load(saved.state.get("composition", {}))
        self._know_base()
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
            "history": self.history.rows,
            "evaluated_at": self.evaluated_at,
            "sampled_at": self.sampled_at,
            "composition": self.composition.state(),
        }
        self.sink.checkpoint(
            CheckpointState(
                self.step,
                self.policy.adapter_state(),
                files.optimiser_state(self.optimiser, self.parameters),
                {name: self.policy.adapter_state(name) for name in self._decays(self.step)},
                state,
                self.policy.adapter_metadata(),
                {name: reward.state() for name, reward in self._learning()},
            )
        )

    def out_of_time(self) -> bool:
        """Whether the budget of minutes is spent."""
        spent = self.config.minutes is not None and self.spent >= 60 * self.config.minutes
        return self.team.agree(spent)

    def is_cheating(self) -> bool:
        """Whether the trained reward rises while the watched one has fallen; said once."""
        found = self.team.agree(self.history.verdict())
        if found:
            self.sink.log("warning", found, {"best_step": self.history.best_step})
        return bool(found)

    def is_lacking(self) -> bool:
        """Whether a reward has failed for too long to go on; said once."""
        found = self.composition.lacking(self.step)
        if found:
            self.sink.log("warning", found, {})
        return bool(found)

    def _fingerprint(self) -> str:
        settings = self.given.model_dump(mode="json", exclude=_RESUMABLE | _NO_MATTER)
        return files.fingerprint(without_later(settings))

    def heed(self, orders: Orders) -> None:
        """Do as people asked: their changes hold from the next update on."""
        if orders.changes != self.changes:
            self.changes, self.config = orders.changes, changed(self.given, orders.changes)
            self.composition.heed(self.config)
        if orders.sample:
            self.sample()
        if orders.checkpoint:
            self.checkpoint()

    # --- one evaluation, one iteration -----------------------------------------------------------

    def evaluate(self) -> None:
        """Held-out rewards of the weights that will be delivered, once a step."""
        if self.evaluated_at == self.step:
            return
        self.evaluated_at = self.step
        with self._delivered():
            if self.team.rank:
                return  # the first process measures for all
            record, values = evaluate(
                self._field(),
                self.held,
                self.rewards,
                self._sigmas(),
                step=self.step,
                baseline=self.baseline,
                trained=[term.name for term in self.config.rewards],
                tell=self.complain,
            )
        if self.baseline is None:
            self.baseline = values
        self.metrics = record.metrics
        self.history.add(self.step, record.metrics)
        self.nfe += record.nfe
        self.sink.evaluation(record)

    def sample(self) -> None:
        """Pictures of the fixed prompts now, unless an evaluation of this step has drawn them."""
        if self.step in (self.evaluated_at, self.sampled_at) or not self.held.fixed:
            return
        self.sampled_at = self.step
        with self._delivered():
            if self.team.rank:
                return
            record = show(self._field(), self.held, self.rewards, self._sigmas(), step=self.step)
        self.nfe += record.nfe
        self.sink.evaluation(record)

    @contextmanager
    def _delivered(self) -> Iterator[None]:
        """Within it the network runs the weights that will be delivered."""
        averaged = EMA in self._decays(self.step)
        with self.policy.using(EMA) if averaged else nullcontext(), self.team.whole():
            yield

    def _sigmas(self) -> list[float]:
        num = self.config.evaluation.num_steps or self.config.sampling.num_steps
        return self.policy.schedule(num)

    def iterate(self) -> None:
        """One update of the policy."""
        clock, field = Clock(), self._field()
        plans = plans_at(self.config, self.step)
        shape = shape_at(self.config, self.step, plans)
        mine = frozenset(tree for trees in self.collector.trees(len(plans)) for tree in trees)
        chosen = recorded_groups(shape, self.credit, self.config.record_groups, mine)
        with self.policy.using(self.objective.behaviour), self.team.whole():
            got = self.collector.collect(field, self.step, plans, shape, chosen, clock)
        self._check_scored(got.scores)
        terms = self.composition.terms(self.step)
        log_prob_N = got.forest.log_prob_N
        credited = self.composition.assign(shape, got.scores, terms, self.credit, log_prob_N)
        on = self.objective.on
        clock.lap("credit")
        seen, figures = self._update(
            field, got, credited.edge_N if on == "edges" else credited.leaf_N
        )
        figures |= self.composition.observe(got.scores, credited, self.step)
        self.step += 1
        for text in self.composition.news():
            self.sink.log("info", f"Update {self.step}: {text}", {})
        clock.lap("update")
        for name, reward in self._learning():
            asked = [i for i, status in enumerate(got.scores[name].status) if status != "n/a"]
            told = reward.observe(
                got.images[asked], [got.leaf_prompts[i] for i in asked], self.step
            )
            figures |= {f"{name}/{key}": value for key, value in told.items()}
        clock.lap("learn")
        it = Iteration(
            self.config,
            plans,
            got.prompts,
            terms,
            on,
            got.forest,
            got.images,
            got.scores,
            credited,
            seen,
        )
        groups = group_records(it, chosen, self.policy)
        nfe = sum(self.team.gather(field.nfe), Counter[str]())
        metrics = iteration_metrics(it) | figures
        metrics |= {f"nfe/{purpose}": float(num) for purpose, num in nfe.items()}
        metrics |= {f"judge_calls/{name}": float(num) for name, num in got.calls.items()}
        clock.lap("record")
        self.nfe += nfe.total()
        self.spent += clock.total()
        self.sink.iteration(IterationRecord(self.step, metrics, nfe.total(), clock.seconds, groups))

    def _check_scored(self, scores: Mapping[str, Scores]) -> None:
        """A reward that is silent altogether ends the run."""
        for name, said in scores.items():
            if said.num_missing and np.isnan(said.values).all():
                reason = next((reason for reason in said.reasons if reason), said.status[0])
                raise RewardError(
                    f"Reward '{name}' had no value for any of {len(said)} pictures ({reason}); "
                    "mend the reward, then resume the run."
                )
        self.complain(scores)

    def _update(
        self, field: Field, got: Collected, advantage_N: Floats
    ) -> tuple[Pass | None, dict[str, float]]:
        """Optimiser steps on these rollouts; none is taken on what is not a number."""
        optim, seen, norm = self.config.optim, None, 0.0
        share = self.step / self.config.num_steps
        lr = optim.lr * (1 + (optim.lr_end - 1) * share)
        for group, factor in zip(self.optimiser.param_groups, self.factors, strict=True):
            group["lr"] = lr * factor
        seed = (self.config.seed, self.step)
        works = prepare(field, got.parts, advantage_N, self.objective, seed)
        counts = self.team.gather((sum(w.items for w in works), sum(w.points for w in works)))
        totals = Totals(sum(items for items, _ in counts), sum(points for _, points in counts))
        if not totals.items:
            self.sink.log(
                "warning", f"Update {self.step + 1}: every group was skipped, nothing learned.", {}
            )
            return None, {"lr": lr}
        parameters = list(self.parameters.values())
        for number in range(optim.updates_per_rollout):
            self.optimiser.zero_grad(set_to_none=True)
            try:
                with self.team.whole():
                    mine = accumulate(field, works, self.objective, len(advantage_N), totals)
                    self.team.add_gradients(parameters)
                norm = clip_gradient(parameters, optim.max_grad_norm)
            except MethodError as error:
                self.optimiser.zero_grad(set_to_none=True)
                if number == 0:  # later passes have moved the adapter: the last checkpoint stands
                    self.checkpoint()
                raise MethodError(f"Update {self.step + 1}: {error}") from error
            self.optimiser.step()
            seen = merge_passes(len(advantage_N), self.team.gather(mine))
        for name, decay in self._decays(self.step).items():
            self.policy.blend(name, decay)
        return seen, {"lr": lr, "grad_norm": norm}

    # --- helpers ---------------------------------------------------------------------------------

    def _field(self) -> Field:
        s = self.config.sampling
        return Field(
            self.policy,
            s.guidance,
            s.bf16,
            s.batch_size,
            s.update_batch_size,
            s.decode_batch_size,
            s.train_guidance,
            s.reference_guidance if s.reference_guidance is not None else s.train_guidance,
        )

    def _learning(self) -> list[tuple[str, Checked]]:
        """Rewards that learn during the run."""
        trained = [term.name for term in self.config.rewards]
        return [(n, r) for n, r in self.rewards.items() if n in trained and r.learns]


def _one_of(rewards: Mapping[str, Scorer], name: str) -> Scorer:
    if name not in rewards:
        raise RewardError(f"Reward '{name}' is part of the run but was not loaded.")
    return rewards[name]


def _all(config: RunConfig) -> list[RewardTerm]:
    return [*config.rewards, *config.watch]
