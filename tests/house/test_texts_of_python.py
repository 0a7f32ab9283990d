"""What Python hands to pages stands in the Chinese catalogue, and the catalogue has nothing else.

`python_texts.py` takes the texts out of Configs, registries and the source. What no page shows is
left out here by module or by text, with the reason.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest

from app.choices import PROPER as PROPER_CHOICES
from app.choices import WORDS
from backend.languages import CHINESE, LOCALES, translator
from tests.house import python_texts as texts

ROOT = Path(__file__).parents[2]
FILES = ("forms", "cards", "alarms", "preflight", "answers", "training", "formats", "report")
"""Files of the catalogue for texts of Python; the others are of pages."""
SCOPE = ("app/**/*.py", "backend/**/*.py", "workers/**/*.py")

ELSEWHERE = {
    "app/shell.py": "drawn as pages are; tests/house/test_texts_of_pages.py has it",
    "app/language.py": "says which languages there are, and asks for the catalogue itself",
    "app/pages": "titles and paths, in the menu that app/shell.py draws",
    "app/forms.py": "words of labels, which are read as forms draw them",
    "app/choices.py": "words of choices, which are read as forms draw them",
    "app/theme.py": "style sheets",
    "app/access.py": "who may use an address",
    "backend/languages.py": "the catalogues themselves",
    "backend/services/report_markup.py": "markup; the texts of a report are in the others",
    "backend/rl/alarms.py": "its rules are read as they are loaded",
}
"""Modules whose texts are found or shown another way."""
NO_PAGE = {
    "app/api/reference.py": "the reference of the API, for programmers",
    "app/main.py": "said on the terminal when the studio starts",
    "app/sdk.py": "the Python client, for programmers",
    "app/vendor.py": "files that pages load",
    "backend/pocket": "faults of the program, and what is asked of a judge in its own words",
    "backend/services/replays.py": "`palate replay` alone says it",
    "backend/settings.py": "settings from the environment, refused before there is a page",
    "backend/preferences/intervals.py": "faults of the program",
    "backend/preferences/simulated.py": "faults of the program",
    "backend/preferences/annotators.py": "faults of the program",
    "backend/preferences/choosing.py": "faults of the program",
    "backend/rl/team.py": "faults between processes, told in the log alone",
    "backend/rl/shards.py": "faults between processes, told in the log alone",
    "workers/auditing.py": "`palate audit` alone says it",
    "workers/bench": "`palate bench` alone says it",
    "workers/bundling.py": "`palate bundle` and `palate replay` alone say it",
    "workers/cli.py": "the command line",
    "workers/converting.py": "`palate convert` alone says it",
    "workers/open_clip.py": "`palate convert` alone says it",
    "workers/unpickling.py": "`palate convert` alone says it",
    "workers/doctor.py": "`palate doctor` alone says it",
    "workers/exchange.py": "`palate import` and `palate export` alone say it",
    "workers/home.py": "said on the terminal when the studio starts",
    "workers/loop.py": "`palate loop` alone says it",
    "workers/main.py": "said on the terminal when a worker starts",
    "workers/people.py": "`palate user` alone says it",
    "workers/probing.py": "`palate probe` alone says it",
    "workers/reconciler.py": "the log of the supervisor",
    "workers/redis_server.py": "said on the terminal when the studio starts",
    "workers/report.py": "`palate bench --json` alone says it",
    "workers/studio_worker.py": "the log of a worker",
    "workers/supervisor.py": "the log of the supervisor",
    "workers/terminal.py": "the command line",
    "workers/up.py": "said on the terminal when the studio starts",
}
"""Modules whose texts no page shows."""
UNSHOWN = re.compile(
    r"""
      ^\(\?|\\s|\\d|\\n|%[sd(]|^\w+\|\w                               # expressions and logs
    | ^(You\ (judge|are|may)|A\ (picture|question)\ was|Two\ pictures\ were|Does\ the\ picture)\b
    | ^(Each\ picture\ is|If\ you\ must|Answer\ each|Decide\ for|Reply\ with|Reason\ in)\b
    | ^(The\ (first|third)\ picture\ is|This\ is\ the\ part|Is\ "\{0\}"\ what|a\ photo\ of)\b
    | ^A\ run\ of\ Palate,\ as\ a\ bundle | ^hf\ download | ^Bearer | ^attachment; | ^default-src
    | ^(private|public),\ max-age | ^openid | ^which\ fits | ^does\ it\ fit | ^python\ -m
    | ^Answer\ as\ JSON | ^Rate\ the\ picture | ^Value\ error | ^max\(R, | ^christophschuhmann/
    | ^backend/[\w/]+\.py$ | ^palate\ bundle\ | ^pipeline\.load | ^select\ (pg_|page_)\w+
    """,
    re.VERBOSE,
)
"""What is asked of a judge, headers, expressions, what is typed, and what is written to a log."""
PROGRAM = {
    "faulty pictures were told before",
    "A label judges pair {0}, which the ledger does not have; add it first.",
    "a group has a first row",
    "its id was found in this transaction",
    "only the first process of a team reads the run",
    "nobody has this password",
    "disk is full",
    "No space left",
    "Refined request",
    "given up",
    "{0} {1}s",
    "pairs implied",
    "pocket train",
    "pocket heldout",
    "{0} apart",
    "file size",
    "number of",
    "left of",
    "right of",
}
"""Checks of the program itself, names that are kept as data, and parts of words."""
PROPER = {
    "AWM", "Beta", "Beta1", "Beta2", "Bfloat16", "BranchGRPO", "CLIPScore", "DanceGRPO",
    "DenseGRPO", "DiffusionNFT", "FLUX.1", "Flow-DPO", "Flow-GRPO", "Flow-GRPO-Fast", "Flow-RWR",
    "GRPO-Guard", "GenEval", "G²RPO", "HPD v2", "HPS v2.1", "HPSv3", "ImageReward", "KL",
    "LoRA alpha", "MB", "MixGRPO", "MixGRPO-Flash", "Pick-a-Pic v2", "PickScore", "Pref-GRPO",
    "Psi", "Qwen-Image", "Sana", "Stable Diffusion 3", "TempFlow-GRPO", "Top p",
    "UnifiedReward 2.0", "VQAScore", "Webhook", "Z-Image", "nats", "pocket",
    "{0}, pocket",
}  # fmt: skip
"""Names that are written the same in Chinese."""


@cache
def shown() -> dict[str, str]:
    """Every text that a page may show, and where it comes from."""
    found: dict[str, str] = {}
    for name, several in (
        ("forms", texts.of_forms()),
        ("registries", texts.of_registries()),
        ("alarms", texts.of_alarms()),
        ("validation", texts.of_validation()),
    ):
        found |= {text: name for text in texts.plain(several)}
    for path in sorted({path for pattern in SCOPE for path in ROOT.glob(pattern)}):
        name = str(path.relative_to(ROOT))
        if any(name == left or name.startswith(f"{left}/") for left in {**ELSEWHERE, **NO_PAGE}):
            continue
        for line, text in texts.of_source(path):
            if not texts.CITATION.match(text):
                found.setdefault(text, f"{name}:{line}")
    left_out = PROGRAM | PROPER
    return {
        text: where
        for text, where in found.items()
        if text not in left_out and not UNSHOWN.search(text)
    }


def test_every_text_of_python_is_in_the_chinese_catalogue() -> None:
    told = translator(CHINESE)
    missing = [
        f"{where}: {text}"
        for text, where in shown().items()
        if text not in told.exact and ("{" in text or told._by_pattern(text) is None)
    ]
    assert not missing, "not in static/locales/zh-CN:\n" + "\n".join(missing)


@pytest.mark.parametrize("name", FILES)
def test_the_catalogue_of_python_holds_what_python_says(name: str) -> None:
    whole = [text for text in shown() if "{" not in text]
    unused = []
    for key in _entries(name):
        if key not in shown():
            pattern = re.compile("(.+?)".join(map(re.escape, re.split(r"\{\d+\}", key))))
            if "{" not in key or not any(pattern.fullmatch(text) for text in whole):
                unused.append(key)
    assert not unused, f"{name}.json has what nothing says: {unused}"


@pytest.mark.parametrize("name", FILES)
def test_a_translation_keeps_what_is_filled_in_and_is_chinese(name: str) -> None:
    holes = re.compile(r"\{\d+\}")
    for key, value in _entries(name).items():
        assert sorted(holes.findall(key)) == sorted(holes.findall(value)), key
        assert "}{" not in key, f"nothing parts what is filled in: {key}"
        assert re.search("[\u3000-\u9fff\uff00-\uffef]", value) or key == "{0} of {1}", key
        assert not re.search("[\u4e00-\u9fff][,;:?!]", value), f"half-width mark: {value}"


def test_every_choice_of_a_form_has_words_or_is_a_name() -> None:
    named = {(name, value) for name, values in PROPER_CHOICES.items() for value in values}
    worded = {(name, value) for name, words in WORDS.items() for value in words}
    assert not named & worded
    assert not texts.choices() - named - worded


def test_left_out_modules_are_there() -> None:
    assert not [name for name in {**ELSEWHERE, **NO_PAGE} if not (ROOT / name).exists()]


def test_the_extractor_reads_sentences_as_they_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        '"""Not a text of pages."""\n'
        "def refuse(name, many):\n"
        '    """Nor this."""\n'
        "    log.info('nor is this one')\n"
        "    raise InputError(\n"
        "        f\"'{name}' has {'many rows' if many else 'no row'} in {len(name):,} files, \"\n"
        '        "so split it."\n'
        "    )\n"
        "    return counted(many, 'label')\n",
        encoding="utf-8",
    )
    assert {text for _, text in texts.of_source(path)} == {
        "'{0}' has many rows in {1} files, so split it.",
        "'{0}' has no row in {1} files, so split it.",
        "{0} label",
        "{0} labels",
    }


def _entries(name: str) -> dict[str, str]:
    path = LOCALES / CHINESE / f"{name}.json"
    entries: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return entries
