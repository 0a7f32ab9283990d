"""Training of the pocket encoder: facts of flawed scenes, and captions with one word changed.

    python -m backend.pocket.train_encoder --device cuda --minutes 5 --out DIR

writes `model.safetensors` (half precision) and `figures.json` to DIR. Scenes are drawn anew for
every step on the same device (`flawed`), so nothing is seen twice and nothing is stored. The loss:

    facts      cross-entropy of count and shape of each colour and of the background, of large or
               small; the distance of the mean place
    captions   of faithful pictures alone: the right caption among all captions of the batch and
               eight near misses, the right picture for each caption (CLIP)

Then, with all else standing still, a finer reader of shape, size and area is taught on new scenes.
The weights that are kept are a running mean. Captions come from the whole language: the split is
there to test the model that draws, and its judge must read what the model has not seen.
Needs torch, numpy and safetensors alone.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from backend.pocket import encoder, flawed, world
from backend.pocket.encoder import AREA, COUNTS, SHAPES, PocketEncoder, Sight
from backend.pocket.flawed import Facts, Scenes, Words
from backend.pocket.near import one_word_changed

log = logging.getLogger(__name__)

RATE: Final = 1.5e-3
WARM_UP: Final = 0.03
"""Share of the time in which the learning rate rises; then it falls to 0 along a cosine."""
MOST_REFINED: Final = 60_000
"""Pictures that the finer reader is taught on at most."""
MEASURED = 512
"""Pictures that the figures are of, at most."""
NEAR: Final = 8
"""Near misses of each caption."""


def train(
    path: Path, *, minutes: float = 5.0, device: str = "cpu", batch: int = 0, seed: int = 0
) -> dict[str, float]:
    """Train for some minutes, save to `path`, and return the figures measured."""
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    size = batch or (768 if device.startswith("cuda") else 96)
    maker, network = flawed.Maker(device, seed + 1), PocketEncoder()
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    captions = Captions(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, betas=(0.9, 0.98), eps=1e-7)
    kept = copy.deepcopy(network).requires_grad_(False)
    start, step, said = time.perf_counter(), 0, 0.0
    while (passed := (time.perf_counter() - start) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = RATE * _rate(passed)
        with torch.no_grad():
            scenes = maker.make(size)
        with torch.autocast(device.split(":")[0], torch.bfloat16):
            sight = network.look(scenes.pictures)
            told = captions.of(scenes.words)
            near = captions.near(scenes.words, NEAR)
            texts = network.read_words(torch.cat([told, *near]))
        parts = _fact_losses(sight, scenes.facts)
        parts["captions"] = _contrast(network, sight, texts, scenes)
        loss = torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        step += 1
        if not torch.isfinite(norm):
            continue  # half precision may overflow once; the next batch is another
        optimiser.step()
        _average(kept, network, min(0.999, step / (step + 20)))
        if time.perf_counter() - said > 15:
            said = time.perf_counter()
            told_losses = ", ".join(f"{name} {part.item():.3f}" for name, part in parts.items())
            log.info("step %d, %.0f %%: %s", step, 100 * passed, told_losses)
    seconds = time.perf_counter() - start
    refine(kept, maker, steps=min(step // 4, MOST_REFINED // size), size=size)
    kept = kept.to("cpu").eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: value.half().contiguous() for name, value in kept.state_dict().items()}
    save_file(weights, path)
    network = encoder.load(path)
    about = {"steps": step, "pictures": step * size, "seconds": round(seconds)}
    return {**about, **accuracy(network), **fact_accuracy(network)}


def refine(network: PocketEncoder, maker: flawed.Maker, *, steps: int, size: int) -> None:
    """Teach the finer reader on new scenes, all else standing still."""
    seen = []
    for _ in range(steps):
        with torch.no_grad():
            scenes = maker.make(size)
            seen.append((network.gathered(scenes.pictures)[0], scenes.facts))
    if seen:
        teach_finer(network, torch.cat([mine for mine, _ in seen]), _joined([f for _, f in seen]))


def teach_finer(
    network: PocketEncoder, mine: Tensor, facts: Facts, *, rounds: int = 40, batch: int = 256
) -> None:
    """Fit the finer reader to what was gathered of pictures, (S, C, 259), and their facts."""
    reader = network.finer.requires_grad_(True)
    optimiser = torch.optim.AdamW(reader.parameters(), lr=2e-3, weight_decay=0.02)
    total = rounds * max(len(mine) // batch, 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=total + 1)
    for _ in range(total):
        pick = torch.randint(len(mine), (min(batch, len(mine)),), device=mine.device)
        shape, large, area = reader(mine[pick].float()).split([SHAPES, 1, 1], 2)
        there = facts.count[pick] > 0
        likely = -(facts.shape[pick] * F.log_softmax(shape, 2)).sum(2)
        size = F.binary_cross_entropy_with_logits(
            large[..., 0], facts.large[pick], reduction="none"
        )
        off = F.huber_loss(area[..., 0], facts.area[pick] / AREA, reduction="none", delta=0.5)
        loss = ((likely + size) * there).sum() / there.sum().clamp(min=1) + 3 * off.mean()
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()


def _joined(parts: list[Facts]) -> Facts:
    names = vars(parts[0])
    return Facts(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


WEIGHTS: Final = {
    "count": 1.0, "shape": 1.0, "large": 0.7, "place": 4.0, "background": 0.3, "captions": 0.3
}  # fmt: skip


def _fact_losses(sight: Sight, facts: Facts) -> dict[str, Tensor]:
    """Each kind of fact, as a mean over the colours that are there; counts over pictures."""
    there = facts.count > 0
    some = there.sum().clamp(min=1)
    _, shapes, larges, _ = sight.first.float().split([COUNTS, SHAPES, 1, 2], 2)
    count = F.cross_entropy(sight.count.float().flatten(0, 1), facts.count.flatten())
    shape = -(facts.shape * F.log_softmax(shapes, 2)).sum(2)
    large = F.binary_cross_entropy_with_logits(larges[..., 0], facts.large, reduction="none")
    place = (sight.place.float() - facts.place).abs().sum(2)
    return {
        "count": count * flawed.NUM_COLOURS,
        "shape": (shape * there).sum() / some,
        "large": (large * there).sum() / some,
        "place": (place * there).sum() / some,
        "background": F.cross_entropy(sight.background.float(), facts.background),
    }


def _contrast(network: PocketEncoder, sight: Sight, texts: Tensor, scenes: Scenes) -> Tensor:
    """The right caption among the batch's and its near misses, the right picture for each."""
    scale = network.log_scale.exp().clamp(max=50)
    texts = texts.float()
    faithful = scenes.faithful
    num = len(faithful)
    images, right = sight.vector.float()[faithful], texts[:num][faithful]
    near = texts[num:].reshape(NEAR, num, -1)[:, faithful]
    among = scale * images @ right.T
    close = scale * torch.einsum("bd,kbd->bk", images, near)
    target = torch.arange(len(images), device=images.device)
    whole = (F.cross_entropy(among, target) + F.cross_entropy(among.T, target)) / 2
    words = F.cross_entropy(
        torch.cat([among.diagonal()[:, None], close], 1), torch.zeros_like(target)
    )
    return whole + 2 * words


