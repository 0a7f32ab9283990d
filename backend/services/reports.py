"""Reports: one HTML page of a run to send to a colleague. Pictures and curves are inside, nothing
is asked of any host, and nothing from the store can turn into markup."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from PIL import Image
from sqlalchemy import select

from backend.preferences.intervals import Z95
from backend.services import comparisons, runs
from backend.services.bundles import media_of
from backend.services.media import sniff
from backend.services.studio import Studio
from db.tables import Comparison, Evaluation, Iteration, Policy

SIDE = 320
"""Longest side of a picture in a report; small ones stay as they are."""
MOST_PICTURES = 12
"""Prompts shown at each of the chosen steps."""
COLUMNS = 5
"""Steps of which pictures are shown: the first, the last, and some between."""
MOST_POINTS = 400
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 340, 160, 44, 22, 10
CURVES = (
    ("reward/", "reward_se/", "Rewards while training"),
    ("heldout/", "heldout_se/", "Rewards on held-out prompts"),
    ("gain/", "gain_se/", "Gain on held-out prompts"),
)
SINGLES = ("spread", "kl", "diversity", "clip_share", "grad_norm", "groups_kept")
HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title><style>
:root{{color-scheme:light dark;
--line:light-dark(#d9dce0,#33383e);--muted:light-dark(#59616b,#9aa3ad)}}
body{{font:14px/21px system-ui,sans-serif;max-width:1080px;margin:0 auto;padding:24px}}
h1{{font-size:24px;line-height:32px;margin:0}} h2{{font-size:16px;margin:32px 0 8px}}
.m{{color:var(--muted)}} table{{border-collapse:collapse;font-variant-numeric:tabular-nums}}
td,th{{text-align:left;padding:3px 16px 3px 0;border-bottom:1px solid var(--line);
vertical-align:top}} th{{color:var(--muted);font-weight:400}} .n{{text-align:right}}
.c{{display:flex;flex-wrap:wrap;gap:24px}} figure{{margin:0}} figcaption b{{font-weight:600}}
svg{{display:block}} svg text{{font:11px system-ui;fill:var(--muted)}} .g{{stroke:var(--line)}}
.l{{fill:none;stroke:currentColor;stroke-width:1.5}} .b{{fill:currentColor;opacity:.12}}
img{{display:block;width:128px;height:128px;object-fit:contain;image-rendering:{render}}}
pre{{overflow:auto;padding:12px;border:1px solid var(--line);font:12px/18px ui-monospace,monospace}}
.p{{max-width:220px}}
</style></head><body>
"""


def stream(studio: Studio, run_id: int) -> Iterator[bytes]:
    """The page of a run, piece by piece."""
    run = runs.get(studio, run_id)
    return _written(studio, run)


def _written(studio: Studio, run: dict[str, Any]) -> Iterator[bytes]:
    shown = _shown(studio, run["id"])
    small = all(max(one.size) <= SIDE for one in _first_pictures(studio, shown))
    head = HEAD.format(title=escape(run["name"]), render="pixelated" if small else "auto")
    yield (head + _title(run)).encode()
    yield from _pictures(studio, shown)
    yield _curves(studio, run["id"]).encode()
    yield _votes(studio, run).encode()
    yield _settings(run).encode()
    yield b"</body></html>\n"


def _title(run: dict[str, Any]) -> str:
    made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(run["created_at"]))
    facts = [
        ("method", run["method_title"] if "method_title" in run else run["method"]),
        ("status", f"{run['status']}, step {run['step']} of {run['num_steps']}"),
        ("seed", run["seed"]),
        ("code", run["code_version"]),
        ("made", made),
        ("weights and references", ", ".join(h[:12] for h in media_of(run["config"])) or "none"),
    ]
    rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(str(v))}</td></tr>" for k, v in facts)
    return f'<h1>{escape(run["name"])}</h1><table style="margin-top:12px">{rows}</table>'


# curves -------------------------------------------------------------------------------------------


