"""How a text is looked up in another language; the browser's tests ask pages the same."""

from __future__ import annotations

import pytest

from backend.errors import InputError
from backend.languages import CHINESE, ENGLISH, LANGUAGES, Translator, catalogue, preferred

ENTRIES = {
    "No disk": "没有磁盘",
    "Go on.": "继续。",
    "running": "运行中",
    "failed: {0}": "失败：{0}",
    "{0} failed": "{0}失败",
    "{0} min": "{0} 分钟",
    "{0} ago": "{0}前",
    "{0} runs": "{0} 次运行",
    "{0} of {1}": "{0} / {1}",
    "step {0}": "第 {0} 步",
    "step {0}: {1}": "第 {0} 步：{1}",
    "Run '{0}' ended.": "运行“{0}”已结束。",
    "{0} and {1} pull apart here": "{0} 与 {1} 在此意见相反",
    "At most {0}.": "至多 {0}。",
}
TOLD = {
    "as it stands": ("No disk", "没有磁盘"),
    "with spaces at its ends": (" No disk ", " 没有磁盘 "),
    "with its first letter large": ("Running", "运行中"),
    "without its stop": ("No disk.", "没有磁盘。"),
    "what is filled in": ("6 min ago", "6 分钟前"),
    "what is filled in is a text": ("failed: No disk", "失败：没有磁盘"),
    "a space between Chinese and figures": ("3 failed", "3 失败"),
    "none between Chinese and Chinese": ("No disk failed", "没有磁盘失败"),
    "a name in quotes": ("Run 'No disk' ended.", "运行“No disk”已结束。"),
    "a name of many words in quotes": ("Run 'look at it' ended.", "运行“look at it”已结束。"),
    "parts between dots": ("2 runs · 6 min ago", "2 次运行 · 6 分钟前"),
    "parts between semicolons": ("2 runs; step 3", "2 次运行；第 3 步"),
    "sentences": ("Run 'x' ended. Go on.", "运行“x”已结束。继续。"),
    "a list": ("2 runs, 3 failed", "2 次运行，3 失败"),
    "a prompt at the end": ("step 3: two cats right of a dog", "第 3 步：two cats right of a dog"),
    "names within many words": ("ann and no one pull apart here", "ann 与 no one 在此意见相反"),
    "two words that look like a pattern": ("She runs", "She runs"),
    "a prompt that looks like a pattern": ("a cup of green tea", "a cup of green tea"),
    "prose before a pattern's word": ("step back and look", "step back and look"),
    "a text that nobody knows": ("Something else", "Something else"),
    "figures alone": ("3.5 %", "3.5 %"),
}
"""Ways to look a text up: the text and what is shown."""


@pytest.mark.parametrize("way", list(TOLD))
def test_a_text_is_looked_up(way: str) -> None:
    text, shown = TOLD[way]
    assert Translator(ENTRIES)(text) == shown


def test_more_letters_win_over_fewer() -> None:
    told = Translator({"{0} left": "剩余 {0}", "{0} min left": "还有 {0} 分钟"})
    assert told("3 min left") == "还有 3 分钟"


def test_every_text_of_the_catalogue_comes_out_as_its_translation() -> None:
    told = Translator(catalogue(CHINESE))
    plain = {key: value for key, value in catalogue(CHINESE).items() if "{" not in key}
    assert {key: told(key) for key in plain} == plain


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", CHINESE),
        ("zh-Hans-SG", CHINESE),
        ("zh", CHINESE),
        ("zh-TW,en;q=0.8", ENGLISH),
        ("en-US,en;q=0.9,zh-CN;q=0.8", ENGLISH),
        ("de,zh;q=.5,en;q=.7", ENGLISH),
        ("fr, zh-CN", CHINESE),
        ("zh;q=nonsense", CHINESE),
        ("*", ENGLISH),
        ("", ENGLISH),
    ],
)
def test_the_browser_decides_before_anybody_has_chosen(accept: str, language: str) -> None:
    assert preferred(accept) == language


def test_english_has_no_catalogue_and_strange_tags_are_refused() -> None:
    assert ENGLISH in LANGUAGES and not catalogue(ENGLISH)
    with pytest.raises(InputError, match="no language 'xx'"):
        catalogue("xx")
