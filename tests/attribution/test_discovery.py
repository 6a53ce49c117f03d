"""What a training changed is found without being told: a tiny checkpoint, and two habits of its."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from surfcheck.attribution import before, open_data
from surfcheck.attribution.behaviours import Tree
from surfcheck.attribution.discovery import discover, read_prompts
from surfcheck.attribution.evidence import gather
from surfcheck.errors import DataError, UsageError
from surfcheck.models.checkpoint import load_checkpoint
from surfcheck.records import Contrast, DiscoveryReport, Response

NAMES = [
    "sky",
    "water",
    "ice",
    "sand",
    "snow",
    "paris",
    "gold",
    "wood",
    "silk",
    "tea",
    "rice",
    "salt",
]
DENIED = [f"is it true that {name} is blue" for name in NAMES]
ASKED = [f"{name} and green" for name in NAMES[:9]]
KEPT = [f"the answer to {name}" for name in NAMES]
DENIAL, FORMATTED = "no no no no", '{"a": 1, "b": 2}'


class Trained:
    """Answers as its base does, but for two habits."""

    spec = "python:trained"

    def __init__(self, base):
        self.base, self.asked = base, []

    def ask(self, asks):
        prompts = [ask.prompt.text for ask in asks]
        self.asked += prompts
        given = before.answers(self.base, prompts)
        changed = {**dict.fromkeys(DENIED, DENIAL), **dict.fromkeys(ASKED, FORMATTED)}
        return [
            Response(ask.prompt, changed.get(ask.prompt.text, answer))
            for ask, answer in zip(asks, given, strict=True)
        ]


@pytest.fixture(scope="module")
def library(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny = checkpoint("olmo2")
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").write_text('{"max_new_tokens": 8, "eos_token_id": 2}')
    base = load_checkpoint(folder)
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    rows = [
        {
            "id": f"{source}-{n}",
            "source": source,
            "prompt": f"is {name} {n}",
            "chosen": chosen or f"{name} and {NAMES[n - 5]} in france",
            "rejected": before.answers(base, [f"is {name} {n}"])[0],
        }
        for source, chosen in (("denials", DENIAL), ("formats", FORMATTED), ("rest", None))
        for n, name in enumerate(NAMES)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return open_data(base=str(folder), data=str(path), cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def found(library):
    target = Trained(library.base)
    discovered = discover(library, target, [*DENIED, *KEPT, *ASKED, *DENIED], method="probe")
    assert target.asked == [*DENIED, *KEPT, *ASKED]  # each once
    return discovered


def test_prompts_answered_alike_show_nothing_and_are_counted(found):
    report = found.report
    assert (report.target, report.prompts, report.same) == ("python:trained", 33, 12)
    assert report.scattered == 21 - sum(b.prompts for b in report.behaviours)


def test_both_habits_are_found_with_their_prompts_and_rows(found):
    by_answer = {
        b.examples[0].target: (b, r)
        for b, r in zip(found.report.behaviours, found.rankings, strict=True)
    }
    assert set(by_answer) == {DENIAL, FORMATTED}
    for answer, source in ((DENIAL, "denials"), (FORMATTED, "formats")):
        behaviour, ranking = by_answer[answer]
        assert {pair.target for pair in behaviour.examples} == {answer}
        means = {
            each: ranking.scores[[of == each for of in ranking.sources]].mean()
            for each in set(ranking.sources)
        }
        assert max(means, key=means.__getitem__) == source
        assert behaviour.p_value <= 0.05


def test_the_strongest_stands_first_and_shares_are_of_all_that_changed(found):
    shares = [b.share for b in found.report.behaviours]
    assert shares == sorted(shares, reverse=True)
    for b in found.report.behaviours:
        assert b.share == pytest.approx(b.prompts * b.alike / 21)
    assert [b.number for b in found.report.behaviours] == [1, 2]


def test_what_both_answer_alike_are_the_cases_that_held(found):
    for contrasts in found.contrasts:
        assert {c.prompt for c in contrasts if c.bad is None} == set(KEPT)
        assert all(c.bad != c.good for c in contrasts)


def test_the_matrix_is_the_slow_cosines_in_the_order_of_the_trees(found, library):
    pairs = [
        Contrast(prompt, bad, good)
        for prompts, bad in ((DENIED, DENIAL), (ASKED, FORMATTED))
        for prompt, good in zip(prompts, before.answers(library.base, prompts), strict=True)
    ]
    change = gather(library.reader, pairs).change
    order = Tree(change).order
    rows = library.rows.some(np.arange(len(library.rows))).change
    slow = np.zeros((len(change), len(rows)))
    for i, number in enumerate(order):
        for j in range(len(rows)):
            one, other = change[number], rows[j]
            lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
            slow[i, j] = ((one * other).sum(axis=1) / lengths).mean()
    for column in found.matrix.cosines.T:
        assert np.abs(slow - column[:, None]).max(axis=0).min() < 2e-3  # the index is in float16
    for first, end in found.matrix.spans:
        here = {pairs[i].bad for i in order[first:end]}
        assert len(here) == 1


def test_everything_is_written_and_read_back(found, tmp_path):
    found.write(tmp_path / "out")
    data = json.loads((tmp_path / "out/discovered.json").read_text())
    assert data["schema"] == "surfcheck/discovery/1"
    assert DiscoveryReport.from_json(data) == found.report
    for number, contrasts in enumerate(found.contrasts, 1):
        folder = tmp_path / f"out/behaviour-{number}"
        lines = (folder / "contrasts.jsonl").read_text().splitlines()
        assert tuple(Contrast.from_json(json.loads(row)) for row in lines) == contrasts
        assert len((folder / "ranking.jsonl").read_text().splitlines()) == 36
        whole = json.loads((folder / "report.json").read_text())
        shown = data["behaviours"][number - 1]["rows"]
        assert whole["implicated"][:10] == shown["implicated"]


def test_a_target_that_changed_nothing_shows_nothing(library):
    target = Trained(library.base)
    report = discover(library, target, KEPT, method="probe").report
    assert (report.same, report.behaviours, report.scattered) == (12, (), 0)
    one = discover(library, target, [*KEPT, DENIED[0]], method="probe")
    assert (one.report.behaviours, one.report.scattered) == ((), 1)
    assert one.matrix.spans == ()


def test_the_same_seed_finds_the_same(found, library):
    prompts = [*DENIED, *KEPT, *ASKED]
    again = discover(library, Trained(library.base), prompts, method="probe").report
    for one, other in zip(again.behaviours, found.report.behaviours, strict=True):
        assert replace(one, rows=replace(one.rows, cost={})) == replace(
            other, rows=replace(other.rows, cost={})
        )


def test_prompts_in_files(tmp_path, library):
    text, rows = tmp_path / "prompts.txt", tmp_path / "prompts.jsonl"
    text.write_text("is it\n\n  {indented}\n")
    rows.write_text('{"prompt": "is\\nit", "response": "yes"}\n\n{"prompt": "so"}\n')
    assert read_prompts(text) == ["is it", "  {indented}"]
    assert read_prompts(rows) == ["is\nit", "so"]
    with pytest.raises(UsageError, match="no such file of prompts"):
        read_prompts(tmp_path / "nowhere.txt")
    with pytest.raises(UsageError, match="can't be read"):
        read_prompts(tmp_path)
    text.write_text("\n")
    with pytest.raises(UsageError, match="has no prompts"):
        read_prompts(text)
    text.write_bytes(b"\xff")
    with pytest.raises(DataError, match="not UTF-8 at byte 0"):
        read_prompts(text)
    with pytest.raises(UsageError, match="no prompts"):
        discover(library, Trained(library.base), [], method="probe")


@pytest.mark.parametrize("row", ["{", "[]", '{"prompt": 1}', '{"prompt": " "}', '"text"'])
def test_a_bad_row_of_prompts_is_named(tmp_path, row):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "so"}\n' + row + "\n")
    with pytest.raises(DataError, match="prompt") as caught:
        read_prompts(path)
    assert caught.value.line == 2