def _rate(passed: float) -> float:
    if passed < WARM_UP:
        return passed / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (passed - WARM_UP) / (1 - WARM_UP)))


@torch.no_grad()
def _average(kept: PocketEncoder, now: PocketEncoder, share: float) -> None:
    """Move the running mean towards the present weights."""
    old: list[Tensor] = [*kept.parameters()]
    new: list[Tensor] = [*now.parameters()]
    torch._foreach_lerp_(old, new, 1 - share)


class Captions:
    """Captions as ids of words at places, all of a batch at once."""

    def __init__(self, device: str) -> None:
        def ids(words: list[str]) -> Tensor:
            return torch.tensor([encoder.word_id(word) for word in words], device=device)

        self.counts, self.sizes = ids(list(world.COUNTS)), ids(list(world.SIZES))
        self.colours, self.grounds = ids(list(world.COLOURS)), ids(list(world.BACKGROUNDS))
        self.shapes = torch.stack([ids(list(world.SHAPES)), ids(list(world.SHAPES.values()))])
        first = ids([name.split()[0] for name in world.RELATIONS])
        second = [name.split()[1:] for name in world.RELATIONS]
        rest = torch.tensor([encoder.word_id(w[0]) if w else 0 for w in second], device=device)
        self.relations = torch.stack([first, rest], 1)
        self.end = ids(["on", "a", "background"])

    def of(self, words: Words) -> Tensor:
        """(B, 14)"""
        num = len(words.relation)
        blank = torch.zeros(num, 6, dtype=torch.long, device=self.end.device)
        things = [self._thing(words, i) for i in range(2)]
        ground = self.grounds[words.background, None]
        end = self.end.expand(num, -1)
        end = torch.cat([end[:, :2], ground, end[:, 2:]], 1)
        relation = self.relations[words.relation.clamp(max=len(world.RELATIONS) - 1)]
        both = torch.cat([things[0], relation, things[1], end], 1)
        short = torch.cat([both[:, :5], both[:, 6:], blank[:, :1]], 1)
        both = torch.where(relation[:, 1:] > 0, both, short)
        single = torch.cat([things[0], end, blank], 1)
        alone = words.relation == len(world.RELATIONS)
        return encoder.placed(torch.where(alone[:, None], single, both))

    def near(self, words: Words, num: int) -> list[Tensor]:
        """`num` captions each that differ in one word that counts. (B, 14) each"""
        found = []
        size, device = len(words.relation), self.end.device
        row = torch.arange(size, device=device)
        alone = words.relation == len(world.RELATIONS)
        for _ in range(num):
            slot = torch.randint(10, (size,), device=device)
            slot = torch.where(alone & (slot >= 4) & (slot < 9), slot % 4, slot)
            changed = replace(words)
            for i, name in enumerate(("count", "size", "colour", "shape")):
                column = getattr(words, name).clone()
                for thing in range(2):
                    mine = row[slot == 4 * thing + i]
                    column[mine, thing] = self._other(column[mine, thing], name)
                setattr(changed, name, column)
            changed.relation = torch.where(
                slot == 8, self._other(words.relation, "relation"), words.relation
            )
            changed.background = torch.where(
                slot == 9, self._other(words.background, "background"), words.background
            )
            found.append(self.of(changed))
        return found

    def _thing(self, words: Words, i: int) -> Tensor:
        count = words.count[:, i]
        return torch.stack(
            [
                self.counts[count - 1],
                self.sizes[words.size[:, i]],
                self.colours[words.colour[:, i]],
                self.shapes[(count > 1).long(), words.shape[:, i]],
            ],
            1,
        )

    def _other(self, value: Tensor, kind: str) -> Tensor:
        """Another word of the kind; counts begin at 1."""
        num, least = len(world.KINDS[kind]), int(kind == "count")
        step = torch.randint(1, num, value.shape, device=value.device)
        return (value - least + step) % num + least


