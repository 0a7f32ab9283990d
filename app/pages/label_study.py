"""Label, the items of one study: what is asked and how it is answered are the study's."""

from __future__ import annotations

from app.shell import page

TITLE = "Label"
PATH = "/label/{study_id:int}"


def build() -> None:
    """Draw the frame; static/js/label.js does the rest."""
    page(TITLE, PATH, "label", props={"pulse": False})
