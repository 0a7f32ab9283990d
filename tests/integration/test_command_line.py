"""The command line: what it refuses, what goes in and comes out, what it is made of."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

from tests import factory
from tests.conftest import ROOT, free_port
from tests.terminal import palate, process, refused


def test_a_port_in_use_a_lost_redis_and_a_bad_folder_each_get_a_sentence(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        refused(
            process("up", "--port", port, home=home), f"Port {port}", "already in use", "--port"
        )
    nowhere = {"PALATE_REDIS_URL": "redis://127.0.0.1:1/0"}
    refused(palate("up", "--port", str(free_port()), home=home, **nowhere), "no Redis answers")
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    refused(palate("up", home=in_the_way), "data folder", "PALATE_HOME")
    open_bind = palate("up", "--host", "0.0.0.0", "--port", str(free_port()), home=other)
    refused(open_bind, "PALATE_HOST")
    refused(palate("up", home=home, PALATE_PORT="many"), "PALATE_PORT")
    refused(palate("worker", "train", home=home), "no Redis to take work from", "palate up")
    refused(palate("worker", "paint", home=home), "no queue 'paint'", "generate")


def test_prompts_go_in_and_labels_come_out_on_the_command_line(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "mine.txt"
    file.write_text("a red circle\na blue square\n")
    done = process("import", "prompts", str(file), home=home)
    assert done.code == 0 and "Imported 2 prompts as 'mine'" in done.stdout
    refused(palate("import", "prompts", str(file), home=home), "already a prompt set 'mine'")
    file.write_text("")
    refused(palate("import", "prompts", str(file), "--name", "n", home=home), "mine.txt")
    file.write_text('{"prompt": "fine"}\n{"prompt": 3}\n')
    refused(palate("import", "prompts", str(file), "--name", "n", home=home), "line 2")
    refused(palate("import", "prompts", str(tmp_path / "no"), home=home), "cannot be read")
    assert palate("export", "labels", home=home).stdout == ""
    person = ("user", "add", "Ada", "--no-password", "--email", "ada@example.org")
    done = palate(*person, home=home)
    assert done.code == 0 and "Added Ada" in done.stdout
    assert "Ada" in palate("user", "list", home=home).stdout
    refused(palate(*person, home=home), "Ada")


def test_labels_go_out_with_their_pictures_and_into_another_studio(tmp_path: Path) -> None:
    rows, home, other = tmp_path / "rows.jsonl", tmp_path / "home", tmp_path / "other"
    for name in "xy":
        (tmp_path / f"{name}.png").write_bytes(factory.png(ord(name)))
    pair = {"prompt": "a cat", "image_a": "x", "image_b": "y.png"}
    judged = [{**pair, "preferred": choice, "annotator": "Ada"} for choice in ("b", "both_bad")]
    rows.write_text("\n".join(map(json.dumps, judged)))
    done = palate("import", "labels", str(rows), home=home)
    assert done.stdout == "Imported 2 labels with 2 new pictures and 1 new prompt.\n", done.stderr
    done = palate("import", "labels", str(rows), home=home)
    assert done.stdout == "Imported nothing new. Already here: 2.\n"
    out = tmp_path / "out" / "labels.jsonl"
    folder = tmp_path / "pictures"
    done = palate("export", "labels", "--out", str(out), "--pictures", str(folder), home=home)
    assert done.stdout == f"Wrote 2 labels to {out}.\n" and len(list(folder.iterdir())) == 2
    again = palate("import", "labels", str(out), "--pictures", str(folder), home=other)
    assert again.stdout == "Imported 2 labels with 2 new pictures and 1 new prompt.\n"
    assert palate("export", "labels", home=other).stdout == out.read_text()
    trl = palate("export", "labels", "--format", "trl", home=other)
    assert "Left out, for want of a place: both bad (1)" in trl.stderr
    rows.write_text(json.dumps(pair))
    assert (
        "Imported nothing new. Already here: 1."
        in palate("import", "pairs", str(rows), home=home).stdout
    )
    (tmp_path / "x.png").write_text("no picture")
    rows.write_text(json.dumps({**pair, "prompt": "a dog"}))
    refused(palate("import", "pairs", str(rows), home=home), "line 1", "'x' is not a picture")
    refused(
        palate("import", "labels", str(rows), home=home), "line 1", "of no format that is known"
    )
    missing = ("import", "labels", str(rows), "--pictures", str(tmp_path / "none"))
    refused(palate(*missing, home=home), "no folder")


def test_the_doctor_names_what_it_looked_at_and_what_is_missing(tmp_path: Path) -> None:
    done = process("doctor", home=tmp_path / "home")
    assert done.code == 0, done.stdout
    for name in ("Python", "Model stack", "Redis", "Database", "Pocket model", "Data folder"):
        assert f"ok        {name}" in done.stdout
    nowhere = {"PALATE_REDIS_URL": "redis://127.0.0.1:1/0"}
    done = palate("doctor", home=tmp_path / "home", **nowhere)
    assert done.code == 1 and "MISSING   Redis" in done.stdout and "→" in done.stdout


def test_help_reads_well_and_loads_neither_gradio_nor_torch(tmp_path: Path) -> None:
    code = (
        "import sys, workers.cli\nsys.argv = ['palate', '--help']\n"
        "try: workers.cli.main()\nexcept SystemExit: pass\n"
        "sys.exit(bool({'torch', 'gradio', 'rq', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    for word in ("up", "worker", "loop", "import", "export", "user", "doctor"):
        assert f"\n  {word} " in done.stdout