def _curves(studio: Studio, run_id: int) -> str:
    """Every reward with its 95 % band, and the few figures that say whether training is sound."""
    with studio.read() as session:
        trained = session.execute(
            select(Iteration.step, Iteration.metrics)
            .where(Iteration.run_id == run_id)
            .order_by(Iteration.step)
        )
        points = _thinned([(step, metrics) for step, metrics in trained])
        evaluated = session.execute(
            select(Evaluation.step, Evaluation.metrics)
            .where(Evaluation.run_id == run_id)
            .order_by(Evaluation.step)
        )
        held = [(step, metrics) for step, metrics in evaluated]
    parts = []
    for start, error, title in CURVES:
        source = points if start == "reward/" else held
        names = sorted({k.removeprefix(start) for _, m in source for k in m if k.startswith(start)})
        drawn = [_curve(name, source, start + name, error + name) for name in names]
        if drawn:
            parts.append(f'<h2>{escape(title)}</h2><div class="c">{"".join(drawn)}</div>')
    singles = [_curve(name, points, name, "") for name in SINGLES]
    if any(singles):
        parts.append(f'<h2>How it trained</h2><div class="c">{"".join(singles)}</div>')
    return "".join(parts)


def _thinned(rows: list[tuple[int, dict[str, Any]]]) -> list[tuple[int, dict[str, Any]]]:
    """At most so many points, the first and the last among them."""
    if len(rows) <= MOST_POINTS:
        return rows
    last = len(rows) - 1
    return [rows[round(i * last / (MOST_POINTS - 1))] for i in range(MOST_POINTS)]


def _curve(name: str, rows: Sequence[tuple[int, dict[str, Any]]], key: str, error: str) -> str:
    """A chart as SVG; empty when fewer than two values are known."""
    known = [
        (step, float(m[key]), float(m.get(error) or 0.0) * Z95)
        for step, m in rows
        if isinstance(m.get(key), int | float)
    ]
    if len(known) < 2:
        return ""
    low = min(value - half for _, value, half in known)
    high = max(value + half for _, value, half in known)
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    first, last = known[0][0], known[-1][0]

    def place(step: float, value: float) -> str:
        x = LEFT + (step - first) / max(last - first, 1) * (WIDTH - LEFT - 8)
        y = HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - TOP)
        return f"{x:.1f},{y:.1f}"

    line = " ".join(place(step, value) for step, value, _ in known)
    band = [place(s, v + h) for s, v, h in known] + [place(s, v - h) for s, v, h in known[::-1]]
    _step, value, half = known[-1]
    said = f"{value:.3f}" + (f" ± {half:.3f}" if half else "")
    grid = "".join(
        f'<path class="g" d="M{LEFT} {y}H{WIDTH - 8}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{at:.3g}</text>'
        for y, at in ((TOP, high), (HEIGHT - BOTTOM, low))
    )
    label = f"{escape(name)}, last {said}"
    edge = WIDTH - 8
    return (
        f'<figure><figcaption><b>{escape(name)}</b> <span class="m">{said}</span></figcaption>'
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{label}">'
        f'{grid}<polygon class="b" points="{" ".join(band)}"/><polyline class="l" points="{line}"/>'
        f'<text x="{LEFT}" y="{HEIGHT - 4}">{first}</text>'
        f'<text x="{edge}" y="{HEIGHT - 4}" text-anchor="end">step {last}</text></svg></figure>'
    )


# pictures -----------------------------------------------------------------------------------------


def _shown(studio: Studio, run_id: int) -> list[tuple[int, list[dict[str, Any]]]]:
    """(step, samples of the fixed prompts) of the first, the last, and some evaluations between."""
    with studio.read() as session:
        steps = list(
            session.scalars(
                select(Evaluation.step).where(Evaluation.run_id == run_id).order_by(Evaluation.step)
            )
        )
        last = len(steps) - 1
        many = min(COLUMNS, len(steps))
        picked = sorted({steps[round(i * last / max(many - 1, 1))] for i in range(many)})
        found = [
            (step, list(session.get_one(Evaluation, (run_id, step)).samples)[:MOST_PICTURES])
            for step in picked
        ]
    return [(step, samples) for step, samples in found if samples]


