"""What trains, and named copies of it: exact arithmetic, no gradient where none belongs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from backend.errors import CheckpointError, PolicyError
from backend.policies.sd3 import Sd3Policy
from backend.types import Training
from tests.tiny_sd3 import PROMPTS, fill_adapter, load_tiny

KINDS: list[Training] = ["lora", "full"]


@pytest.fixture(params=KINDS)
def policy(request: pytest.FixtureRequest, tiny_policy: Sd3Policy) -> Sd3Policy:
    """A policy that trains, by either way, and has moved from its start."""
    tiny_policy.prepare(request.param, rank=4, alpha=8)
    move(tiny_policy)
    return tiny_policy


def move(policy: Sd3Policy) -> None:
    torch.manual_seed(len(policy.copies()))
    with torch.no_grad():
        for parameter in policy.trainable().values():
            parameter.add_(0.1 * torch.randn_like(parameter))


def answer(policy: Sd3Policy) -> torch.Tensor:
    torch.manual_seed(3)
    latent = torch.randn(2, *policy.latent_shape)
    return policy.velocity(latent, torch.tensor([0.8, 0.3]), policy.embed(PROMPTS[:2]))


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def test_a_new_copy_equals_the_current_weights_and_stays_when_they_move(policy: Sd3Policy) -> None:
    before, state = answer(policy), policy.adapter_state()
    policy.blend("old", 0.0)
    move(policy)
    assert policy.copies() == ("old",)
    assert same(policy.adapter_state("old"), state)
    with policy.using("old"):
        assert torch.equal(answer(policy), before)
    assert not torch.equal(answer(policy), before)
    policy.blend("old", 0.0)
    assert same(policy.adapter_state("old"), policy.adapter_state())


def test_blending_is_the_formula(policy: Sd3Policy) -> None:
    policy.blend("ema", 0.9)
    first = policy.adapter_state("ema")
    move(policy)
    now = policy.adapter_state()
    policy.blend("ema", 0.75)
    wanted = {n: 0.75 * first[n] + 0.25 * now[n] for n in first}
    trained = {policy._stock(name) for name in policy.trainable()}
    for name, tensor in policy.adapter_state("ema").items():
        assert torch.allclose(tensor, wanted[name] if name in trained else now[name], atol=1e-7)
    assert same(policy.adapter_state(), now)


def test_the_reference_is_the_start_bit_for_bit(tiny_policy: Sd3Policy) -> None:
    start = answer(tiny_policy).detach()
    for kind in KINDS:
        tiny_policy.prepare(kind, rank=4, alpha=8)
        assert torch.equal(answer(tiny_policy), start)
        move(tiny_policy)
        assert not torch.equal(answer(tiny_policy), start)
        with tiny_policy.reference():
            assert torch.equal(answer(tiny_policy), start)
        with tiny_policy.using("reference"), tiny_policy.merged():
            assert torch.equal(answer(tiny_policy), start)


def test_names_nest_and_every_exit_restores(policy: Sd3Policy) -> None:
    now = answer(policy).detach()
    policy.blend("old", 0.0)
    move(policy)
    moved = answer(policy).detach()
    with policy.using("old"):
        with policy.reference():
            start = answer(policy)
            with policy.using("current"):
                assert torch.equal(answer(policy), moved)
            assert torch.equal(answer(policy), start)
        assert torch.equal(answer(policy), now)
        policy.blend("ema", 0.0)
    assert same(policy.adapter_state("ema"), policy.adapter_state())
    with pytest.raises(ZeroDivisionError), policy.using("old"):
        raise ZeroDivisionError
    assert torch.equal(answer(policy), moved)


def test_only_the_current_weights_ever_learn(policy: Sd3Policy) -> None:
    parameters = policy.trainable()
    policy.blend("old", 0.0)
    move(policy)
    loss = answer(policy).square().mean()
    for name in ("old", "reference"):
        with policy.using(name):
            assert not answer(policy).requires_grad
    loss.backward()  # its graph survives the visits
    found = {n: p.grad for n, p in parameters.items() if p.grad is not None}
    for parameter in parameters.values():
        parameter.grad = None
    answer(policy).square().mean().backward()
    assert found and all(torch.equal(parameters[n].grad, g) for n, g in found.items())
    assert not any(
        tensor.requires_grad for copy in policy._copies.values() for tensor in copy.values()
    )


def test_the_optimiser_keeps_its_parameters_through_every_switch(policy: Sd3Policy) -> None:
    parameters = policy.trainable()
    optimiser = torch.optim.AdamW(parameters.values(), lr=1e-2)
    policy.blend("old", 0.0)
    before = policy.adapter_state()
    for name in ("old", "reference", "current"):
        with policy.using(name):
            assert policy.trainable().keys() == parameters.keys()
    assert all(policy.trainable()[name] is p and p.requires_grad for name, p in parameters.items())
    answer(policy).square().mean().backward()
    optimiser.step()
    assert same(policy.adapter_state("old"), before)
    assert not same(policy.adapter_state(), before)


def test_a_copy_runs_folded_in(policy: Sd3Policy) -> None:
    policy.blend("old", 0.0)
    move(policy)
    with torch.no_grad(), policy.using("old"):
        plain = answer(policy)
        with policy.merged():
            assert torch.allclose(answer(policy), plain, atol=1e-5)
        assert torch.equal(answer(policy), plain)


def test_other_weights_cannot_be_chosen_while_some_are_folded_in(tiny_policy: Sd3Policy) -> None:
    tiny_policy.add_lora(4, 8)
    tiny_policy.blend("old", 0.0)
    with (
        tiny_policy.merged(),
        pytest.raises(PolicyError, match="'current' are folded in"),
        tiny_policy.using("old"),
    ):
        pass


def test_copies_are_saved_and_loaded_under_their_names(policy: Sd3Policy) -> None:
    policy.blend("old", 0.0)
    old = policy.adapter_state("old")
    move(policy)
    now = policy.adapter_state()
    policy.load_adapter(old, "fast")
    assert policy.copies() == ("old", "fast")
    assert same(policy.adapter_state("fast"), old) and same(policy.adapter_state(), now)
    policy.load_adapter(now, "old")
    assert same(policy.adapter_state("old"), now) and same(policy.adapter_state("fast"), old)


def test_names_that_mean_no_copy_are_refused(policy: Sd3Policy) -> None:
    for name in ("current", "reference"):
        with pytest.raises(PolicyError, match=f"'{name}' is no copy"):
            policy.blend(name, 0.5)
    with pytest.raises(PolicyError, match="There is no copy 'old' of the weights; there are: curr"):
        policy.using("old").__enter__()
    with pytest.raises(PolicyError, match="no stored weights 'old'"):
        policy.adapter_state("old")


def test_what_does_not_fit_changes_nothing(policy: Sd3Policy) -> None:
    now = policy.adapter_state()
    state = policy.adapter_state()
    last = list(state)[-1]
    for odd in ({last: state[last][..., :1]}, {"stranger": state[last]}):
        with pytest.raises(CheckpointError, match="does not fit this network and rank"):
            policy.load_adapter(state | odd, "old")
        with pytest.raises(CheckpointError, match="does not fit this network and rank"):
            policy.load_adapter(state | odd)
    assert same(policy.adapter_state(), now) and policy.copies() == ()


def test_a_file_that_does_not_fit_leaves_the_adapter_that_was_there(
    tiny_policy: Sd3Policy, tmp_path: Path
) -> None:
    tiny_policy.add_lora(4, 8)
    tiny_policy.save_adapter(tmp_path / "good.safetensors")
    state = load_file(tmp_path / "good.safetensors")
    first = next(iter(state))
    header = tiny_policy.adapter_metadata()
    save_file(state | {first: state[first][:, :3].clone()}, tmp_path / "bad.safetensors", header)
    tiny_policy.add_lora(2, 4, seed=7)
    now = tiny_policy.adapter_state()
    with pytest.raises(CheckpointError, match="does not fit"):
        tiny_policy.read_adapter(tmp_path / "bad.safetensors")
    assert same(tiny_policy.adapter_state(), now)
    tiny_policy.read_adapter(tmp_path / "good.safetensors")
    assert same(tiny_policy.adapter_state(), state)


def test_the_header_says_what_a_file_is(policy: Sd3Policy, tmp_path: Path) -> None:
    policy.save_adapter(tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        header = file.metadata()
    assert header == policy.adapter_metadata()
    facts = json.loads(header["palate"])
    assert facts["family"] == "sd3" and facts["train"] in KINDS
    assert ("lora_adapter_metadata" in header) == (facts["train"] == "lora")


def test_adapters_written_before_families_were_named_still_load(
    tiny_policy: Sd3Policy, tmp_path: Path
) -> None:
    tiny_policy.add_lora(4, 8)
    fill_adapter(tiny_policy)
    state, header = tiny_policy.adapter_state(), tiny_policy.adapter_metadata()
    del header["palate"]
    save_file(state, tmp_path / "old.safetensors", header)
    tiny_policy.drop_adapter()
    tiny_policy.read_adapter(tmp_path / "old.safetensors")
    assert same(tiny_policy.adapter_state(), state)


def test_training_anew_forgets_what_was(tiny_sd3: Path) -> None:
    policy = load_tiny(tiny_sd3)
    bare = {name: tensor.clone() for name, tensor in policy.network.state_dict().items()}
    for kind in [*KINDS, *KINDS]:
        policy.prepare(kind, rank=2, alpha=2)
        move(policy)
        policy.blend("old", 0.0)
    policy.drop_adapter()
    assert policy.copies() == () and not policy.trainable()
    assert same(dict(policy.network.state_dict()), bare)


def test_half_precision_weights_train_in_float32_and_go_back(tiny_sd3: Path) -> None:
    policy = load_tiny(tiny_sd3, dtype="bfloat16")
    start = answer(policy)
    for kind in KINDS:
        policy.prepare(kind, rank=2, alpha=2)
        assert {p.dtype for p in policy.trainable().values()} == {torch.float32}
        assert answer(policy).requires_grad
        now = answer(policy).detach()
        with policy.reference():
            assert torch.equal(answer(policy), now)
    policy.drop_adapter()
    assert policy.network.dtype == torch.bfloat16
    assert torch.equal(answer(policy), start)
