"""What the pocket judge is trained to lower, and what is measured of it on held-out prompts.

One loss: the cross-entropy of the answer's words after `<judge>`. Pictures are roughened first, in
ways that change nothing they show.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.pocket import judge, judge_lessons
from backend.pocket.judge_lessons import CAPTION, TEXT, lessons

if TYPE_CHECKING:
    from backend.pocket.train_judge import Bank

GROUP: Final = 8
"""Pictures of one prompt in a file of drawn pictures."""


class Drawn(NamedTuple):
    """Pictures (N, 8, 64, 64, 3) of the pocket model, their totals (N, 8) and prompts (N, 20)."""

    pictures: Tensor
    totals: Tensor
    pair: Tensor
    fits: Tensor


def load_drawn(path: Path, device: torch.device) -> Drawn:
    """Read what `draw_groups` wrote."""
    found = np.load(path, allow_pickle=False)
    prompts = [str(prompt) for prompt in found["prompts"]]
    pictures = torch.from_numpy(found["pictures"])
    pair = [judge_lessons.text_ids(f"{judge.WHICH_FITS} {p}") for p in prompts]
    fits = [judge_lessons.text_ids(f"{judge.DOES_FIT} {p}") for p in prompts]
    totals = torch.from_numpy(found["totals"].astype(np.float32))
    columns = (pictures, totals, torch.tensor(pair), torch.tensor(fits))
    return Drawn(*(column.to(device) for column in columns))


# ---------------------------------------------------------------- losses


def losses(
    model: Any, bank: Bank, drawn: Drawn | None, batch: int, first: float
) -> dict[str, Tensor]:
    """Comparisons, questions and descriptions; drawn groups join the first two in one pass each."""
    pictures, pair, better, questions, answers, about, caption = bank.pick(batch)
    device = pair.device
    looks = roughen(pictures.flatten(0, 1)).unflatten(0, (batch, 2))
    rows = torch.arange(batch, device=device)
    ahead = torch.rand(batch, device=device) < first  # whether the better picture stands first
    lead = torch.where(ahead, better, 1 - better)
    shown = torch.stack([looks[rows, lead], looks[rows, 1 - lead]], 1)
    which = torch.randint(questions.shape[1], (batch,), device=device)
    pairs = [(pair, shown, winner_ids(ahead), torch.ones(batch, device=device))]
    asked = [
        (
            questions[rows, which],
            looks[rows, about[rows, which]][:, None],
            answers[rows, which],
            torch.ones(batch, device=device),
        )
    ]
    if drawn is not None:
        more = _drawn_lessons(drawn, batch // 2, first)
        pairs.append(more[0])
        asked.append(more[1])
    some = slice(0, batch // 4)
    return {
        "pair": _answer_loss(model, pairs),
        "question": _answer_loss(model, asked),
        "caption": _caption_loss(model, looks[some, 0], caption[some]),
    }


Asked = tuple[Tensor, Tensor, Tensor, Tensor]
"""Texts (B, 20), pictures (B, 1 or 2, 3, 64, 64), answer ids (B,) and weights (B,)."""


def _answer_loss(model: Any, parts: list[Asked]) -> Tensor:
    text, pictures, answer, weight = (torch.cat(column) for column in zip(*parts, strict=True))
    loss = F.cross_entropy(answer_logits(model, text, pictures), answer, reduction="none")
    return (loss * weight).sum() / weight.sum()


def _drawn_lessons(drawn: Drawn, num: int, first: float) -> tuple[Asked, Asked]:
    """Comparisons inside drawn groups, and whether one picture fits where that is clear."""
    device, known = drawn.totals.device, judge.words()
    group = torch.randint(len(drawn.totals), (num,), device=device)
    one = torch.randint(GROUP, (num,), device=device)
    two = (one + torch.randint(1, GROUP, (num,), device=device)) % GROUP
    gap = drawn.totals[group, one] - drawn.totals[group, two]
    ahead = torch.rand(num, device=device) < first
    lead = torch.where((gap > 0) == ahead, one, two)
    rest = one + two - lead
    shown = torch.stack([drawn.pictures[group, lead], drawn.pictures[group, rest]], 1)
    looks = roughen(shown.flatten(0, 1), 0.6).unflatten(0, (num, 2))
    sure = (gap.abs() / 0.15).clamp(max=1)  # a small gap may be the verifier's own noise
    total = drawn.totals[group, lead]
    truth = torch.where(total > 0.93, known[judge.YES], known[judge.NO])
    clear = ((total > 0.93) | (total < 0.75)).float()
    pairs = (drawn.pair[group], looks, winner_ids(ahead), sure)
    return pairs, (drawn.fits[group], looks[:, :1], truth, clear)


def _caption_loss(model: Any, pictures: Tensor, caption: Tensor) -> Tensor:
    text = torch.tensor(judge_lessons.text_ids(judge.DESCRIBE), device=caption.device)
    prompt, images = text.expand(len(caption), TEXT), pictures[:, None]
    hidden = read(model, prompt, images, caption[:, :-1])
    logits = model.lm_head(hidden[:, -CAPTION:])
    return F.cross_entropy(logits.flatten(0, 1).float(), caption.flatten(), ignore_index=0)


def answer_logits(model: Any, text: Tensor, pictures: Tensor) -> Tensor:
    """Logits (B, V) of the word after `<judge>`; text (B, 20), pictures (B, 1 or 2, 3, 64, 64)."""
    logits: Tensor = model.lm_head(read(model, text, pictures)[:, -1])
    return logits.float()


def read(model: Any, text: Tensor, pictures: Tensor, answer: Tensor | None = None) -> Tensor:
    """Hidden states (B, T, 192) of text, pictures, `<judge>` and what is answered so far."""
    known, num = judge.words(), len(text)
    slots = text.new_full((num, pictures.shape[1] * judge.NUM_PATCHES), known[judge.IMAGE])
    parts = [text, slots, text.new_full((num, 1), known[judge.JUDGE])]
    tokens = torch.cat(parts if answer is None else [*parts, answer], 1)
    mask = torch.ones_like(tokens)
    mask[:, :TEXT] = text != 0
    states: Tensor = model.model(
        input_ids=tokens,
        pixel_values=pictures.flatten(0, 1),
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        use_cache=False,
    ).last_hidden_state
    return states


def winner_ids(first_is_better: Tensor) -> Tensor:
    """The answer's token: "first" where that picture is better, else "second"."""
    known = judge.words()
    return torch.where(first_is_better, known[judge.FIRST], known[judge.SECOND])


