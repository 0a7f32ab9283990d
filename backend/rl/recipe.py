"""A whole run as typed settings. A recipe file, a form and a stored run are all this one object.

`RunConfig.read` also reads the settings of the method and of the policy with their own Configs,
grows the first plans on paper, and refuses what cannot be trained: a run that starts makes sense.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, Self, cast

from pydantic import Field

from backend.config import Config
from backend.errors import ConfigError
from backend.hooks import check_address
from backend.registry import methods, policies, rewards
from backend.rl import rates
from backend.rl.alarms import RULES
from backend.rl.composing import Compose as Compose
from backend.rl.composing import RewardTerm as RewardTerm
from backend.rl.composing import check_compose
from backend.rl.credit import Credit
from backend.rl.kernels import compile_kernel
from backend.rl.objectives import Objective
from backend.rl.randomness import seed_of
from backend.rl.sigma import stock_schedule
from backend.rl.tree import Shape, TreePlan, grow


class Method(Protocol):
    """What a file in `backend/methods` defines."""

    TITLE: str
    SOURCE: str
    SUMMARY: str
    """What it is for, in a sentence."""
    AVOID: str
    """When not to use it, in a sentence."""
    Config: type[Config]

    def plan(self, config: Any, num_steps: int, step: int, tree: int) -> TreePlan:
        """How the tree of prompt number `tree` grows in update `step`; a pure function."""
        ...

    def credit(self, config: Any) -> Credit:
        """What is compared, and with whom."""
        ...

    def objective(self, config: Any) -> Objective:
        """How an advantage becomes a loss."""
        ...


class MethodChoice(Config):
    """A training method and its settings."""

    name: str = "g2rpo"
    """Key of a file in backend/methods."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The method's own settings; what is left out takes its default."""


class PolicyChoice(Config):
    """A model family and which weights to start from."""

    family: str = "sd3"
    """Key of a file in backend/policies."""
    config: dict[str, Any] = Field(default_factory=dict)
    """The family's own settings."""


class Sampling(Config):
    """How rollouts are drawn."""

    num_steps: int = Field(10, ge=2, le=200, json_schema_extra={"unit": "steps"})
    """Denoising steps T of a rollout."""
    prompts_per_step: int = Field(24, ge=1, json_schema_extra={"unit": "prompts"})
    """Trees grown for each update; many prompts with few forks each learn fastest."""
    guidance: float = Field(1.0, ge=1.0)
    """Classifier-free guidance; 1 is off and halves the cost."""
    train_guidance: float | None = Field(None, ge=1.0)
    """Guidance with gradient; empty takes that of sampling, and a policy ratio allows no other."""
    reference_guidance: float | None = Field(None, ge=1.0)
    """Guidance of the base model that the policy is pulled towards; empty takes the above."""
    trees_at_once: int = Field(0, ge=0, json_schema_extra={"unit": "prompts"})
    """Prompts whose trees grow together; fewer need less memory. 0 takes all of them."""
    overlap: bool = True
    """Score one part of the trees while the next one grows; the numbers are the same."""
    batch_size: int = Field(64, ge=1, json_schema_extra={"unit": "pictures"})
    """Network evaluations in one call while sampling."""
    decode_batch_size: int = Field(32, ge=1, json_schema_extra={"unit": "pictures"})
    """Pictures decoded in one call; fewer need less memory, and suit a processor's cache."""
    update_batch_size: int = Field(32, ge=1, json_schema_extra={"unit": "nodes"})
    """Explored nodes in one call; the update repeats these batches, so its first ratio is 1."""
    release_encoders: bool = False
    """Embed all prompts before the first update, and free the text encoders' memory."""
    bf16: bool = True
    """Run the network under bfloat16 autocast; noise and log-probabilities stay in float32."""


class Scoring(Config):
    """Where rewards are asked."""

    where: Literal["inline", "workers"] = "inline"
    """In the training process, or by workers of the score queue (another GPU, another machine)."""


class Optim(Config):
    """What is trained, and its optimiser (AdamW)."""

    train: Literal["lora", "full"] = "lora"
    """A small adapter beside the frozen network, or all of its weights."""
    checkpointing: bool = False
    """Compute activations again in the backward pass: slower, and far less memory."""
    lr: float = Field(1e-4, gt=0, le=1)
    """Learning rate."""
    lr_end: float = Field(1.0, ge=0, le=1)
    """Share of the learning rate left at the last step; falls linearly, 1 keeps it constant."""
    max_grad_norm: float = Field(1.0, gt=0)
    """The gradient is scaled down to this norm."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """Decay of AdamW's first moment."""
    beta2: float = Field(0.99, ge=0, lt=1)
    """Decay of AdamW's second moment."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's weight decay."""
    lora_rank: int = Field(16, ge=1, le=1024)
    """Rank of the adapter."""
    lora_alpha: float = Field(32.0, gt=0)
    """The adapter is scaled by alpha / rank."""
    lora_targets: list[str] | None = None
    """Names of the layers that get an adapter; empty takes the family's own list."""
    updates_per_rollout: int = Field(1, ge=1, le=16)
    """Optimiser steps on the same rollouts; with 1 the ratio is always exactly 1."""
    lr_groups: dict[str, float] = Field(default_factory=dict)
    """Part of a parameter's name → factor on its learning rate; the first that fits counts."""
    ema_decay: float = Field(0.0, ge=0, lt=1)
    """Keep a moving average of the adapter, which is then evaluated and delivered; 0 is off."""


