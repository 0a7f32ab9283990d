"""Rules about the code itself: what CONTRIBUTING promises, checked."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from backend.config import Config
from backend.registry import Registry, methods, policies, rewards

ROOT = Path(__file__).parents[2]
FOLDERS = ("app", "backend", "db", "workers")
PYTHON = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
SCRIPTS = sorted((ROOT / "static" / "js").rglob("*.js"))
REGISTRIES = (methods, policies, rewards)
ENTRIES = [(registry, name) for registry in REGISTRIES for name in registry.names()]
ENTRY_IDS = [f"{registry.noun}-{name}" for registry, name in ENTRIES]
TESTS = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


@pytest.mark.parametrize("module", ["app.main", "workers.cli", "backend.services.runs"])
def test_the_web_process_and_the_command_line_start_without_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_command_line_starts_without_gradio() -> None:
    code = "import sys, workers.cli; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(("registry", "name"), ENTRIES, ids=ENTRY_IDS)
def test_every_entry_says_what_it_is_and_has_a_config(registry: Registry, name: str) -> None:
    module = registry.get(name)
    assert module.TITLE and issubclass(module.Config, Config)
    if registry is not policies:
        assert module.SOURCE and module.SUMMARY


@pytest.mark.parametrize(("registry", "name"), ENTRIES, ids=ENTRY_IDS)
def test_every_entry_is_tested_and_documented(registry: Registry, name: str) -> None:
    stem = name.replace("-", "_")
    assert name in TESTS or stem in TESTS, f"no test names {registry.noun} '{name}'"
    docs = "\n".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    assert f"`{name}`" in docs, f"no page of docs/ names {registry.noun} `{name}`"


def _configs() -> list[type[Config]]:
    for registry, name in ENTRIES:
        registry.get(name)
    importlib.import_module("backend.rl.recipe")
    found, waiting = [], [Config]
    while waiting:
        for child in waiting.pop().__subclasses__():
            waiting.append(child)
            if child.__module__.startswith("backend."):
                found.append(child)
    return found


def test_every_setting_has_help_and_a_reader() -> None:
    source = "\n".join(path.read_text() for path in PYTHON)
    silent, unread = [], []
    for config in _configs():
        for field, info in config.model_fields.items():
            label = f"{config.__module__}.{config.__qualname__}.{field}"
            if not info.description:
                silent.append(label)
            if not re.search(rf"\.{field}\b", source):
                unread.append(label)
    assert not silent, f"settings without help: {silent}"
    assert not unread, f"settings nobody reads: {unread}"


def test_every_recipe_loads_and_cites_its_paper() -> None:
    recipes = importlib.import_module("backend.recipes")
    for name in recipes.names():
        config = recipes.load(name)
        methods.get(config.method.name).Config.read(config.method.settings)
        text = (ROOT / "backend" / "recipes" / f"{name}.toml").read_text()
        assert text.startswith("#"), f"{name}.toml opens without its comment"
        assert "arXiv" in text.split("\n\n")[0], f"{name}.toml does not cite its paper"


def test_every_job_kind_resolves_to_a_run_function() -> None:
    for path in sorted((ROOT / "workers" / "jobs").glob("[a-z]*.py")):
        tree = ast.parse(path.read_text())
        runs = [
            node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "run"
        ]
        assert runs, f"{path.name} defines no run(job_id, attempt)"
        assert [a.arg for a in runs[0].args.args] == ["job_id", "attempt"]


def test_nine_in_ten_files_have_at_most_400_lines() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in (*PYTHON, *SCRIPTS)}
    long = {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > 400}
    assert len(long) <= len(lengths) / 10, long


def test_nothing_is_pickled_and_weights_are_safetensors() -> None:
    banned = re.compile(
        r"^\s*(import|from) (pickle|dill|cloudpickle|joblib)|torch\.(load|save)\(", re.M
    )
    guilty = [str(path.relative_to(ROOT)) for path in PYTHON if banned.search(path.read_text())]
    assert guilty == [
        "workers/unpickling.py"
    ]  # the child that turns others' weights into safe ones
    child = (ROOT / guilty[0]).read_text()
    assert child.count("torch.load(") == 1 and "weights_only=True" in child


def test_pages_never_write_markup_from_data() -> None:
    banned = re.compile(r"\.innerHTML\s*[+]?=(?!=)|insertAdjacentHTML|document\.write|\beval\(")
    guilty = [str(path.relative_to(ROOT)) for path in SCRIPTS if banned.search(path.read_text())]
    assert not guilty


def test_the_project_names_no_path_of_the_machine_it_was_made_on() -> None:
    banned = re.compile(rb"/(work|root|farm)/[a-z.]|/opt/(wheels|pypi)")
    guilty = [
        str(path.relative_to(ROOT))
        for path in _tracked()
        if path.suffix not in {".woff2", ".png", ".safetensors", ".jpg"}
        and path.exists()
        and path != Path(__file__)
        and banned.search(path.read_bytes())
    ]
    assert not guilty


def test_docs_link_only_to_files_that_exist() -> None:
    broken = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert not broken


def test_the_readme_tree_is_the_real_tree() -> None:
    tree = re.search(r"```\n(app/.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert tree, "README shows no tree"
    named = set(re.findall(r"^(\w+)/", tree.group(1), re.M))
    real = {
        path.parts[len(ROOT.parts)] for path in _tracked() if len(path.relative_to(ROOT).parts) > 1
    }
    assert named == {name for name in real if not name.startswith(".")}


def test_migrations_only_grow() -> None:
    folder = ROOT / "db" / "migrations" / "versions"
    numbers = sorted(path.name[:4] for path in folder.glob("[0-9]*.py"))
    assert numbers == [f"{n + 1:04d}" for n in range(len(numbers))]
    down = [
        re.search(r"down_revision.*=\s*(.+)", (next(folder.glob(f"{n}*"))).read_text())
        for n in numbers
    ]
    assert all(down), "a migration does not say which one it follows"
