"""A reward of spans: how right each word is drawn, reduced to a value as its settings declare."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from backend import registry
from backend.rewards import _judge_price, word_scores
from backend.rewards.interface import Scores, checked, judge_calls, routed
from backend.rl.collect import _joined
from tests.unit.test_rewards_judge import chat, serve, shades  # noqa: F401
from workers.remote_scorer import as_json, from_json

THREE = {"alignment": 5, "coherence": 3, "style": 1}


def answered(**errors: float) -> dict[str, Any]:
    return {"words": [{"word": w, "error": e} for w, e in errors.items()], **THREE}


def load(address: str, **config: Any) -> Any:
    module = registry.rewards.get("word-scores")
    config = {"model": "m", "backoff_s": 0.005, "timeout_s": 120.0, **config}
    return checked(module.load(module.Config.read({"address": address, **config})), "words")


@pytest.mark.parametrize(("reduce", "value"), [("mean", (0.9 + 0.4) / 2), ("least", 0.4)])
def test_the_declared_reduction_makes_the_value_and_the_words_stay(
    serve: Any,  # noqa: F811
    reduce: str,
    value: float,
) -> None:
    said = {"a red circle": answered(red=1, circle=6), "a blue square": answered(green=2)}
    server = serve(lambda prompt, times: chat(json.dumps(said[prompt])))
    reward = load(server.address, reduce=reduce)
    assert judge_calls(reward, [0, 0]) == 2
    scores = reward.score(shades(2), list(said))
    assert scores.values[0] == pytest.approx(value) and np.isnan(scores.values[1])
    assert [(w, pytest.approx(v)) for w, v in scores.spans[0]] == [("red", 0.9), ("circle", 0.4)]
    assert scores.spans[1] == [] and "does not stand in the text" in scores.reasons[1]
    assert scores.parts["worst word"][0] == 6 and scores.parts["coherence"][0] == 0.5


def test_what_is_no_answer_has_no_value() -> None:
    read = word_scores.read
    assert read(answered(), "red", "mean").reason == "scored no word"
    assert "no number of 0 to 10" in read(answered(red=11), "red", "mean").reason
    assert read(answered(RED=0), "a  Red circle", "least").value == 1.0
    one = word_scores.Worded(0.5, spans=(("a", 0.5), ("b", 0.5)))
    other = word_scores.Worded(1.0, spans=(("a", 1.0), ("b", 1.0)))
    strange = word_scores.Worded(0.0, spans=(("b", 0.0),))
    silent = word_scores.Said(None, "said nothing")
    assert word_scores._together([silent, one, strange, other]) == [("a", 0.75), ("b", 0.75)]
    assert word_scores._together([silent]) == []


def test_words_travel_with_their_values() -> None:
    """To another worker and back, through prompts that are not asked about, and in parts."""
    scores = Scores.of([0.1, 1.0])
    scores.spans[:] = [[("red", 0.1)], []]
    assert from_json(json.loads(json.dumps(as_json(scores)))).spans == scores.spans

    class Given:
        shape = "pointwise"

        def score(self, images: np.ndarray, prompts: list[str]) -> Scores:
            return scores

    wanted = np.array([False, True, True])
    whole = routed(checked(Given(), "w"), ["a", "b", "c"], shades(3), [0, 0, 0], wanted)
    assert whole.spans == [[], [("red", 0.1)], []]
    assert _joined([Scores.of([1.0]), scores]).spans == [[], *scores.spans]
    assert _joined([Scores.of([1.0]), Scores.of([2.0])]).spans == []


def test_its_price_is_foretold_like_a_judges() -> None:
    config = {"address": "http://127.0.0.1:1/v1", "votes": 3}
    asked = _judge_price.asked("word-scores", config)
    assert asked is not None and asked.pictures == 1
    assert _judge_price.calls("word-scores", config, np.array([4, 4])) == 24