class EvaluationSettings(Config):
    """Held-out evaluation with paired seeds."""

    every: int = Field(25, ge=1, json_schema_extra={"unit": "updates"})
    """Updates between evaluations; step 0 and the last step are always evaluated."""
    num_prompts: int = Field(256, ge=2)
    """Held-out prompts, one picture each."""
    fixed_prompts: int = Field(5, ge=0, le=64)
    """Prompts whose pictures are kept from step 0 on."""
    num_steps: int | None = Field(None, ge=1, le=200)
    """Denoising steps; empty takes those of sampling."""
    seed: int = Field(1000, ge=0)
    """Seed of the evaluation's noise, the same at every step."""


class EarlyStop(Config):
    """End a run whose trained reward rises while a reward it was not trained on falls."""

    gold: str = ""
    """Name of the watched reward that must not fall; empty never stops."""
    patience: int = Field(2, ge=1, json_schema_extra={"unit": "evaluations"})
    """Evaluations in a row that must show it."""
    margin: float = Field(2.0, ge=0, json_schema_extra={"unit": "standard errors"})
    """How far under its best the watched reward must be."""


class Alarms(Config):
    """What an alarm does besides being shown."""

    stop_on: list[str] = Field(default_factory=list)
    """Alarms that end the run after the update in which they fire, by the name of their rule."""
    webhook: str = ""
    """An address that is told of every new alarm: https, or http on this machine."""


class RunConfig(Config):
    """A whole run."""

    recipe: str = ""
    """Name of the recipe it began from."""
    method: MethodChoice = MethodChoice()
    """The training method."""
    policy: PolicyChoice = PolicyChoice()
    """The model to teach."""
    rewards: list[RewardTerm] = Field(default_factory=list)
    """Rewards that are trained on; none for a method that learns from stored pairs."""
    watch: list[RewardTerm] = Field(default_factory=list)
    """Rewards that are only watched: if these fall while the others rise, the run is cheating."""
    compose: Compose = Compose()
    """How rewards become one advantage."""
    sampling: Sampling = Sampling()
    """How rollouts are drawn."""
    scoring: Scoring = Scoring()
    """Where rewards are asked; the numbers are the same."""
    optim: Optim = Optim()
    """The adapter and its optimiser."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """Held-out evaluation."""
    early_stop: EarlyStop = EarlyStop()
    """When the run ends by itself, before its reward is cheated."""
    alarms: Alarms = Alarms()
    """What an alarm does besides being shown."""
    labels: Literal["people", "simulated", "both"] = "people"
    """Whose judgements a method that learns from stored pairs is given."""
    processes: int = Field(1, ge=1, le=64)
    """Processes that share the prompts of each update, one a GPU; the gradient is the same."""
    num_steps: int = Field(100, ge=1, json_schema_extra={"unit": "updates"})
    """Updates of the policy."""
    minutes: float | None = Field(None, gt=0, json_schema_extra={"unit": "minutes"})
    """Stop after this much training time, even if updates are left; empty is no limit."""
    checkpoint_every: int = Field(10, ge=1, json_schema_extra={"unit": "updates"})
    """Updates between checkpoints."""
    record_groups: int = Field(8, ge=0)
    """Groups whose tree and pictures are kept from each update."""
    record_latents: float = Field(1.0, ge=0, json_schema_extra={"unit": "MB"})
    """So much of their latents is kept from each update, to be decoded when somebody asks what a
    node of a tree had become; 0 keeps none."""
    prompt_set: str = ""
    """Name of the prompt set to train on."""
    heldout_set: str = ""
    """Name of the prompt set to evaluate on."""
    seed: int = Field(0, ge=0, lt=2**53)
    """Everything random in the run follows from it."""

    @classmethod
    def read(cls, data: dict[str, Any] | None) -> Self:
        """As `Config.read`, with the method's and the policy's settings written out too."""
        config = super().read(data)
        method = read_method(config)
        policy = _part(policies.get(config.policy.family), config.policy.config, "policy.config")
        config = config.model_copy(
            update={
                "method": MethodChoice(name=config.method.name, settings=method.plain()),
                "policy": PolicyChoice(family=config.policy.family, config=policy.plain()),
            }
        )
        _check_plan(config)
        _check_objective(config)
        rates.check(config.optim.lr_groups)
        _check_rewards(config)
        _check_alarms(config.alarms)
        return config


def read_method(config: RunConfig) -> Config:
    """The method's own settings of a run, typed."""
    return _part(methods.get(config.method.name), config.method.settings, "method.settings")


