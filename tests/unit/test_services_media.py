"""Media: named by content, whole or not there, pictures checked, remote places the same."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from backend.errors import EnvironmentProblem, InputError, NotFound
from backend.services.media import Media, sniff
from backend.settings import ROOT


def _png(side: int = 4) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(out, "PNG")
    return out.getvalue()


def test_a_file_is_named_by_its_content_and_stored_once(tmp_path: Path) -> None:
    media = Media(f"file://{tmp_path}")
    name = media.put(b"hello")
    assert name == hashlib.sha256(b"hello").hexdigest() == media.put(b"hello")
    assert media.read(name) == b"hello" and media.exists(name)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [name]
    source = tmp_path / "source"
    source.write_bytes(b"weights")
    assert media.local_path(media.put_file(source)).read_bytes() == b"weights"


def test_several_files_are_stored_together_or_none_of_them(tmp_path: Path) -> None:
    media = Media(str(tmp_path / "media"))
    first = media.put(b"one")
    names = media.put_all([b"one", b"two", b"two", b"three"])
    assert names[0] == first and names[1] == names[2] and len(set(names)) == 3
    assert [media.read(name) for name in names] == [b"one", b"two", b"two", b"three"]
    blocked = hashlib.sha256(b"blocked").hexdigest()
    (tmp_path / "media" / blocked[:2]).write_bytes(b"a file where its folder would be")
    with pytest.raises(EnvironmentProblem):
        media.put_all([b"four", b"blocked"])
    files = [path.name for path in (tmp_path / "media").rglob("*") if path.is_file()]
    assert sorted(files) == sorted([*set(names), blocked[:2]])


def test_what_is_not_there_or_no_name_is_refused(tmp_path: Path) -> None:
    media = Media(str(tmp_path))
    for name in ("0" * 64, "../../etc/passwd", "A" * 64, ""):
        with pytest.raises(NotFound):
            media.read(name)


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
from backend.errors import EnvironmentProblem
from backend.services.media import Media
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    Media(sys.argv[1]).put(bytes(5000))
except EnvironmentProblem as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "is full" in done.stdout and "5,000 bytes" in done.stdout, done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentProblem, match="could not be written"):
        Media(str(tmp_path / "file")).put(b"x")


def test_another_file_system_behaves_alike(tmp_path: Path) -> None:
    media = Media("memory://palate-test", cache=tmp_path)
    name = media.put(_png())
    assert media.exists(name) and media.put(_png()) == name
    assert media.read(name) == _png() and media.content_type(name) == "image/png"
    assert media.free_bytes() is None
    with pytest.raises(NotFound):
        media.read("1" * 64)


@pytest.mark.parametrize("place", ["file", "memory"])
def test_what_was_put_for_a_while_is_removed_and_leaves_no_copy(tmp_path: Path, place: str) -> None:
    url = f"file://{tmp_path}/media" if place == "file" else "memory://palate-parcels"
    media = Media(url, cache=tmp_path / "cache")
    name = media.put(b"a parcel")
    assert media.read(name, keep=False) == b"a parcel"
    media.remove(name)
    media.remove(name)  # gone already
    assert not media.exists(name)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    with pytest.raises(NotFound, match="not among the media"):
        media.read(name, keep=False)


def _encoded(mode: str, kind: str, **options: object) -> bytes:
    out, exif = io.BytesIO(), Image.Exif()
    exif[0x010E] = "made by model seven"
    picture = Image.effect_noise((24, 20), 90).convert(mode)
    picture.save(out, kind, exif=exif, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (_encoded("RGB", "JPEG", comment=b"made by model seven"), "image/jpeg"),
        (_encoded("L", "JPEG", progressive=True) + b"PK, model seven", "image/jpeg"),
        (_encoded("RGB", "PNG") + b"<script>model seven", "image/png"),
        (_encoded("RGB", "WEBP", lossless=True), "image/webp"),
        (_encoded("CMYK", "JPEG"), "image/png"),
        (_encoded("RGBA", "PNG"), "image/png"),
        (_encoded("P", "PNG"), "image/png"),
    ],
)
def test_pictures_are_checked_and_keep_nothing_but_their_pixels(
    tmp_path: Path, data: bytes, kind: str
) -> None:
    media = Media(str(tmp_path))
    name, width, height = media.put_picture(data)
    assert (width, height) == (24, 20) and media.content_type(name) == kind
    kept = media.read(name)
    assert b"model seven" not in kept
    pixels = [Image.open(io.BytesIO(one)).convert("RGB").tobytes() for one in (data, kept)]
    assert pixels[0] == pixels[1]
    assert media.put_picture(kept)[0] == name  # what came out goes in again as the same


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"not a picture", "not a picture"),
        (b"GIF89a" + bytes(20), "not a picture"),
        (_png(64)[:80], "damaged"),
        (b"", "not a picture"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Media(str(tmp_path)).put_picture(data, filename="holiday.png")
    assert "holiday.png" in str(caught.value) and list(tmp_path.iterdir()) == []


def test_a_picture_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.new("1", (9000, 9000)).save(out, "PNG")
    with pytest.raises(InputError, match="million pixels"):
        Media(str(tmp_path)).put_picture(out.getvalue())


def test_types_are_told_by_the_first_bytes() -> None:
    assert sniff(_png()[:16]) == "image/png"
    assert sniff(b"\xff\xd8\xff\xe0") == "image/jpeg"
    assert sniff(b"RIFF\0\0\0\0WEBPVP8 ") == "image/webp"
    assert sniff(b"<svg onload=") == "application/octet-stream"
