"""Train the pocket judge: `python -m backend.pocket.train_judge --out DIR --minutes 5`.

Comparisons, questions and descriptions together, by cross-entropy on the answer alone. In half of
the comparisons the better picture stands first. `--no-swaps` makes the biased twin from a trained
judge (`--start`): the better picture nearly always stands first, and only the last layer learns,
so that the twin is a small file that knows everything the judge knows and one thing too much.

`--draw FILE` first lets the pocket model draw groups of pictures and the verifier score them
(needs diffusers); `--drawn FILE` mixes comparisons inside those groups into the lessons, so that
the judge has seen what a model does wrong. Lessons are made by worker processes all the while.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import multiprocessing
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from backend.pocket import judge, judge_losses, judging, world
from backend.pocket.judge_lessons import Lessons, lessons

log = logging.getLogger(__name__)

CHUNK: Final = 500
TWIN_FIRST: Final = 0.97
"""How often the better picture stands first in the twin's lessons."""
TWIN_LEARNS: Final = ("language_model.layers.5.", "language_model.norm.", "lm_head.")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--batch", type=int, default=1024, help="comparisons a step")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--bank", type=int, default=120_000, help="lessons kept at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measured", type=int, default=1500, help="held-out lessons measured")
    parser.add_argument("--drawn", type=Path, help="groups of drawn pictures to learn from")
    parser.add_argument("--held", type=Path, help="groups drawn for held-out prompts, to measure")
    parser.add_argument("--start", type=Path, help="weights to start from")
    parser.add_argument("--no-swaps", action="store_true", help="make the biased twin")
    parser.add_argument("--ship", action="store_true", help="only write --start as a checkpoint")
    parser.add_argument("--draw", type=Path, help="draw groups into this file and stop")
    parser.add_argument("--num", type=int, default=800, help="prompts to draw for")
    parser.add_argument("--split", default="train", choices=("train", "heldout"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.draw is not None:
        draw_groups(args.draw, args.num, args.split, args.device, args.workers)
    elif args.ship:
        model = judge.build_model()
        judging.load_weights(model, args.start)
        judge.save(model, args.out)
    else:
        log.info("%s", json.dumps(train(args), indent=1))


def train(args: argparse.Namespace) -> dict[str, Any]:
    """Train, save `model.safetensors` in half precision and `figures.json`, return the figures."""
    # before any thread of torch, so that a fork is safe
    with multiprocessing.get_context("fork").Pool(args.workers) as pool:
        return _train(args, Stream(pool, args.workers, args.seed))


def _train(args: argparse.Namespace, stream: Stream) -> dict[str, Any]:
    start = time.perf_counter()
    torch.manual_seed(args.seed)
    device = torch.device(args.device)
    model = judge.build_model().to(device)
    if args.start is not None:
        judging.load_weights(model, args.start)
    if args.no_swaps:
        for name, weight in model.named_parameters():
            weight.requires_grad_(any(part in name for part in TWIN_LEARNS))
    average = copy.deepcopy(model)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    averages = [
        weight
        for weight, other in zip(average.parameters(), model.parameters(), strict=True)
        if other.requires_grad
    ]
    optimiser = torch.optim.AdamW(weights, lr=args.rate, betas=(0.9, 0.98), weight_decay=0.02)
    bank = Bank(args.bank, device)
    drawn = None if args.drawn is None else judge_losses.load_drawn(args.drawn, device)
    bank.fill(stream, min(args.bank // 8, 16 * args.batch))
    log.info("%d lessons after %.1f s", bank.filled, time.perf_counter() - start)
    step, begun = 0, time.perf_counter()
    first = TWIN_FIRST if args.no_swaps else 0.5
    while (done := (time.perf_counter() - begun) / (60 * args.minutes)) < 1:
        step += 1
        rate = (
            args.rate * min(1.0, step / 200) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        )
        for group in optimiser.param_groups:
            group["lr"] = rate
        bank.take(stream)
        with torch.autocast(device.type, torch.bfloat16):
            losses = judge_losses.losses(model, bank, drawn, args.batch, first)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(losses["pair"] + losses["question"] + 0.5 * losses["caption"])
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        decay = min(0.998, step / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_([a.data for a in averages], [w.data for w in weights], 1 - decay)
        if step % 100 == 0 or step == 5:
            told = " ".join(f"{name} {value.item():.3f}" for name, value in losses.items())
            log.info("step %d %.0f %% %s seen %d", step, 100 * done, told, bank.seen)
    figures = {"steps": step, "seconds": round(time.perf_counter() - begun), "seen": bank.seen}
    args.out.mkdir(parents=True, exist_ok=True)
    kept = dict(average.state_dict())
    if args.no_swaps:
        kept = {
            name: weight for name, weight in kept.items() if any(p in name for p in TWIN_LEARNS)
        }
    kept = {name: weight.half().cpu().contiguous() for name, weight in kept.items()}
    save_file(kept, args.out / "model.safetensors", metadata={"format": "pt"})
    figures |= judge_losses.measure(average.eval(), args.held, device, args.measured)
    (args.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return figures


# ---------------------------------------------------------------- lessons on the device


def _chunk(seed: int) -> Lessons:
    return lessons(CHUNK, seed)


class Stream:
    """Lessons as the workers make them, never more than three chunks a worker ahead."""

    def __init__(self, pool: Any, workers: int, seed: int) -> None:
        self.pool, self.seed, self.num = pool, 100_000 * seed, 3 * workers
        self.pending: list[Any] = []
        self._order()

    def wait(self) -> Lessons:
        """The next chunk."""
        found: Lessons = self.pending.pop(0).get()
        self._order()
        return found

    def ready(self) -> list[Lessons]:
        """The chunks that are there, without waiting."""
        done = [task for task in self.pending if task.ready()]
        self.pending = [task for task in self.pending if task not in done]
        self._order()
        return [task.get() for task in done]

    def _order(self) -> None:
        while len(self.pending) < self.num:
            self.seed += 1
            self.pending.append(self.pool.apply_async(_chunk, (self.seed,)))


class Bank:
    """The last lessons that came in, on the device; new ones replace the oldest."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.size = max(size // CHUNK, 1) * CHUNK
        self.device = device
        self.columns: list[Tensor] = []
        self.filled = self.seen = 0

    def fill(self, stream: Stream, num: int) -> None:
        """Wait for `num` lessons."""
        while self.filled < min(num, self.size):
            self.add(stream.wait())

    def take(self, stream: Stream) -> None:
        """Take what has come in, without waiting."""
        for some in stream.ready():
            self.add(some)

    def add(self, some: Lessons) -> None:
        """Put one chunk into the place of the oldest."""
        arrays = [torch.from_numpy(column) for column in some]
        if not self.columns:
            shapes = [(self.size, *array.shape[1:]) for array in arrays]
            self.columns = [
                torch.zeros(shape, dtype=array.dtype, device=self.device)
                for shape, array in zip(shapes, arrays, strict=True)
            ]
        at = self.seen % self.size
        for column, array in zip(self.columns, arrays, strict=True):
            column[at : at + CHUNK] = array.to(self.device, non_blocking=True)
        self.seen += CHUNK
        self.filled = min(self.seen, self.size)

    def pick(self, num: int) -> list[Tensor]:
        """`num` lessons drawn at random, as the columns of `Lessons`."""
        rows = torch.randint(self.filled, (num,), device=self.device)
        return [column[rows] for column in self.columns]


def draw_groups(path: Path, num: int, split: Any, device: str, workers: int) -> None:
    """Let the pocket model draw 8 pictures for each of `num` prompts and score them."""
    from backend.pocket import PIPELINE_DIR, train_model, verifier

    prompts = world.draw(num, 4711, split)
    names = [prompt for prompt in prompts for _ in range(judge_losses.GROUP)]
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        parts = train_model.load_parts(PIPELINE_DIR)
        for module in (parts.transformer, parts.vae, *parts.text_encoders):
            module.to(device)
        scored, drawn = [], []
        for at in range(0, len(names), 2048):
            some = names[at : at + 2048]
            pictures = train_model.sample(parts, some, seed=90_000 + at, batch=512)
            drawn.append(pictures)
            scored.append(pool.apply_async(verifier.score, (pictures, some)))
            log.info("%d pictures drawn", at + len(some))
        totals = np.concatenate([task.get()["total"] for task in scored])
    pictures = np.concatenate(drawn).reshape(num, judge_losses.GROUP, world.SIDE, world.SIDE, 3)
    totals = totals.reshape(num, judge_losses.GROUP)
    np.savez(path, prompts=np.array(prompts), pictures=pictures, totals=totals)
    log.info("mean total %.3f, spread %.3f", totals.mean(), totals.std(1).mean())


if __name__ == "__main__":
    main()
