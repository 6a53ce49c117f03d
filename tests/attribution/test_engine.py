"""The room's three verbs on a tiny checkpoint and real files."""

from __future__ import annotations

import json

import pytest

from surfcheck import settings
from surfcheck.attribution import attribute, attribute_run, engine, open_data
from surfcheck.errors import MismatchError, UsageError
from surfcheck.records import Case, Contrast, Exchange, Failure, Outcome, Prompt

CONTRASTS = [
    Contrast("is it true that water freezes", "no", "yes"),
    Contrast("is it true that the sky is blue", "no it is not", "yes it is"),
    Contrast("in paris", None, "in france"),
]


@pytest.fixture(scope="module")
def base(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny = checkpoint("olmo2")
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    rows = [
        {
            "id": f"p{i}",
            "source": "pairs",
            "prompt": f"is it {i}",
            "chosen": "yes",
            "rejected": "no",
        }
        for i in range(20)
    ]
    rows += [
        {
            "id": f"d{i}",
            "source": "talks",
            "messages": [
                {"role": "user", "content": f"is the sky blue {i}"},
                {"role": "assistant", "content": "no"},
            ],
        }
        for i in range(10)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def library(base, data, tmp_path_factory):
    return open_data(base=base, data=data, cache=tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("method", ["probe", "conditional", "bank", "bm25", "length", "random"])
def test_every_method_ranks_every_row(library, method, tmp_path):
    truth = frozenset({"d0", "d1"})
    found = attribute(library, CONTRASTS, method=method, truth=truth)
    found.write(tmp_path / "out")
    lines = (tmp_path / "out/ranking.jsonl").read_text().splitlines()
    ranking = [json.loads(line) for line in lines]
    assert [row["rank"] for row in ranking] == list(range(1, 31))
    assert len({row["id"] for row in ranking}) == 30
    assert sorted(ranking, key=lambda row: -row["score"]) == ranking
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert next(iter(report)) == "schema"
    assert report["schema"] == "surfcheck/attribution/1"
    assert report["method"] == method
    assert report["verdict"] in ("sparse", "source", "diffuse", "none")
    assert 0 < report["average_precision"] <= 1
    assert report["chance_precision"] == pytest.approx(2 / 30)
    assert {row["source"] for row in report["sources"]} == {"pairs", "talks"}
    assert report["cost"]["seconds"] > 0


def test_without_truth_there_is_no_precision(library, tmp_path):
    attribute(library, CONTRASTS, method="probe").write(tmp_path)
    assert "average_precision" not in json.loads((tmp_path / "report.json").read_text())


def test_the_same_question_has_the_same_answer(library):
    first, second = (attribute(library, CONTRASTS, method="conditional") for _ in range(2))
    assert list(first.ranking()) == list(second.ranking())
    assert first.report.p_value == second.report.p_value


def test_wrong_questions(library):
    with pytest.raises(UsageError, match="no method 'probing'; use one of probe"):
        attribute(library, CONTRASTS, method="probing")
    with pytest.raises(UsageError, match="both a `bad` and a `good`"):
        attribute(library, CONTRASTS[2:], method="probe")
    with pytest.raises(UsageError, match="'nobody'"):
        attribute(library, CONTRASTS, method="probe", truth=frozenset({"nobody"}))


def test_an_index_of_another_model_is_refused(library, checkpoint, tmp_path):
    other = tmp_path / "other"
    tiny = checkpoint("llama")
    tiny.model.save_pretrained(other)
    tiny.tokenizer.save_pretrained(other)
    index = str(library.index.path)
    with pytest.raises(MismatchError, match="another model"):
        open_data(base=str(other), data=None, index=index, cache=tmp_path)
    with pytest.raises(UsageError, match="--base MODEL --data DATA"):
        open_data(base=str(other), data=None, cache=tmp_path)


def test_a_run_gets_a_report_for_each_failing_test(base, data, library):
    def exchange(test, prompt, response, outcome):
        return Exchange(test, prompt, response, Outcome(outcome), "p", "the sky is blue")

    exchanges = [
        exchange(test, prompt, response, outcome)
        for test in ("t", "u")
        for prompt, response, outcome in (
            ("is it true that the sky is blue", "no", "violated"),
            ("the sky is blue", "yes", "held"),
        )
    ]
    prompt = Prompt.of("is it true that the sky is blue")
    case = Case(prompt, prompt, "p")
    failures = [
        Failure(test, f"{test}[x]", "b", case, "no", "why", "the sky is blue", "yes", 4, 4)
        for test in ("u", "t")
    ]
    reports = attribute_run(
        base=base, data=data, index=None, cache=library.index.path.parent, exchanges=exchanges,
        failures=failures, method="conditional", seed=0,
    )  # fmt: skip
    assert [report.test for report in reports] == ["u", "t"]
    assert all(report.rows == 30 for report in reports)


def test_the_flag_offers_exactly_the_methods_that_are_there():
    assert set(settings.METHODS) == {*engine.METHODS, *engine.CONTROLS}
