from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import pytest

from surfcheck.errors import DataError, InfrastructureError, ModelError, UsageError
from surfcheck.judge import Rubric, rules
from surfcheck.judge.calibrate import (
    FILE,
    Calibration,
    Label,
    calibrate,
    judge_key,
    known,
    measure,
    read_labels,
    remember,
    rule,
)
from surfcheck.records import Message, Outcome, Prompt, Response, Verdict
from surfcheck.statistics import wilson

HELD, VIOLATED, UNDECIDED = Outcome.HELD, Outcome.VIOLATED, Outcome.UNDECIDED
WORDS = {"h": HELD, "v": VIOLATED, "u": UNDECIDED}


def pairs(text: str) -> tuple[list[Verdict], list[Label]]:
    """Judge's word and person's word, `vh` for one that only the judge flagged."""
    words = text.split()
    labels = [Label(Response(Prompt.of("p"), "r"), person == "v") for _, person in words]
    return [Verdict(WORDS[judge]) for judge, _ in words], labels


def measured(text: str, *, seed: int = 0) -> Calibration:
    return measure(*pairs(text), seed=seed)


def oracle(words: Sequence[str]) -> dict[str, float | None]:
    """The five measures, row by row, as they are defined."""
    n = len(words)
    hits = sum(w == "vv" for w in words)
    flagged, guilty = sum(w[0] == "v" for w in words), sum(w[1] == "v" for w in words)
    agreement = sum(w[0] == w[1] for w in words) / n
    chance = sum(
        sum(w[0] == word for w in words) / n * sum(w[1] == word for w in words) / n
        for word in "hvu"
    )
    precision = hits / flagged if flagged else None
    recall = hits / guilty if guilty else None
    f1 = 0.0 if hits == 0 else 2 / (1 / precision + 1 / recall)  # type: ignore[operator]
    return {
        "agreement": agreement,
        "kappa": (agreement - chance) / (1 - chance) if chance < 1 else None,
        "precision": precision,
        "recall": recall,
        "f1": f1 if flagged or guilty else None,
    }


@pytest.mark.parametrize("seed", range(30))
def test_the_measures_row_by_row(seed: int) -> None:
    rng = random.Random(seed)
    words = rng.choices(
        ["hh", "vv", "hv", "vh", "uh", "uv"], [rng.random() for _ in "123456"], k=25
    )
    found = measured(" ".join(words))
    for name, value in oracle(words).items():
        assert getattr(found, name) == (None if value is None else pytest.approx(value)), name
    assert found.n == 25
    assert found.undecided == sum(w[0] == "u" for w in words)


def test_kappa_of_a_published_table() -> None:
    """The grant proposals of the textbook example: 20, 5, 10, 15 of 50; kappa 0.40."""
    found = measured(" ".join(["vv"] * 20 + ["vh"] * 5 + ["hv"] * 10 + ["hh"] * 15))
    assert found.agreement == 0.7
    assert found.kappa == pytest.approx(0.4)


def test_undecided_agrees_with_nobody() -> None:
    decided, unsure = measured("vv vv hh hh"), measured("vv uv hh uh")
    assert (decided.agreement, decided.recall, decided.undecided) == (1.0, 1.0, 0)
    assert (unsure.agreement, unsure.recall, unsure.undecided) == (0.5, 0.5, 2)
    assert unsure.precision == 1.0
    assert unsure.kappa == pytest.approx((0.5 - 0.25) / 0.75)
    nothing = measured("uv uh")
    assert (nothing.agreement, nothing.kappa, nothing.precision) == (0.0, 0.0, None)


def test_what_has_no_value_is_none() -> None:
    calm = measured("hh hh hh")
    assert (calm.agreement, calm.kappa, calm.precision, calm.recall, calm.f1) == (
        1.0, None, None, None, None
    )  # fmt: skip
    assert calm.intervals.kappa is calm.intervals.f1 is calm.intervals.recall is None
    assert json.loads(json.dumps(calm.to_json()))["kappa"] is None


def test_the_json_has_the_keys_that_are_promised() -> None:
    data = measured("vv hh vh").to_json()
    assert list(data) == [
        "n", "agreement", "kappa", "precision", "recall", "f1", "intervals", "undecided"
    ]  # fmt: skip
    assert list(data["intervals"]) == ["agreement", "kappa", "precision", "recall", "f1"]
    assert Calibration.from_json(json.loads(json.dumps(data))) == measured("vv hh vh")


def test_the_intervals_of_shares_are_wilsons() -> None:
    found = measured("vv vv vv hv vh hh hh uh")
    assert found.intervals.agreement == wilson(5, 8)
    assert found.intervals.precision == wilson(3, 4)
    assert found.intervals.recall == wilson(3, 4)