def _first_pictures(
    studio: Studio, shown: list[tuple[int, list[dict[str, Any]]]]
) -> Iterator[Image.Image]:
    for _step, samples in shown[:1]:
        for sample in samples[:1]:
            if studio.media.exists(sample["media"]):
                yield Image.open(io.BytesIO(studio.media.read(sample["media"])))


def _pictures(studio: Studio, shown: list[tuple[int, list[dict[str, Any]]]]) -> Iterator[bytes]:
    """A row for each fixed prompt, a column for each step; every picture is read by itself."""
    if not shown:
        return
    heads = "".join(f"<th>step {step}</th>" for step, _ in shown)
    yield f"<h2>The same prompts and seeds</h2><table><tr><th>prompt</th>{heads}</tr>".encode()
    by_prompt: dict[tuple[str, int], dict[int, dict[str, Any]]] = {}
    for step, samples in shown:
        for sample in samples:
            by_prompt.setdefault((sample["prompt"], sample["seed"]), {})[step] = sample
    for (prompt, seed), row in by_prompt.items():
        cells = "".join(f"<td>{_picture(studio, row.get(step))}</td>" for step, _ in shown)
        said = f'<td class="p">{escape(prompt)}<div class="m">seed {seed}</div></td>'
        yield f"<tr>{said}{cells}</tr>".encode()
    yield b"</table>"


def _picture(studio: Studio, sample: dict[str, Any] | None) -> str:
    if sample is None or not studio.media.exists(sample["media"]):
        return '<span class="m">not there</span>'
    data = studio.media.read(sample["media"])
    kind = sniff(data[:16])
    with Image.open(io.BytesIO(data)) as picture:
        if max(picture.size) > SIDE:
            picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            out = io.BytesIO()
            picture.convert("RGB").save(out, "JPEG", quality=85)
            data, kind = out.getvalue(), "image/jpeg"
    inside = base64.b64encode(data).decode()
    said = ", ".join(
        f"{k} {v:.3f}" for k, v in (sample.get("rewards") or {}).items() if v is not None
    )
    return (
        f'<img src="data:{kind};base64,{inside}" alt="{escape(sample["prompt"])}" '
        f'title="{escape(said)}">'
    )


# what people said, and the settings ---------------------------------------------------------------


def _votes(studio: Studio, run: dict[str, Any]) -> str:
    """Blind comparisons of what the run taught against other models."""
    with studio.read() as session:
        taught = set(session.scalars(select(Policy.id).where(Policy.run_id == run["id"])))
        here = select(Comparison.id).where(
            Comparison.tuned_policy_id.in_(taught) | Comparison.base_policy_id.in_(taught)
        )
        ids = list(session.scalars(here.order_by(Comparison.id)))
    rows = []
    for comparison_id in ids:
        row = comparisons.get(studio, comparison_id)
        for who, part in row["by"].items():
            if part["pairs"]:
                share = f"{part['win_rate']:.0%} ({part['low']:.0%} to {part['high']:.0%})"
                cells = (f"{row['tuned']} against {row['base']}", who, share, part["pairs"])
                rows.append("".join(f"<td>{escape(str(cell))}</td>" for cell in cells))
    if not rows:
        return ""
    head = "<tr><th>comparison</th><th>judged by</th><th>wins, 95 %</th><th>pairs</th></tr>"
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<h2>Judged blind</h2><table>{head}{body}</table>"


def _settings(run: dict[str, Any]) -> str:
    changed = ""
    if run["diff"]:
        rows = "".join(
            f"<tr><td>{escape(one['key'])}</td><td>{escape(json.dumps(one['parent']))}</td>"
            f"<td>{escape(json.dumps(one['mine']))}</td></tr>"
            for one in run["diff"]
        )
        head = "<tr><th>setting</th><th>the run it was cloned from</th><th>this run</th></tr>"
        changed = f"<h2>What differs from its parent</h2><table>{head}{rows}</table>"
    config = escape(json.dumps(run["config"], indent=1, ensure_ascii=False))
    return f"{changed}<h2>Settings</h2><pre>{config}</pre>"
