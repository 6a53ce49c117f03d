"""What the base answers, in batches and one at a time."""

from __future__ import annotations

from surfcheck.attribution import before
from surfcheck.models.checkpoint import load_checkpoint
from surfcheck.models.local import Local
from surfcheck.models.spec import parse_spec
from surfcheck.records import Prompt
from surfcheck.roles import Ask

PROMPTS = ["is the sky blue", "is it true", "in paris", "water", "zero and zero and zero"]


def test_each_answer_is_the_likeliest_one_as_if_asked_alone(checkpoint, tmp_path, monkeypatch):
    tiny = checkpoint("olmo2")
    tiny.model.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"max_new_tokens": 8, "do_sample": true}')
    alone = Local(parse_spec(f"hf:{tmp_path}?temperature=0"))
    expected = [alone.ask([Ask(Prompt.of(prompt))])[0].text for prompt in PROMPTS]
    assert len(set(expected)) > 1
    monkeypatch.setattr(before, "TOGETHER", 2)
    told = []
    base = load_checkpoint(tmp_path)
    found = before.answers(base, PROMPTS, progress=lambda *step: told.append(step))
    assert found == expected
    assert told == [("asking the base", done, 5) for done in (2, 4, 5)]
    assert before.answers(base, []) == []
