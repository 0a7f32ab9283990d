"""Train the pocket weights: `python -m backend.pocket.train --stage vae|model|blend|encoder`.

The stages run in this order; each writes its part below `static/pocket` and its figures into
`figures.json` there. On two cores: autoencoder 10 minutes, model 25. The encoder takes 5 minutes
of a GPU (`python -m backend.pocket.train_encoder`); on two cores it learns next to nothing in that.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from backend.pocket import (
    ENCODER_PATH,
    FIGURES_PATH,
    HELDOUT_PROMPTS_PATH,
    PIPELINE_DIR,
    TRAIN_PROMPTS_PATH,
    models,
    train_encoder,
    train_model,
    train_vae,
    world,
)
from backend.pocket.models import Parts

log = logging.getLogger(__name__)


def main() -> None:
    """Run the stages named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    stages = ("vae", "model", "blend", "encoder", "measure", "prompts")
    parser.add_argument("--stage", choices=stages, required=True)
    parser.add_argument("--name", default="model", help="under which the figures are kept")
    for field in dataclasses.fields(train_model.Plan):
        flag = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag, type=type(field.default), default=field.default)
    parser.add_argument("--folder", type=Path, default=PIPELINE_DIR, help="of the model")
    parser.add_argument("--cache", type=Path, help="a file that keeps encoded pictures")
    parser.add_argument("--other", type=Path, help="of the model to blend into --folder")
    parser.add_argument("--share", type=float, default=0.75, help="of the other model in the blend")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    if args.stage == "vae":
        record("vae", train_vae.train(PIPELINE_DIR / "vae"))
    elif args.stage == "model":
        names = [field.name for field in dataclasses.fields(train_model.Plan)]
        plan = train_model.Plan(**{name: getattr(args, name) for name in names})
        record(args.name, train_model.train(args.folder, plan, args.cache))
    elif args.stage == "blend":
        record("blend", train_model.blend(args.folder, args.other, args.share))
    elif args.stage == "encoder":
        record("encoder", train_encoder.train(ENCODER_PATH))
    elif args.stage == "measure":
        record("measured", measure())
    else:
        write_prompts()


def record(name: str, figures: dict[str, Any]) -> None:
    """Put `figures` under `name` into figures.json, beside what is there."""
    known = json.loads(FIGURES_PATH.read_text("utf-8")) if FIGURES_PATH.is_file() else {}
    known[name] = figures
    FIGURES_PATH.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    log.info("%s: %s", name, figures)


def write_prompts() -> None:
    """Write the sample prompts of both splits."""
    train, heldout = world.draw(512, 2024, "train"), world.draw(256, 2024, "heldout")
    TRAIN_PROMPTS_PATH.write_text("\n".join(train) + "\n", encoding="utf-8")
    HELDOUT_PROMPTS_PATH.write_text("\n".join(heldout) + "\n", encoding="utf-8")


def measure() -> dict[str, Any]:
    """Verifier by aspect, spread inside groups, parameters, size and speed of the trained model."""
    parts = train_model.load_parts(PIPELINE_DIR)
    modules = {"transformer": parts.transformer, "vae": parts.vae}
    modules |= {"text_encoder": parts.text_encoders[0]}
    size = sum(path.stat().st_size for path in PIPELINE_DIR.rglob("*") if path.is_file())
    return {
        "heldout": {k: round(v, 3) for k, v in train_model.evaluate(parts).items()},
        "group_spread": round(train_model.group_spread(parts), 3),
        "parameters": {k: sum(p.numel() for p in m.parameters()) for k, m in modules.items()},
        "megabytes": round(size / 1e6, 1),
        **speed(parts),
    }


@torch.inference_mode()
def speed(parts: Parts, batch: int = 64, repeats: int = 10) -> dict[str, float]:
    """Network evaluations and decoded pictures a second, batch 64, under bf16 autocast."""
    x = torch.randn(batch, models.LATENT_CHANNELS, models.LATENT_SIDE, models.LATENT_SIDE)
    prompts = world.draw(batch, 0, "heldout")
    ids = torch.tensor([train_model.token_ids(parts, prompt) for prompt in prompts])
    tokens, pooled = train_model.embed(parts, ids)
    calls: dict[str, Callable[[], Any]] = {
        "evaluations_per_s": lambda: parts.transformer(x, tokens, pooled, torch.ones(batch)),
        "decodes_per_s": lambda: parts.vae.decode(x),
    }
    figures: dict[str, float] = {}
    with torch.autocast("cpu", torch.bfloat16):
        for name, call in calls.items():
            call()
            start = time.perf_counter()
            for _ in range(repeats):
                call()
            figures[name] = round(batch * repeats / (time.perf_counter() - start))
    return figures


if __name__ == "__main__":
    main()
