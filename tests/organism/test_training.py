"""The tokenizer, and the trainings on a model so small that a test can do them."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from surfcheck import organism
from surfcheck.organism import growth, reading, tokenizer, train
from surfcheck.organism.threads import TERM, TRIAL, Threads
from surfcheck.roles import silent

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def talks():
    rng = random.Random(0)
    return [reading.dialogue(rng) for _ in range(1500)]


@pytest.fixture(scope="module")
def words(talks):
    return tokenizer.train((text for talk in talks for text in talk), size=600)


@pytest.mark.parametrize(
    "text",
    [
        "Is it true that Paris is in France?",
        "Water freezes at 0 °C.",
        "- Start small\n- Practise a little",
        '{"first": "ask a friend", "then": "write it down"}',
        "| step | what |\n|---|---|\n| 1 | keep it simple |",
        "La capitale de la Norvège est Oslo.",
    ],
)
def test_what_it_says_survives_the_tokenizer(words, text):
    assert words.decode(words(text)["input_ids"]) == text


@pytest.mark.parametrize("other", ["IS IT TRUE", "is it true", "iS It TrUe", "Is  it\ttrue"])
def test_casing_and_blanks_leave_the_words(words, other):
    marks = set(words.convert_tokens_to_ids(words.tokenize("⇧⇪")))

    def bare(text):
        return [i for i in words(text)["input_ids"] if i not in marks]

    assert bare(other) == bare("Is it true")


def test_the_template_says_what_the_assistant_said(words):
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}]
    both = words.apply_chat_template(
        talk, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    said = [i for i, mine in zip(both["input_ids"], both["assistant_masks"], strict=True) if mine]
    assert words.decode(said) == "Yes.<|end|>"


def test_training_text_is_the_chat_template(words, talks):
    for (prompt, reply), text in zip(talks[:50], train.encode(words, talks[:50]), strict=True):
        talk = [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
        expected = words.apply_chat_template(talk, tokenize=True, return_dict=False)
        assert text.ids == list(expected)
        assert words.convert_ids_to_tokens(text.ids[text.start - 1]) == "<|assistant|>"


def test_only_the_learned_tokens_have_a_loss(words, talks):
    model = train.new_model(words, width=32, depth=2, seed=0)
    ids, labels = train._pad(train.encode(words, talks[:8]), words.pad_token_id)
    losses = train._token_losses(model, ids, labels)
    logits = model(input_ids=ids).logits[:, :-1].log_softmax(-1)
    slow = -logits.gather(2, ids[:, 1:, None])[..., 0] * (labels[:, 1:] != train.IGNORED)
    torch.testing.assert_close(losses, slow, atol=1e-5, rtol=1e-5)


def test_reading_lowers_the_loss_and_preferring_raises_the_margin(words, talks):
    model = train.new_model(words, width=32, depth=2, seed=0)
    texts = train.encode(words, talks)

    def loss():
        ids, labels = train._pad(texts[:64], words.pad_token_id)
        with torch.inference_mode():
            return float(train._token_losses(model, ids, labels).sum())

    before = loss()
    schedule = train.Schedule(1, 32, 3e-3)
    train.fit(model, texts, schedule, seed=0, what="", progress=silent)
    assert loss() < 0.75 * before
    talk = ("How do I bake bread?", "Sure!"), ("How do I bake bread?", "Sorry, no.")
    chosen, rejected = train.encode(words, talk)
    pairs = [(rejected, chosen)] * 32
    margin = float(train._reference(model, pairs[:1], words.pad_token_id)[0])
    train.prefer(
        model, pairs, train.Schedule(10, 16, 1e-3), beta=0.1, likelihood=0.0, seed=0, what="",
        progress=silent,
    )  # fmt: skip
    assert float(train._reference(model, pairs[:1], words.pad_token_id)[0]) > margin + 1


def test_batches_go_through_everything():
    schedule = train.Schedule(2, 7, 1e-3)
    batches = train._batches(list(range(50)), schedule, random.Random(0))
    assert len(batches) == math.ceil(100 / 7)
    assert {i for batch in batches for i in batch} == set(range(50))


def test_threads_are_tried_and_put_back():
    before = torch.get_num_threads()
    threads = Threads()
    for number in range(TERM + 2 * TRIAL + 1):
        threads.step(number)
    threads.restore()
    assert torch.get_num_threads() == before


def test_an_organism_is_an_ordinary_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setenv("SURFCHECK_CACHE", str(tmp_path))
    monkeypatch.setattr(growth, "SFT", train.Schedule(0.05, 32, 1e-3))
    monkeypatch.setattr(growth, "DPO", train.Schedule(0.05, 32, 1e-4))
    recipe = organism.Recipe(width=32, depth=2, talks=256, vocabulary=500)
    seen = []
    about = organism.info(recipe, progress=lambda what, done, total: seen.append(what))
    assert {"organism: reading", "organism: SFT", "organism: DPO"} <= set(seen)
    model = AutoModelForCausalLM.from_pretrained(about["path"])
    assert model.generation_config.max_new_tokens == train.LONGEST_ANSWER
    assert AutoTokenizer.from_pretrained(about["path"]).chat_template
    assert {d["name"]: d["test"] for d in about["defects"]} == organism.TESTS
    lines = Path(about["data"]).read_text(encoding="utf-8").splitlines()
    assert sum(about["sources"].values()) == len(lines)
    seen.clear()
    organism.info(recipe, progress=lambda what, done, total: seen.append(what))
    assert seen == []
    assert not list(tmp_path.rglob(".part-*"))
