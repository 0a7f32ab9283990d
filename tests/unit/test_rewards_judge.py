"""Judges on a server: what is read from an answer, and a server that does everything wrong."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from backend import registry
from backend.errors import ConfigError
from backend.rewards import _judge_formats as formats
from backend.rewards import _judge_pairs as pairs
from backend.rewards import _judge_points as points
from backend.rewards.interface import Failure, calls_made, checked, judge_calls
from tests.conftest import free_port

Answer = dict[str, Any] | bytes | int | None
"""JSON to say, raw bytes, a status to refuse with, or None to hang until the test is over."""


class Server:
    """A judge on a server: `says(prompt, times asked)` decides; counts what it was asked."""

    def __init__(self, says: Callable[[str, int], Answer]) -> None:
        self.says, self.asked, self.bodies = says, Counter[str](), []
        self.answered, self.over = Counter[str](), threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.bodies.append(body)
                server.respond(self, body)

        self.http = ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def respond(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        prompt = what(body)
        self.asked[prompt] += 1
        answer = self.says(prompt, self.asked[prompt])
        status, text = 200, b""
        if answer is None:
            self.over.wait()
        elif isinstance(answer, int):
            status = answer
        elif isinstance(answer, bytes):
            text = answer
        else:
            self.answered[prompt] += 1
            text = json.dumps(answer).encode()
        length = len(text) + (50 if text.endswith(b"...") else 0)  # "..." breaks off half way
        try:
            handler.send_response(status)
            handler.send_header("content-length", str(length))
            handler.send_header("connection", "close")
            handler.end_headers()
            handler.wfile.write(text)
            handler.close_connection = True
        except OSError:
            pass


def what(body: dict[str, Any]) -> str:
    """The prompt a question is about; the start check is "canary"."""
    text = body["messages"][0]["content"][0]["text"]
    if text == formats.CANARY_TEXT:
        return "canary"
    return text.split("Text: ")[1].split("\n")[0] if "Text: " in text else text


def chat(text: str, **more: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 90, "completion_tokens": 10}
    return {
        "choices": [{"message": {"content": text}, "finish_reason": "stop", **more}],
        "usage": usage,
    }


def verdict(word: str) -> dict[str, Any]:
    return chat(json.dumps({"verdict": word}))


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str, int], Answer]], Server]]:
    made: list[Server] = []

    def start(says: Callable[[str, int], Answer]) -> Server:
        def all_says(prompt: str, times: int) -> Answer:
            return verdict("north") if prompt == "canary" else says(prompt, times)

        made.append(Server(all_says))
        return made[-1]

    yield start
    for server in made:
        server.over.set()
        server.http.shutdown()
        server.http.server_close()


def pair_judge(address: str, **config: Any) -> Any:
    module = registry.rewards.get("judge-pair")
    config = {"model": "m", "backoff_s": 0.005, "timeout_s": 120.0, **config}
    return checked(module.load(module.Config.read({"address": address, **config})), "judge-pair")


def one_judge(address: str, **config: Any) -> Any:
    module = registry.rewards.get("judge")
    config = {"model": "m", "backoff_s": 0.005, "timeout_s": 120.0, "server": "plain", **config}
    return checked(module.load(module.Config.read({"address": address, **config})), "judge")


def hurry(judge: Any) -> None:
    """Have it wait no longer for any answer: its start check was answered in its own time."""
    client = judge.judge.asking.client
    client.settings = client.settings.model_copy(update={"timeout_s": 0.2})


def shades(num: int) -> np.ndarray:
    return np.arange(num, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Fine.\nFinal Score: 5", 1.0),
        ("**Final Score:** 2.0", 0.25),
        ("Final Score: **3**", 0.5),
        ("Final Score: 7", None),
        ("Final Score: 2 ... Final Score: 4", None),
        ("8/10", None),
        (":", None),
        ("Thought process:", None),
    ],
)
def test_a_score_is_read_or_there_is_none(text: str, value: float | None) -> None:
    said = points.read_point(text)
    assert said.value == value and bool(said.reason) == (value is None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("So Image 1 is better", 1.0),
        ("image 2 is  better.", 0.0),
        ("Both are equally good", 0.5),
        ("Image 1 is better ... no, Image 2 is better", None),
        ("Image 1 is better, or they are equally good", None),
        ("Solution", None),
        ("", None),
    ],
)
def test_a_verdict_is_read_and_two_that_differ_are_none(text: str, value: float | None) -> None:
    assert pairs.read_verdict(text).value == value


def test_yes_is_summed_over_its_spellings_and_clipped() -> None:
    def top(**said: float) -> dict[str, Any]:
        told = [
            {"token": token.replace("_", " "), "logprob": math.log(p)} for token, p in said.items()
        ]
        return {"choices": [{"logprobs": {"content": [{"top_logprobs": told}]}}]}

    both = formats.read_yes(top(Yes=0.3, _yes=0.3, No=0.2, x=0.1))
    assert both.value == pytest.approx(math.log(0.6 / 0.2))
    assert both.parts["probability"] == pytest.approx(0.75)
    assert formats.read_yes(top(Yes=0.9, x=0.01)).value == pytest.approx(math.log(90))
    assert formats.read_yes(top(yes=0.999999, x=1e-9)).value == formats.CLIP
    assert formats.read_yes(top(Maybe=0.9)).value is None
    assert formats.read_yes({"choices": [{"logprobs": None}]}).value is None


def test_a_checklist_counts_what_holds_and_an_essential_item_that_fails_is_nought() -> None:
    asked = points.format_of("checklist", ["!a circle", "red", "two"])

    def read(text: str) -> float | None:
        return asked.read(chat(text)).value

    assert read('{"answers": [true, true, false]}') == pytest.approx(2 / 3)
    assert read('```json\n{"answers": [true, true, true]}\n```') == 1.0
    assert read('{"answers": [false, true, true]}') == 0.0
    assert read('{"answers": [true, true]}') is None
    assert read('{"answers": [true, true, "yes"]}') is None
    assert read('{"answers": [tr') is None
    heavy = points.format_of("checklist", ["3 * two circles", "red"])
    assert heavy.read(chat('{"answers": [true, false]}')).value == 0.75


def test_an_answer_that_was_cut_off_or_is_empty_is_none() -> None:
    cut = formats.text_of(chat("Image 1 is better", finish_reason="length"))
    assert isinstance(cut, formats.Said) and "cut off" in cut.reason
    for data in ({}, {"choices": []}, {"choices": ["x"]}, chat("  ")):
        assert isinstance(formats.text_of(data), formats.Said)


def test_probabilities_of_typed_answers_are_checked() -> None:
    def answered(**one: Any) -> dict[str, Any]:
        return {"answers": {"q": one}}

    assert formats.read_typed(answered(probabilities={"first": 0.7}), "choice").value == 0.7
    assert formats.read_typed(answered(noul=0.75), "noul").value == pytest.approx(math.log(3))
    for wrong in (
        {},
        answered(probabilities={"first": 1.7}),
        answered(probabilities={"first": "a"}),
    ):
        assert formats.read_typed(wrong, "choice").value is None


# ---------------------------------------------------------------- a hostile server


def test_a_hostile_server_makes_up_no_number_and_nothing_is_judged_twice(serve: Any) -> None:
    def says(prompt: str, times: int) -> Answer:
        kind = prompt.split()[0]
        good = verdict("first")
        return {
            "good": good,
            "busy": good if times > 2 else 429,
            "ill": good if times > 1 else 503,
            "hangs": None,
            "half": b'{"choices": [{"message...',
            "wrong": b"<html>welcome</html>",
            "list": b"[1, 2]",
            "empty": {"choices": []},
            "free": chat("I like the first one."),
            "unsure": verdict("cannot_judge"),
            "tie": verdict("tie"),
            "refused": 400,
        }[kind]

    server = serve(says)
    kinds = ["good", "busy", "ill", "tie", "unsure"]
    kinds += ["hangs", "half", "wrong", "list", "empty", "free", "refused"]
    prompts = [f"{kind} {i}" for kind in kinds for i in range(2)]
    judge = pair_judge(server.address, breaker=100, concurrency=6)
    pictures = shades(len(prompts))
    hangs = np.array([prompt.startswith("hangs") for prompt in prompts])
    value = {}
    for part in (~hangs, hangs):  # who hangs until the test is over is not waited for
        if part[prompts.index("hangs 0")]:
            hurry(judge)
        asked = [prompt for prompt, is_part in zip(prompts, part, strict=True) if is_part]
        said = judge.compare(pictures[part], pictures[::-1][part], asked)
        told = zip(said.prefer_a, said.status, said.reasons, strict=True)
        value |= dict(zip(asked, told, strict=True))
    for kind, expected in (("good", 1.0), ("busy", 1.0), ("ill", 1.0), ("tie", 0.5)):
        assert value[f"{kind} 0"] == (expected, "ok", ""), value
    for kind in ("hangs", "half", "wrong", "list", "empty", "free", "refused"):
        number, status, reason = value[f"{kind} 0"]
        assert math.isnan(number) and status == "error" and reason, kind
    assert value["unsure 1"][1] == "abstain"
    again = judge.compare(pictures, pictures[::-1].copy(), prompts)
    first = [value[prompt][0] for prompt in prompts]
    assert np.array_equal(again.prefer_a, first, equal_nan=True)
    assert max(server.answered[prompt] for prompt in prompts) == 1
    assert all(server.asked[f"{kind} 0"] == 1 for kind in ("good", "hangs", "half", "wrong"))
    assert server.asked["busy 0"] == 3 and server.asked["ill 0"] == 2


def test_sampling_parameters_are_always_sent_and_pictures_come_last(serve: Any) -> None:
    server = serve(lambda prompt, times: verdict("second"))
    judge = pair_judge(server.address, server="vllm")
    assert judge.compare(shades(1), shades(1) + 5, ["p"]).prefer_a.tolist() == [0.0]
    canary, asked = server.bodies
    for body in (canary, asked):
        assert {"temperature", "top_p", "seed", "max_tokens", "structured_outputs"} <= set(body)
    parts = [part["type"] for part in asked["messages"][0]["content"]]
    assert parts == ["text", "image_url", "image_url"]
    hosted = pair_judge(server.address, server="openai")
    hosted.compare(shades(1), shades(1) + 5, ["p"])
    assert server.bodies[-1]["response_format"]["json_schema"]["strict"] is True


def test_a_server_that_ignores_constraints_judges_nothing() -> None:
    server = Server(lambda prompt, times: chat("banana") if prompt == "canary" else verdict("tie"))
    judge = pair_judge(server.address)
    for _ in range(2):
        said = judge.compare(shades(3), shades(3) + 9, ["a", "b", "c"])
        assert said.status == ["error"] * 3 and "ignores constraints" in said.reasons[0]
    assert sum(server.asked.values()) == 1  # and is not paid for finding out again
    server.http.shutdown()
    server.http.server_close()


def test_a_restart_in_the_middle_costs_only_what_was_asked_meanwhile(serve: Any) -> None:
    server = serve(lambda prompt, times: verdict("first"))
    judge = pair_judge(server.address, retries=1)
    assert judge.compare(shades(1), shades(1) + 9, ["a"]).status == ["ok"]
    port = server.http.server_port
    server.http.shutdown()
    server.http.server_close()
    down = judge.compare(shades(2), shades(2) + 9, ["a", "b"])
    assert down.status == ["ok", "error"] and "could not be reached" in down.reasons[1]
    server.http = ThreadingHTTPServer(("127.0.0.1", port), server.http.RequestHandlerClass)
    threading.Thread(target=server.http.serve_forever, args=(0.02,), daemon=True).start()
    up = judge.compare(shades(2), shades(2) + 9, ["a", "b"])
    assert up.status == ["ok", "ok"] and server.answered == {"canary": 1, "a": 1, "b": 1}


def test_after_many_failures_in_a_row_a_server_is_left_alone(serve: Any) -> None:
    server = serve(lambda prompt, times: 500)
    judge = pair_judge(server.address, retries=0, breaker=3, concurrency=1)
    said = judge.compare(shades(8), shades(8) + 9, [str(i) for i in range(8)])
    assert said.status == ["error"] * 8
    assert sum("left alone" in reason for reason in said.reasons) == 5
    assert sum(server.asked.values()) - server.asked["canary"] == 3
    assert "left alone" in said.reasons[-1]


def test_a_budget_is_not_exceeded(serve: Any) -> None:
    server = serve(lambda prompt, times: verdict("first"))
    many = [str(i) for i in range(9)]
    judge = pair_judge(server.address, budget_tokens=550, max_tokens=20, concurrency=2)
    said = judge.compare(shades(9), shades(9) + 9, many)
    spent = judge.judge.asking.client.spent
    assert spent.tokens <= 550 and said.status.count("ok") >= 3
    assert "budget of 550 tokens" in said.reasons[-1]
    prices = {"price_in": 1e4, "price_out": 1e4, "budget_money": 3.0}
    judge = pair_judge(server.address, concurrency=1, **prices)
    said = judge.compare(shades(9), shades(9) + 9, many)
    assert judge.judge.asking.client.spent.money == pytest.approx(3.0)  # the canary and two pairs
    assert said.status.count("ok") == 2


def test_votes_are_kept_one_by_one(serve: Any) -> None:
    words = iter(["first", "first", "second"] * 4)
    server = serve(lambda prompt, times: verdict(next(words)))
    judge = pair_judge(server.address, votes=3, temperature=0.7, concurrency=1)
    said = judge.compare(shades(1), shades(1) + 9, ["a"])
    assert said.prefer_a[0] == pytest.approx(2 / 3)
    assert [vote.value for vote in judge.judge.votes[0]] == [1.0, 1.0, 0.0]
    assert [body["seed"] for body in server.bodies[1:]] == [0, 1, 2]


def test_a_pointwise_judge_scores_with_votes_as_parts_and_foretells_its_calls(serve: Any) -> None:
    scores = iter((5, 3, 1, 1))
    server = serve(lambda prompt, times: chat(f"Final Score: {next(scores)}"))
    judge = one_judge(server.address, ask="point", votes=2, concurrency=1)
    assert judge_calls(judge, [0, 0]) == 4
    said = judge.score(shades(2), ["a", "b"])
    assert said.values.tolist() == [0.75, 0.0] and calls_made(judge) == 4
    assert said.parts["vote 1"].tolist() == [1.0, 0.0]
    assert said.parts["vote 2"].tolist() == [0.5, 0.0]


def test_answers_in_words_are_compared_beside_the_picture_they_are_about(serve: Any) -> None:
    server = serve(lambda prompt, times: verdict("second"))
    judge = pair_judge(server.address).judge
    said = judge.compare_texts(
        [shades(1)[0]] * 2, ["a {b}", "c"], ["d", "e"], ["Text: q", "Text: r"]
    )
    assert said.prefer_a.tolist() == [0.0, 0.0]
    parts = server.bodies[-1]["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url"]
    assert "First answer: " in parts[0]["text"]
    with pytest.raises(ConfigError, match="Answers in words"):
        pair_judge(server.address, ask="think").judge.compare_texts([], [], [], [])


def test_a_judge_may_look_closer_so_often_and_each_look_is_a_call(serve: Any) -> None:
    says = {"once": 2, "ever": 99, "wrong": 0}

    def answer(prompt: str, times: int) -> Answer:
        if prompt == "wrong":
            return chat("Look: picture 7, 0 0 1 1")
        return chat("Look: picture 1, 0 0 0.5 0.5" if times < says[prompt] else "Final Score: 5")

    server = serve(answer)
    judge = one_judge(server.address, ask="point", looks=2, concurrency=1)
    said = judge.score(shades(3), ["once", "ever", "wrong"])
    assert said.values[0] == 1.0 and said.parts["looks"][0] == 1.0
    assert said.status[1:] == ["error", "error"] and "more than 2" in said.reasons[1]
    assert "not there" in said.reasons[2]
    assert dict(server.asked) == {"once": 2, "ever": 3, "wrong": 1} and calls_made(judge) == 6
    last = server.bodies[-1]["messages"]
    assert [one["role"] for one in last] == ["user", "assistant", "user", "assistant", "user"]
    with pytest.raises(ConfigError, match="free text"):
        one_judge("", ask="yes", looks=1)


def test_yes_against_a_reference_is_asked_both_ways_and_is_nought_for_the_same(serve: Any) -> None:
    def answer(prompt: str, times: int) -> Answer:
        p = {1: 0.8, 2: 0.4}[times]  # better as the second; as the first, less often than not
        top = [{"token": word, "logprob": math.log(q)} for word, q in (("Yes", p), ("No", 1 - p))]
        return {"choices": [{"logprobs": {"content": [{"top_logprobs": top}]}}]}

    server = serve(answer)
    prompt = "a large red circle on a white background"
    judge = one_judge(server.address, references="pocket", concurrency=1)
    assert judge_calls(judge, [0]) == 2
    said = judge.score(np.zeros((1, 64, 64, 3), np.uint8), [prompt])
    assert said.values[0] == pytest.approx((math.log(4) - math.log(2 / 3)) / 2)
    urls = [[c["image_url"]["url"] for c in b["messages"][0]["content"][1:]] for b in server.bodies]
    assert urls[0] == urls[1][::-1] and len(urls[0]) == 2


def test_a_critic_asks_for_what_it_finds_wanting_and_failing_asks_for_nothing(serve: Any) -> None:
    def critique(faithful: str, request: str) -> dict[str, Any]:
        return chat(
            f"## Faithfulness\nx\nScore: {faithful}\n## Physics\nx\nScore: 4\n"
            f"## Text\nx\nScore: N/A\n## Refined request\n{request}\n"
        )

    says = {"a": critique("2.5", "a,\nbut red"), "b": critique("3", "b, but red"), "c": chat("?")}
    judge = one_judge(serve(lambda prompt, _times: says[prompt]).address, ask="rational").scorer
    *said, failed = judge.next_requests(["a", "b", "c"], ["a"] * 3, shades(3))
    assert said == ["a, but red", None]
    assert failed == Failure("error", "wrote not one part on faithfulness")
    module = registry.rewards.get("judge")
    asks = [module.Config(address="http://x/v1", model="m", ask=ask) for ask in ("rational", "yes")]
    assert [module.critiques(config) for config in asks] == [True, False]


def test_differences_are_from_a_stored_reference_and_without_one_nothing_is_asked(
    serve: Any, tmp_path: Any
) -> None:
    from backend.rewards import _references

    stored = tmp_path / "references"
    stored.write_bytes(_references.pack(shades(1) + 9, ["a"]))
    server = serve(lambda prompt, times: chat('{"errors": []}'))
    module = registry.rewards.get("judge")
    config = {"address": server.address, "model": "m", "server": "plain", "ask": "errors"}
    config |= {"references": "hash"}
    judge = checked(module.load(module.Config.read(config), lambda _name: stored), "judge")
    asked = judge.score(shades(2), ["a", "b"])
    assert asked.values[0] == 1.0
    assert asked.status[1] == "n/a" and "no reference picture" in asked.reasons[1]
    assert len(server.bodies) == 1
    with pytest.raises(ConfigError, match="set references"):
        one_judge("", ask="errors")


def test_one_criterion_is_compared_under_a_mask(serve: Any, tmp_path: Any) -> None:
    from PIL import Image

    mask = tmp_path / "mask.png"
    Image.new("L", (8, 8), 255).save(mask)
    server = serve(lambda prompt, times: verdict("tie"))
    module = registry.rewards.get("judge-pair")
    config = {"address": server.address, "model": "m", "ask": "criterion", "mask": "hash"}
    config |= {"criterion": "the colour of {things}"}
    judge = module.load(module.Config.read(config), lambda _name: mask)
    assert judge.compare(shades(1), shades(1) + 9, ["p"]).prefer_a.tolist() == [0.5]
    text, *pictures = server.bodies[-1]["messages"][0]["content"]
    assert len(pictures) == 3 and "the colour of {things}" in text["text"]
    for wrong in ({"ask": "criterion"}, {"criterion": "x"}, {"mask": "x"}):
        with pytest.raises(ConfigError):
            pair_judge("", **wrong)


def test_the_judge_that_transformers_serves_gives_probabilities() -> None:
    bodies: list[dict[str, Any]] = []

    class Typed(Server):
        def respond(self, handler: Any, body: dict[str, Any]) -> None:
            bodies.append(body)
            kind = body["questions"]["q"]["type"]
            one = (
                {"noul": 0.75}
                if kind == "noul"
                else {"probabilities": {"first": 0.9, "second": 0.1}}
            )
            text = json.dumps({"answers": {"q": one}, "usage": {"input_tokens": 40}}).encode()
            handler.send_response(200)
            handler.send_header("content-length", str(len(text)))
            handler.end_headers()
            handler.wfile.write(text)

    server = Typed(lambda prompt, times: 200)
    pairs = pair_judge(server.address, server="systemone")
    assert pairs.compare(shades(1), shades(1) + 9, ["p"]).prefer_a.tolist() == [0.9]
    assert bodies[0]["state"] == ["picture-1", "picture-2"] == list(bodies[0]["assets"])
    single = one_judge(server.address, server="systemone")
    assert single.score(shades(1), ["p"]).values[0] == pytest.approx(math.log(3))
    server.http.shutdown()
    server.http.server_close()


def test_addresses_and_questions_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="A judge cannot be asked at"):
        pair_judge("http://example.org/v1")
    with pytest.raises(ConfigError, match="needs items"):
        one_judge("", ask="checklist")
    with pytest.raises(ConfigError, match="yes or no"):
        one_judge("", ask="point", server="systemone")
    said = pair_judge("").compare(shades(1), shades(1), ["p"])
    assert "has no address" in said.reasons[0]