def method_of(config: RunConfig) -> Method:
    """The method's module."""
    return cast(Method, methods.get(config.method.name))


def plans_at(config: RunConfig, step: int) -> list[TreePlan]:
    """The plans of all trees of update `step`, one a prompt."""
    method, settings = method_of(config), read_method(config)
    trees = range(config.sampling.prompts_per_step)
    return [method.plan(settings, config.sampling.num_steps, step, tree) for tree in trees]


def shape_at(config: RunConfig, step: int, plans: Sequence[TreePlan] | None = None) -> Shape:
    """The forest of update `step` on paper, as the trainer will grow it from these plans of it."""
    seed = seed_of(config.seed, step, "train-share")
    return grow(plans or plans_at(config, step), config.sampling.num_steps, seed)


def learns_from_pairs(config: RunConfig) -> bool:
    """Whether the method trains on stored pairs instead of drawing rollouts."""
    return bool(plans_at(config, 0)[0].given)


def _part(module: Any, settings: dict[str, Any], at: str) -> Config:
    try:
        return cast(Config, module.Config.read(settings))
    except ConfigError as error:
        raise ConfigError(str(error), field=f"{at}.{error.field}") from None


def _check_rewards(config: RunConfig) -> None:
    names = [term.name for term in [*config.rewards, *config.watch]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"Two rewards of this run are named '{twice[0]}'; give every reward its own name.",
            field="rewards",
        )
    for term in [*config.rewards, *config.watch]:
        rewards.get(term.kind)
    gold, watched = config.early_stop.gold, [term.name for term in config.watch]
    if gold and gold not in watched:
        known = ", ".join(watched) or "none"
        raise ConfigError(
            f"The run should stop when '{gold}' falls, but no watched reward has that name "
            f"(watched: {known}); watch it, or name another.",
            field="early_stop.gold",
        )
    if learns_from_pairs(config):
        if config.rewards:
            raise ConfigError(
                f"The method '{config.method.name}' learns from stored pairs and trains on no "
                "reward; move its rewards to the watched ones.",
                field="rewards",
            )
    elif not config.rewards:
        raise ConfigError("A run needs at least one reward to train on; add one.", field="rewards")
    elif all(term.weight == 0 for term in config.rewards):
        raise ConfigError(
            "All rewards have weight 0, so nothing would be learned.", field="rewards"
        )
    check_compose(config.rewards, config.compose)


def _check_alarms(alarms: Alarms) -> None:
    unknown = [name for name in alarms.stop_on if name not in RULES]
    if unknown:
        raise ConfigError(
            f"There is no alarm '{unknown[0]}' to stop on; there are: {', '.join(RULES)}.",
            field="alarms.stop_on",
        )
    check_address(alarms.webhook, "alarms.webhook")


def _check_objective(config: RunConfig) -> None:
    """A policy ratio compares with what sampled, so both must be guided alike; and without a clip
    rollouts serve one update.
    """
    sampling, updates = config.sampling, config.optim.updates_per_rollout
    objective = method_of(config).objective(read_method(config))
    if updates > 1 and not objective.clips:
        raise ConfigError(
            f"{updates} updates on the same rollouts need a ratio that is clipped, and "
            f"'{config.method.name}' has none, so the policy could run away from what was sampled; "
            "take 1.",
            field="optim.updates_per_rollout",
        )
    if objective.on == "edges" and sampling.train_guidance not in (None, sampling.guidance):
        raise ConfigError(
            f"Guidance is {sampling.guidance:g} in sampling and {sampling.train_guidance:g} in "
            "training, so the first policy ratio would not be 1; make them equal, or choose a "
            "method without a ratio.",
            field="sampling.train_guidance",
        )


def _check_plan(config: RunConfig) -> None:
    """Grow the plans of the first updates on paper; each knows what it cannot do."""
    method, settings = method_of(config), read_method(config)
    sigmas = stock_schedule(config.sampling.num_steps)
    try:
        objective = method.objective(settings)
        for plan in [plan for step in range(4) for plan in plans_at(config, step)]:
            plan.check(config.sampling.num_steps)
            objective.check(plan, compile_kernel(plan.kernel, sigmas))
    except ConfigError as error:
        raise ConfigError(str(error), field=f"method.settings.{error.field}") from None