# ---------------------------------------------------------------- figures


def accuracy(network: PocketEncoder) -> dict[str, float]:
    """Held-out renders: the right caption first of 192 and as many near misses; pairwise."""
    num = min(MEASURED, 192)
    prompts = world.draw(num, 555, "heldout")
    wrong = [_all_near(prompt)[i % 7] for i, prompt in enumerate(prompts)]
    images = network.image(world.render_many(prompts, 555))
    similarity = images @ torch.cat([network.text(prompts), network.text(wrong)]).T
    right = similarity.argmax(1) == torch.arange(num)
    pair = similarity.diagonal() > similarity[:, num:].diagonal()
    return {
        "first_of_all": round(float(right.float().mean()), 3),
        "right_before_near_miss": round(float(pair.float().mean()), 3),
    }


@torch.inference_mode()
def fact_accuracy(network: PocketEncoder) -> dict[str, float]:
    """Flawed scenes it has not seen: how often a fact is read right, of the colours there."""
    scenes = flawed.Maker("cpu", 999_983).make(MEASURED)
    sight, facts = network.look(scenes.pictures), scenes.facts
    there = facts.count > 0
    likely = facts.shape.max(2)
    clear = there & (likely.values > 0.8)
    sized = there & ((facts.large - 0.5).abs() > 0.4)
    found = {
        "count": (sight.count.argmax(2) == facts.count)[there],
        "absent": (sight.count.argmax(2) == 0)[~there],
        "shape": (sight.shape.argmax(2) == likely.indices)[clear],
        "size": ((sight.large > 0) == (facts.large > 0.5))[sized],
        "background": sight.background.argmax(1) == facts.background,
    }
    return {name: round(float(right.float().mean()), 3) for name, right in found.items()}


def _all_near(prompt: str) -> list[str]:
    return [other for _, others in one_word_changed(prompt) for other in others]


def main() -> None:
    """Train for some minutes on a device."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--batch", type=int, default=0, help="pictures a step; 0: as fits the device"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    figures = train(
        args.out / "model.safetensors",
        minutes=args.minutes, device=args.device, batch=args.batch, seed=args.seed,
    )  # fmt: skip
    (args.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    log.info("%s", figures)


if __name__ == "__main__":
    main()