def roughen(pictures: Tensor, amount: float = 1.0) -> Tensor:
    """(B, 64, 64, 3) uint8 → (B, 3, 64, 64) in [−1, 1], most softened, sharpened, tinted or noisy.

    None of it changes what a picture shows, so a judge that has learnt with it is not moved by it.
    """
    x = signal(pictures)
    num, device = len(x), x.device

    def draws(low: float, high: float) -> Tensor:
        """Uniform where a picture is touched at all, which two in three are; else 0."""
        touched = torch.rand(num, 1, 1, 1, device=device) < 0.67
        return amount * touched * (low + (high - low) * torch.rand(num, 1, 1, 1, device=device))

    kernel = torch.tensor([0.06, 0.24, 0.4, 0.24, 0.06], device=device)
    square = (kernel[:, None] * kernel[None, :]).expand(3, 1, 5, 5)
    soft = F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), square.to(x.dtype), groups=3)
    x = x + draws(-0.8, 1.0) * (soft - x)
    gray = x.mean(1, keepdim=True)
    x = gray + (1 + draws(-0.2, 0.35)) * (x - gray)
    x = (1 + draws(-0.12, 0.12)) * x + draws(-0.1, 0.1)
    x = x + 0.06 * amount * torch.randn(num, 3, 1, 1, device=device)
    x = x + draws(0.0, 0.1) * torch.randn_like(x)
    frame = torch.rand(num, 1, 1, 1, device=device) < 0.05 * amount
    inside = torch.zeros_like(x[:1, :1])
    inside[..., 2:-2, 2:-2] = 1
    tone = 2 * torch.rand(num, 1, 1, 1, device=device) - 1
    x = torch.where(frame & (inside == 0), tone, x)
    return x.clamp(-1, 1)