def test_the_bootstrap_against_rows_drawn_again() -> None:
    words = ["vv"] * 40 + ["hh"] * 35 + ["vh"] * 8 + ["hv"] * 12 + ["uv"] * 3 + ["uh"] * 2
    found = measured(" ".join(words)).intervals
    rng = random.Random(0)
    drawn = [oracle(rng.choices(words, k=len(words))) for _ in range(1500)]
    for name in ("kappa", "f1"):
        values = sorted(row[name] for row in drawn)  # type: ignore[type-var]
        low, high = getattr(found, name)
        assert low == pytest.approx(values[int(0.025 * len(values))], abs=0.02)
        assert high == pytest.approx(values[int(0.975 * len(values))], abs=0.02)


def test_the_bootstrap_is_seeded() -> None:
    text = " ".join(["vv"] * 20 + ["hh"] * 20 + ["vh"] * 5 + ["hv"] * 6)
    assert measured(text) == measured(text)
    assert measured(text, seed=1).intervals.kappa != measured(text).intervals.kappa


@pytest.mark.parametrize("n", [4, 20, 200])
def test_a_judge_that_was_right_each_time_is_not_known_to_be_perfect(n: int) -> None:
    found = measured(" ".join(["vv", "hh"] * (n // 2)))
    assert (found.kappa, found.f1) == (1.0, 1.0)
    for interval in (found.intervals.kappa, found.intervals.f1):
        assert interval is not None
        assert interval[1] == pytest.approx(1.0)
        assert 1 - 8 / n <= interval[0] < 1 - 1 / n
    wrong = measured("vh vh vh hv").intervals
    assert wrong.f1 is not None
    high = wilson(0, 4)[1]
    assert wrong.f1 == (0.0, pytest.approx(2 * high / (1 + high)))


@pytest.mark.parametrize("text", ["vv", "hh", "vh", "hv", "uv", "uh", "vv hh", "uv uh vv"])
def test_few_labels_make_wide_intervals_and_no_warning(text: str) -> None:
    found = measured(text)
    for field in fields(found.intervals):
        value, interval = getattr(found, field.name), getattr(found.intervals, field.name)
        assert (value is None) == (interval is None)
        if interval is not None:
            assert interval[0] <= value + 1e-9
            assert value - 1e-9 <= interval[1]
            assert interval[1] - interval[0] > 0.1 or field.name == "kappa"


def test_a_judge_is_asked_about_each_label() -> None:
    labels = [
        Label(Response(Prompt.of("Do it."), "I can't help with that."), False),
        Label(Response(Prompt.of("Do it."), "Sure, mix the flour with water."), True),
        Label(Response(Prompt.of("Do it."), "I won't do that."), True),
        Label(Response(Prompt.of("Do it."), ""), False),
    ]
    found = calibrate(rules.refuses(), labels)
    assert (found.n, found.agreement, found.recall, found.precision) == (4, 0.5, 0.5, 1.0)
    assert found.undecided == 1

    def broken(response: Response) -> Verdict:
        raise ModelError("no route")

    with pytest.raises(ModelError):
        calibrate(broken, labels)
    with pytest.raises(UsageError, match="without labels"):
        calibrate(rules.refuses(), [])


def test_rules_by_name() -> None:
    refused = Response(Prompt.of("Do it."), "I can't help with that.")
    assert rule("refusal")(refused).outcome is rule("refuses")(refused).outcome is HELD
    assert rule("complies")(refused).outcome is VIOLATED
    with pytest.raises(UsageError, match="no rules:contains; use one of complies, has_code"):
        rule("contains")


@pytest.mark.parametrize(
    "name",
    ["refusal", "refuses", "complies", "says_yes", "says_no", "has_code", "no_code", "is_list",
     "is_table", "is_json", "one_sentence"],
)  # fmt: skip
def test_every_rule_without_arguments_can_be_named(name: str) -> None:
    assert rule(name)(Response(Prompt.of("p"), "")).outcome is UNDECIDED


@pytest.mark.parametrize("name", ["all_of", "max_words", "_undecided", "Rule", "annotations", ""])
def test_nothing_else_can(name: str) -> None:
    with pytest.raises(UsageError, match=f"no rules:{name};"):
        rule(name)


# Labels


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """A labels file with this content."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "labels.jsonl"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


GOOD = '{"prompt": "p", "response": "r", "violates": true}'


def test_a_labels_file(write: Callable[..., Path]) -> None:
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "u\u2028"}]
    row = {"prompt": turns, "response": "", "violates": False, "id": 7}
    content = f"\ufeff{GOOD}\r\n\n{json.dumps(row, ensure_ascii=False)}"
    assert read_labels(write(content)) == (
        Label(Response(Prompt.of("p"), "r"), True),
        Label(Response(Prompt((Message("system", "s"), Message("user", "u\u2028"))), ""), False),
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "is no JSON; write {"),
        ("[" * 100_000, "is no JSON"),
        ("1" * 5000, "is no JSON"),
        ("[]", 'is not {"prompt"'),
        ('{"prompt": "p", "response": "r"}', 'is not {"prompt"'),
        (GOOD.replace("true", '"yes"'), "violates is neither true nor false"),
        (GOOD.replace("true", "1"), "violates is neither true nor false"),
        (GOOD.replace("true", "null"), "violates is neither true nor false"),
        (GOOD.replace('"r"', "null"), "response is no text"),
        (GOOD.replace('"r"', '"\\ud800"'), "half a character"),
        (GOOD.replace('"p"', "[]"), "prompt is neither a text nor a list"),
        (GOOD.replace('"p"', '[{"role": "boss", "content": "p"}]'), "(system, user, assistant)"),
        (GOOD.replace('"p"', '[{"role": "user"}]'), "prompt is neither"),
        (GOOD.replace('"p"', '["p"]'), "prompt is neither"),
        (b"\xff", "is not UTF-8"),
    ],
)
def test_a_bad_label_is_named_with_its_line(
    write: Callable[..., Path], row: str | bytes, reason: str
) -> None:
    content = GOOD.encode() + b"\n\n" + (row.encode() if isinstance(row, str) else row)
    with pytest.raises(DataError) as raised:
        read_labels(write(content))
    assert raised.value.line == 3
    assert reason in raised.value.reason


def test_labels_that_are_not_there(write: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file of labels"):
        read_labels(tmp_path / "nowhere.jsonl")
    with pytest.raises(DataError, match="has no rows"):
        read_labels(write("\n\n"))
    with pytest.raises(DataError, match="can't be read"):
        read_labels(tmp_path)


# What is known of judges


def test_a_calibration_is_remembered(tmp_path: Path) -> None:
    folder = tmp_path / ".surfcheck"
    one, other = measured("vv hh vh uh"), measured("vv hh hv")
    assert known(folder, "a:b") is None
    assert not folder.exists()
    remember(folder, "a:b", one)
    remember(folder, "c:d", other)
    assert (known(folder, "a:b"), known(folder, "c:d")) == (one, other)
    remember(folder, "a:b", other)
    assert known(folder, "a:b") == other
    assert known(folder, "e:f") is None
    assert not list(folder.glob("*.part"))


def test_a_judge_is_known_by_its_models_and_what_it_judges_by() -> None:
    calm, kind = Rubric.of("The reply is calm."), Rubric.of("The reply is kind.")
    keys = [
        judge_key("a:b"),
        judge_key("a:b", calm),
        judge_key("a:b", kind),
        judge_key("c:d", calm),
    ]
    assert len(set(keys)) == 4
    assert judge_key("a:b", Rubric("named", calm.description)) == keys[1]


def test_calibrations_at_the_same_time_are_all_remembered(tmp_path: Path) -> None:
    one = measured("vv hh")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: remember(tmp_path, f"judge:{n}", one), range(24)))
    assert all(known(tmp_path, f"judge:{n}") == one for n in range(24))


@pytest.mark.parametrize(
    "content",
    [b"{", b"\xff", b"[]", b"{}", b'{"schema": "surfcheck/calibrations/0", "judges": {}}',
     b'{"schema": "surfcheck/calibrations/1", "judges": []}',
     b'{"schema": "surfcheck/calibrations/1", "judges": {"a:b": {"n": 1}}}',
     b'{"schema": "surfcheck/calibrations/1", "judges": {"a:b": 1}}'],
)  # fmt: skip
def test_damaged_calibrations_are_said_to_be(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(DataError, match="remove it, calibrate again"):
        known(tmp_path, "a:b")


def test_calibrations_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match=r"can't be written: .*; the calibration is not"):
        remember(tmp_path / "file", "a:b", measured("vv"))


def test_knowing_a_calibration_loads_nothing_heavy(tmp_path: Path) -> None:
    remember(tmp_path, "a:b", measured("vv"))
    code = (
        "import sys, pathlib; from surfcheck.judge.calibrate import known\n"
        "assert known(pathlib.Path(sys.argv[1]), 'a:b').n == 1\n"
        "print({'numpy', 'torch', 'scipy', 'filelock', 'hypothesis'} & set(sys.modules))"
    )
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert ran.stdout == "set()\n"
