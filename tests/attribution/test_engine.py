"""The room's three verbs on a tiny checkpoint and real files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from surfcheck import settings
from surfcheck.attribution import attribute, attribute_run, engine, open_data
from surfcheck.attribution.conditional import conditional
from surfcheck.attribution.evidence import gather
from surfcheck.attribution.how import How
from surfcheck.attribution.layers import best_layer
from surfcheck.attribution.moments import moments
from surfcheck.attribution.table import IndexTable
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


@pytest.mark.parametrize("method", engine.NAMES)
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
    assert first.ranking() == second.ranking()
    assert first.report.p_value == second.report.p_value


def test_what_is_known_of_all_rows_serves_the_next_question(library, monkeypatch):
    """Their moments, which are most of the work where the rows are many and wide."""
    attribute(library, CONTRASTS, method="conditional")
    measured = []

    def watched(table, side, layer):
        measured.append(table)
        return moments(table, side, layer)

    monkeypatch.setattr("surfcheck.attribution.conditional.moments", watched)
    attribute(library, CONTRASTS[:1], method="conditional")
    assert measured  # of the sample that chance is asked about
    assert not any(isinstance(table, IndexTable) for table in measured)


def test_wrong_questions(library):
    with pytest.raises(UsageError, match="no method 'probing'; use one of probe"):
        attribute(library, CONTRASTS, method="probing")
    with pytest.raises(UsageError, match="both a `bad` and a `good`"):
        attribute(library, CONTRASTS[2:], method="probe")
    with pytest.raises(UsageError, match="'nobody'"):
        attribute(library, CONTRASTS, method="probe", truth=frozenset({"nobody"}))


@pytest.mark.parametrize("layer", ["2", "best"])
def test_one_layer_is_as_if_no_other_had_been_read(library, base, data, layer, tmp_path):
    found = attribute(library, CONTRASTS, method="conditional", how=How(layer=layer))
    evidence = gather(library.reader, CONTRASTS)
    position = 1 if layer == "2" else best_layer(evidence)
    alone = slice(position, position + 1)
    rows = library.rows.some(range(30)).at(alone, np.arange(30))
    np.testing.assert_allclose(found.scores, conditional(evidence.at(alone), rows), atol=2e-3)


def test_centring_and_whitening_are_seen(library):
    plain, centred, whitened = (
        attribute(library, CONTRASTS, method="probe", how=how).scores
        for how in (How(), How(centred=True), How(whitened=0.5))
    )
    assert np.abs(plain - centred).max() > 0.01
    assert np.abs(plain - whitened).max() > 0.01


@pytest.mark.parametrize(
    ("method", "how", "reason"),
    [
        ("probe", How(layer="9"), "no layer '9' in the index; use all, best or one of 1, 2, 3, 4"),
        ("probe", How(layer="x"), "no layer 'x'"),
        ("bank", How(centred=True), "are for probe"),
        ("conditional", How(whitened=0.5), "are for probe"),
        ("gradient", How(layer="best"), "gradient reads no activations"),
        ("length", How(centred=True), "length reads no activations"),
    ],
)
def test_choices_that_cannot_be(library, method, how, reason):
    with pytest.raises(UsageError, match=reason):
        attribute(library, CONTRASTS, method=method, how=how)


def test_gradient_reads_the_data_of_the_index_again(library, data, tmp_path):
    index, cache = str(library.index.path), tmp_path
    alone = open_data(base=None, data=None, index=index, cache=cache)
    with pytest.raises(UsageError, match="give --data DATA beside --index"):
        attribute(alone, CONTRASTS, method="gradient")
    beside = open_data(base=None, data=data, index=index, cache=cache)
    scores = attribute(library, CONTRASTS, method="gradient").scores
    again = attribute(beside, CONTRASTS, method="gradient").scores
    np.testing.assert_array_equal(scores, again)
    other = tmp_path / "other.jsonl"
    other.write_text("".join(Path(data).read_text().splitlines(keepends=True)[1:]))
    wrong = open_data(base=None, data=str(other), index=index, cache=cache)
    with pytest.raises(MismatchError, match="is not the data that the index was built of"):
        attribute(wrong, CONTRASTS, method="gradient")


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
    assert settings.METHODS == engine.NAMES