def signal(pictures: Tensor) -> Tensor:
    """(B, 64, 64, 3) uint8 → (B, 3, 64, 64) in [−1, 1]."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


# ---------------------------------------------------------------- figures


@torch.inference_mode()
def measure(model: Any, held: Path | None, device: torch.device, num: int = 1500) -> dict[str, Any]:
    """On held-out prompts: accuracy and flips of rendered and drawn pairs; questions; captions."""
    columns = [torch.from_numpy(column).to(device) for column in lessons(num, 77, "heldout")]
    pictures, pair, better, questions, answers, about, caption = columns
    looks = signal(pictures.flatten(0, 1)).unflatten(0, (len(pair), 2))
    rows = torch.arange(len(pair), device=device)
    figures: dict[str, Any] = {"rendered": _compared(model, pair, looks, better == 0)}
    right = [
        answer_logits(model, questions[:, i], looks[rows, about[:, i]][:, None]).argmax(1)
        == answers[:, i]
        for i in range(questions.shape[1])
    ]
    figures["questions"] = round(torch.stack(right).float().mean().item(), 4)
    text = torch.tensor(judge_lessons.text_ids(judge.DESCRIBE), device=device)
    hidden = read(model, text.expand(len(pair), TEXT), looks[:, :1], caption[:, :-1])
    said = model.lm_head(hidden[:, -CAPTION:]).argmax(-1)
    figures["caption_words"] = round((said == caption)[caption != 0].float().mean().item(), 4)
    if held is not None:
        drawn = load_drawn(held, device)
        one, two = torch.triu_indices(GROUP, GROUP, 1, device=device)
        gap = (drawn.totals[:, one] - drawn.totals[:, two]).flatten()
        both = torch.stack([drawn.pictures[:, one], drawn.pictures[:, two]], 2).flatten(0, 1)
        prompts = drawn.pair[:, None].expand(-1, len(one), -1).flatten(0, 1)
        for least in (0.02, 0.1, 0.2):
            keep = (gap.abs() >= least).nonzero()[:, 0]
            seen = signal(both[keep].flatten(0, 1)).unflatten(0, (len(keep), 2))
            figures[f"drawn_{least}"] = _compared(model, prompts[keep], seen, gap[keep] > 0)
    return figures


def _compared(
    model: Any, prompts: Tensor, pictures: Tensor, first_is_better: Tensor
) -> dict[str, float]:
    """Both orders: accuracy of the mean probability, and the share of contradictions."""
    one = _chance(model, prompts, pictures)
    other = 1 - _chance(model, prompts, pictures.flip(1))
    right = (((one + other) / 2 > 0.5) == first_is_better).float().mean().item()
    flips = ((one > 0.5) != (other > 0.5)).float().mean().item()
    says_first = torch.cat([one, 1 - other]).gt(0.5).float().mean().item()
    return {
        "pairs": len(prompts),
        "accuracy": round(right, 4),
        "flips": round(flips, 4),
        "says_first": round(says_first, 4),
    }


def _chance(model: Any, prompts: Tensor, pictures: Tensor) -> Tensor:
    """The probability that the first picture fits better, from the two answer words alone."""
    known, parts = judge.words(), []
    pair = [known[judge.FIRST], known[judge.SECOND]]
    for at in range(0, len(prompts), 500):
        logits = answer_logits(model, prompts[at : at + 500], pictures[at : at + 500])
        parts.append(logits[:, pair].softmax(1)[:, 0])
    return torch.cat(parts)
