"""Every format there and back, in every kind of file; what it cannot hold is counted; whatever is
sent, the answer is rows and faults."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.errors import InputError
from backend.preferences import formats
from backend.preferences.formats import Losses, Row, _containers, _rows
from backend.services import sources
from backend.services.pictures import Archive, Folder
from tests import factory

QUICK = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(
    lambda text: bool(text.strip())
)
MARKUP = st.sampled_from(
    ["<script>alert(1)</script>", "a\u2028b", "=cmd()", "“x”, {[", '"\\', "\n"]
)
NAME = st.sampled_from(["x.png", "a/b.jpg", "7", "ä b"])
TIME = st.integers(0, 2_000_000_000_000).map(lambda ms: ms / 1000)


@st.composite
def rows(draw: st.DrawFn) -> Row:
    shown = draw(TIME)
    aspects = draw(st.dictionaries(TEXT, st.sampled_from(["left", "tie"]), max_size=2))
    regions = draw(st.lists(st.fixed_dictionaries({"x": st.floats(0, 1)}), max_size=1))
    answers = {"aspects": aspects, "regions": regions}
    answers = {name: value for name, value in answers.items() if value}
    images = [f"{place}{draw(NAME)}" for place in range(4)]
    number, said = draw(st.sampled_from([(2, ""), (2, ""), (0, ""), (1, "rated"), (4, "ranked")]))
    texts = {}
    if number == 0:
        images = ["", ""]
        texts = {"text_a": draw(TEXT), "text_b": draw(MARKUP), "subject": draw(st.just("") | NAME)}
        texts["text_b"] = f"b{texts['text_b']}"
    if said and draw(st.booleans()):
        said = "skip"
    if said == "rated":
        answers = {"rating": draw(st.integers(1, 5))}
        answers |= {"checklist": {draw(TEXT): draw(st.booleans())}} if draw(st.booleans()) else {}
    elif said == "ranked":
        answers = {"best": "c", "worst": draw(st.sampled_from("abd"))}
    return Row(
        prompt=draw(TEXT | MARKUP.filter(str.strip)),
        image_a=images[0],
        image_b=images[min(1, number - 1)],
        more=images[2:number],
        **texts,
        preferred=said or draw(st.sampled_from(["a", "b", "tie", "both_bad", "skip"])),
        shown_left=draw(st.sampled_from(["a", "b"])),
        annotator=draw(st.just("") | TEXT),
        simulated=draw(st.booleans()),
        t_shown=shown,
        t_answer=shown + draw(st.sampled_from([0, 0.25, 3])),
        reasons=draw(st.lists(TEXT, max_size=2)),
        comment=draw(st.just("") | TEXT | MARKUP),
        id=draw(st.just("") | TEXT),
        answers=answers,
        implicit=draw(st.booleans()),
        chooser=draw(st.sampled_from(["", "random"])),
        propensity=draw(st.sampled_from([1.0, 0.25])),
    )


def expected(row: Row, form: str) -> Row | None:
    """What a row comes back as: all that the format holds, the rest as when nothing is known."""
    holds = formats.REGISTRY.get(form).HOLDS
    if (_rows.contents(row) & _rows.VERDICTS) - holds:
        return None
    kept = {"prompt", "image_a", "image_b", "preferred"}
    kept |= {field for name, fields in PARTS.items() if name in holds for field in fields}
    plain = Row(row.prompt, row.image_a, row.image_b, row.preferred, more=row.more)
    if row.is_text and form == "trl":  # words or pictures: what they are, the study says
        one, other = (row.text_a, row.text_b)[:: 1 if row.preferred == "a" else -1]
        return replace(plain, image_a=one, image_b=other, preferred="a")
    if row.is_text:
        plain = replace(plain, text_a=row.text_a, text_b=row.text_b, subject=row.subject)
    if row.preferred in ("rated", "ranked"):
        plain = replace(plain, answers=row.answers)
    plain = replace(plain, **{name: getattr(row, name) for name in kept})
    if "times" in holds and "times shown" not in holds:
        plain = replace(plain, t_shown=row.t_answer)
    if form == "trl" and row.preferred == "b":
        plain = replace(plain, image_a=row.image_b, image_b=row.image_a, preferred="a")
    return plain


PARTS = {
    "sides": ["shown_left"],
    "annotators": ["annotator"],
    "marks": ["simulated", "implicit"],
    "times shown": ["t_shown"],
    "times": ["t_answer"],
    "reasons": ["reasons"],
    "comments": ["comment"],
    "ids": ["id"],
    "aspects": ["answers"],
    "propensities": ["chooser", "propensity"],
}


@pytest.mark.parametrize("form", formats.writable())
@QUICK
@given(given_rows=st.lists(rows(), max_size=4))
def test_every_format_comes_back_but_for_what_it_counts(form: str, given_rows: list[Row]) -> None:
    module = formats.REGISTRY.get(form)
    there = [one for row in given_rows if (one := expected(row, form))]
    tables = ("parquet", "arrow") if hasattr(module, "COLUMNS") else ()
    for file in ("lines", "array", *tables):
        losses = Losses()
        data = b"".join(formats.written(given_rows, form, file, losses))
        items = list(formats.items(io.BytesIO(data), form))
        assert not [item.fault for item in items if item.fault]
        back = [row for item in items for row in item.rows]
        for one, other in zip(back, there, strict=True):
            assert one.t_shown == pytest.approx(other.t_shown, abs=1e-4)
            assert one.t_answer == pytest.approx(other.t_answer, abs=1e-4)
            same = {"t_shown": 0.0, "t_answer": 0.0}
            assert replace(one, **same) == replace(other, **same)
        assert losses.written == len(there)
        assert sum(losses.left_out.values()) == len(given_rows) - len(there)
        assert not set(losses.lost) & module.HOLDS
        assert bool(losses.sentence()) == bool(losses.lost or losses.left_out or losses.changed)


def read(text: str | bytes, form: str = "auto") -> tuple[list[Row], list[tuple[int, str, str]]]:
    data = text.encode() if isinstance(text, str) else text
    items = list(formats.items(io.BytesIO(data), form))
    faults = [(i.number, i.fault.column, i.fault.reason) for i in items if i.fault]
    return [row for item in items for row in item.rows], faults


def decided(found: list[Row]) -> list[tuple[str, str, str, str]]:
    return [(row.image_a, row.image_b, row.preferred, row.annotator) for row in found]


def test_hpd_is_read_in_all_its_layouts() -> None:
    train = {"prompt": "p", "file_path": ["x", "y"], "human_preference": [0, 1]}
    annotations = [{"rank": [1, 2, 3], "user_hash": "u"}, {"rank": [2, 2, 1], "user_hash": "v"}]
    test = {"prompt": "p", "image_path": ["x", "y", "z"], "raw_annotations": annotations}
    flat = {"prompt": "p", "image_left_id": "x", "image_right_id": "y", "pref": -1, "user_id": -7}
    assert decided(read(json.dumps([train]))[0]) == [("x", "y", "b", "")]
    assert decided(read(json.dumps([test]))[0]) == [
        ("x", "y", "a", "u"),
        ("x", "z", "a", "u"),
        ("y", "z", "a", "u"),
        ("x", "y", "tie", "v"),
        ("x", "z", "b", "v"),
        ("y", "z", "b", "v"),
    ]
    assert decided(read(json.dumps(flat))[0]) == [("x", "y", "b", "-7")]
    assert formats.REGISTRY.get("hpd-flat").write is None
    with pytest.raises(InputError, match="cannot be written as 'hpd-flat'"):
        formats.written([], "hpd-flat")
    bad = [{**train, "human_preference": [1, 1]}, {**test, "raw_annotations": [{"rank": [1]}]}]
    assert [fault[:2] for fault in read(json.dumps(bad), "hpd")[1]] == [
        (1, "human_preference"),
        (1, "raw_annotations[0].rank"),
    ]


def test_imagereward_rows_of_one_picture_are_gathered_by_their_prompt() -> None:
    one = [
        {"prompt_id": key, "prompt": key, "image_path": f"{key}{rank}", "rank": rank}
        for key, ranks in (("p", (1, 2, 2)), ("q", (2, 1)))
        for rank in ranks
    ]
    one[2]["image_path"] = "p3"
    found, faults = read("\n".join(json.dumps(row) for row in one))
    assert not faults and [row.preferred for row in found] == ["a", "a", "tie", "b"]
    assert found[0].id == "p/0-1" and found[3].id == "q"
    ranked = {"prompt": "p", "generations": ["x", "y"], "ranking": [2, 1]}
    assert decided(read(json.dumps([ranked]))[0]) == [("x", "y", "b", "")]


def test_other_tools_own_layouts_are_read() -> None:
    argilla = {
        "fields": {"prompt": "p", "image_0": "x", "image_1": "y"},
        "responses": {"preference": [{"value": v, "user_id": u} for v, u in (("image_1", "u"),)]},
    }
    older = {**argilla, "responses": [{"values": {"label": {"value": "tie"}}, "user_id": "w"}]}
    found, faults = read(json.dumps([argilla, older]))
    assert not faults and decided(found) == [("x", "y", "b", "u"), ("x", "y", "tie", "w")]
    task = {
        "data": {
            "prompt": "p",
            "image1": "/data/upload/3/x%20y.png",
            "image2": "/data/local-files/?d=set/y.png",
        },
        "annotations": [
            {"result": [{"type": "pairwise", "value": {"selected": "right"}}], "completed_by": 4},
            {"result": [], "was_cancelled": True, "completed_by": {"email": "a@b"}},
        ],
    }
    assert decided(read(json.dumps([task]))[0]) == [
        ("x y.png", "set/y.png", "b", "4"),
        ("x y.png", "set/y.png", "skip", "a@b"),
    ]
    empty = {**task, "annotations": [{"result": []}]}
    assert "without a choice" in read(json.dumps([empty]))[1][0][2]


def test_clicks_prefer_what_was_clicked_to_what_was_seen_beside_it() -> None:
    row = {"prompt": "p", "shown": ["x", "y", "z"], "clicked": "z", "downloaded": ["x"]}
    found, _faults = read(json.dumps(row))
    assert decided(found) == [
        ("x", "y", "a", "implicit"),
        ("x", "z", "a", "implicit"),
        ("y", "z", "b", "implicit"),
    ]
    assert all(one.implicit for one in found)
    counted = [
        {"image": name, "views": 100, "clicks": n}
        for name, n in zip("xyz", (50, 20, 22), strict=True)
    ]
    rates = {"prompt": "p", "images": counted}
    assert decided(read(json.dumps(rates))[0]) == [
        ("x", "y", "a", "implicit"),
        ("x", "z", "a", "implicit"),
    ]
    assert read(json.dumps({**row, "clicked": ["w"]}))[1][0][1] == "clicked"


def test_pictures_come_as_bytes_in_the_row() -> None:
    picture = factory.png(5)
    table = pa.table(
        {
            "caption": ["p"],
            "jpg_0": [picture],
            "image_0_uid": ["u0"],
            "image_1_uid": ["u1"],
            "label_0": [1.0],
            "label_1": [0.0],
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out)
    (row,), faults = read(out.getvalue())
    assert not faults and row.blobs == {"jpg_0": picture} and row.image_b == "u1"
    image = {"bytes": picture, "path": None}
    own = pa.table({"prompt": ["p"], "chosen": [image], "rejected": ["y"]})
    out = io.BytesIO()
    pq.write_table(own, out)
    assert read(out.getvalue())[0][0].blobs == {"chosen": picture}


@pytest.mark.parametrize("file", ["lines", "array"])
def test_a_broken_record_leaves_the_others(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    good = json.dumps({"prompt": "p, ] } [", "chosen": 'x"\\', "rejected": "y"})
    pieces = [good, '{"prompt": nope}', good, '{"prompt": "\xff"}', good, "7", good]
    text = ",\n".join(pieces) if file == "array" else "\n".join(pieces)
    data = (f"[{text}]" if file == "array" else text).encode("latin-1")
    for chunk in (7, 1 << 20):
        monkeypatch.setattr(_containers, "CHUNK", chunk)
        found, faults = read(data, "trl")
        assert len(found) == 4
        assert [fault[:2] for fault in faults] == [
            (2, "character 12"),
            (4, "line"),
            (6, "line"),
        ] or (file == "array" and [fault[0] for fault in faults] == [2, 4, 6])
        assert "not UTF-8 (byte 0xff)" in faults[1][2]


def test_files_that_end_too_early_or_are_too_wide_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    good = json.dumps({"prompt": "p", "chosen": "x", "rejected": "y"})
    assert "cut off" in read(f"[{good}, {good[:9]}", "trl")[1][0][2]
    assert "behind the end" in read(f"[{good}] x", "trl")[1][0][2]
    assert "nested too deeply" in read("[" * 100_000 + "]" * 100_000, "trl")[1][0][2]
    monkeypatch.setattr(_containers, "LONGEST", 60)
    monkeypatch.setattr(_containers, "CHUNK", 60)
    wide = json.dumps({"prompt": "p" * 300})
    found, faults = read(f"{good}\n{wide}\n{good}", "trl")
    assert len(found) == 2 and faults[0][0] == 2 and "longer than 60" in faults[0][2]
    assert "more than 60" in read(f"[{wide}]", "trl")[1][0][2]
    with pytest.raises(InputError, match="UTF-16"):
        read(good.encode("utf-16"))
    with pytest.raises(InputError, match="no Parquet file that opens"):
        read(b"PAR1 nothing")
    out = io.BytesIO()
    pq.write_table(pa.table({"prompt": ["p"]}), out)
    assert read(out.getvalue(), "trl")[1] == [(1, "chosen", "is missing")]


# --- whatever is sent -----------------------------------------------------------------------------

JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | MARKUP,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
COLUMNS = sorted({key for name in formats.readable() for key in formats.REGISTRY.get(name).KEYS})


@settings(QUICK, max_examples=40)
@given(
    form=st.sampled_from(formats.readable()),
    records=st.lists(st.dictionaries(st.sampled_from(COLUMNS), JSONISH, max_size=8), max_size=3),
)
def test_any_record_is_rows_or_a_fault(form: str, records: list[dict[str, Any]]) -> None:
    found, faults = read("\n".join(json.dumps(record) for record in records), form)
    assert all(column and reason for _number, column, reason in faults)
    assert all(isinstance(row.prompt, str) and row.preferred for row in found)


@QUICK
@given(
    data=st.binary(max_size=300),
    head=st.sampled_from([b"", b"PAR1", b"ARROW1", b"[", b"{", b"\xff" * 4]),
)
def test_any_file_is_items_or_a_sentence(data: bytes, head: bytes) -> None:
    try:
        items = list(formats.items(io.BytesIO(head + data), "trl"))
    except InputError as error:
        assert str(error).endswith(".")
    else:
        assert all(item.rows or item.fault for item in items)


HOSTILE = st.sampled_from(
    [
        "../x",
        "/etc/passwd",
        "..\\x",
        "a\0b",
        "a/../../x",
        "C:\\x",
        "x" * 3000,
        "\u202etxt",
        ".",
        "",
        "..",
        "a//b",
        "link",
    ]
) | st.text(max_size=12)


@QUICK
@given(name=HOSTILE, member=HOSTILE)
def test_no_name_leads_outside(tmp_path: Path, name: str, member: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir(exist_ok=True)
    (tmp_path / "x").write_bytes(b"secret")
    (tmp_path / "x.png").write_bytes(b"secret")
    if not (inside / "link").exists():
        (inside / "link").symlink_to(tmp_path / "x")
    before = sorted(tmp_path.rglob("*"))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("rows.jsonl", "{}")
        archive.writestr(member or "m", b"picture")
    places = [Folder(inside), Archive(packed).beside("rows.jsonl")]
    for place in places:
        try:
            assert place.read(name) in (b"picture", b"{}")
        except InputError as error:
            assert str(error)
    path = tmp_path.parent / f"{tmp_path.name}.zip"
    path.write_bytes(packed.getvalue())
    try:
        with sources.opened(path) as parts:
            assert {part.path.parent.name.startswith("palate-rows-") for part in parts} == {True}
    except InputError as error:
        assert str(error)
    assert sorted(tmp_path.rglob("*")) == before
    path.unlink()


def test_an_archive_that_unpacks_to_far_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.services.pictures.HARMLESS_BYTES", 10_000)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.jsonl", b" " * 20_000_000)
    with pytest.raises(InputError, match="times its size"), sources.opened(path):
        pass
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + b"\xff" * 40 + whole[100:])
    monkeypatch.setattr("backend.services.pictures.MAX_RATIO", 10**9)
    with pytest.raises(InputError, match="cannot be unpacked"), sources.opened(path):
        pass


def test_folders_of_hugging_face_datasets_are_read_as_they_list_themselves(tmp_path: Path) -> None:
    rows = [Row("p", "x", "y", "a"), Row("q", "x", "y", "tie")]
    for split, some in (("train", rows[:1]), ("test", rows[1:])):
        (tmp_path / split).mkdir()
        data = b"".join(formats.written(some, "datasets"))
        (tmp_path / split / "data-0.arrow").write_bytes(data)
        (tmp_path / split / "old.arrow").write_bytes(data)
        files = [{"filename": "data-0.arrow"}, {"filename": "../../outside.arrow"}]
        (tmp_path / split / "state.json").write_text(json.dumps({"_data_files": files}))
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test", "../.."]}')
    with sources.opened(tmp_path) as parts:
        assert [part.name for part in parts] == ["train/data-0.arrow", "test/data-0.arrow"]
        found = [row for part in parts for row in read(part.path.read_bytes())[0]]
    assert found == rows
