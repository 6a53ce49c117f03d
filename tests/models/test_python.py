"""Functions as models."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from surfcheck.errors import BudgetReached, ModelError, UsageError
from surfcheck.models import load
from surfcheck.models.engine import Engine
from surfcheck.models.hosted import Hosted
from surfcheck.models.python import Python
from surfcheck.models.spec import parse_spec
from surfcheck.records import Prompt, Response
from surfcheck.roles import Ask

Write = Callable[[str, str], None]
ASKS = [Ask(Prompt.of(f"question {n}"), n % 2) for n in range(40)]


def python(name: str, *, ceiling: int = 64) -> Hosted:
    return Hosted(Python(parse_spec(f"python:{name}")), Engine(ceiling=ceiling))


def identity(name: str) -> str:
    return Python(parse_spec(f"python:{name}")).identity


def test_a_plain_function(module: Write) -> None:
    module("answers_a", "def reply(messages):\n    return messages[-1]['content'].upper()\n")
    found = python("answers_a:reply").ask(ASKS)
    assert found[3] == Response(
        ASKS[3].prompt, "QUESTION 3", model="python:answers_a:reply", sample=1
    )
    assert [r.text for r in found] == [f"QUESTION {n}" for n in range(40)]


def test_it_is_given_the_whole_conversation(module: Write) -> None:
    module("answers_b", "import json\ndef reply(messages):\n    return json.dumps(messages)\n")
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    (answer,) = python("answers_b:reply").ask([Ask(Prompt.of(turns))])
    assert answer.text == (
        '[{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]'
    )


ASYNC = """
import asyncio
running, most, loops = 0, 0, set()
async def reply(messages):
    global running, most
    loops.add(asyncio.get_running_loop())
    running += 1
    most = max(most, running)
    await asyncio.sleep(0.01)
    running -= 1
    return messages[-1]["content"]
"""


def test_an_async_function_is_awaited_together_in_one_loop(module: Write) -> None:
    module("answers_c", ASYNC)
    model = python("answers_c:reply", ceiling=16)
    for asks in (ASKS[:20], ASKS[20:]):  # clients made at import belong to one loop
        assert [r.text for r in model.ask(asks)] == [a.prompt.text for a in asks]
    import answers_c

    assert answers_c.most == 16
    assert len(answers_c.loops) == 1


def test_an_async_function_works_inside_a_running_loop(module: Write) -> None:
    module("answers_d", "async def reply(messages):\n    return 'yes'\n")

    async def inside() -> list[Response]:
        return python("answers_d:reply").ask(ASKS[:1])

    assert asyncio.run(inside())[0].text == "yes"


PLAIN = """
import threading
together = threading.Barrier(8, timeout=5)
threads, most, running = set(), 0, 0
def reply(messages):
    global most, running
    threads.add(threading.get_ident())
    running += 1
    most = max(most, running)
    together.wait()
    running -= 1
    return messages[-1]["content"]
"""


def test_a_plain_function_is_called_in_threads_as_many_as_the_ceiling(module: Write) -> None:
    module("answers_p", PLAIN)
    model = load("python:answers_p:reply", engine=Engine(ceiling=8))
    assert [r.text for r in model.ask(ASKS)] == [a.prompt.text for a in ASKS]
    import answers_p

    assert answers_p.most == 8
    assert len(answers_p.threads) <= 8


def test_an_async_functions_lane_begins_at_the_ceiling(module: Write) -> None:
    module("answers_o", ASYNC)
    python("answers_o:reply", ceiling=40).ask(ASKS)
    import answers_o

    assert answers_o.most == 40


def test_the_threads_end_with_the_model(module: Write) -> None:
    module("answers_e", "def reply(messages):\n    return 'yes'\n")
    before = threading.active_count()
    model = python("answers_e:reply")
    model.ask(ASKS)
    assert threading.active_count() > before
    del model
    gc.collect()
    assert threading.active_count() == before


def test_when_every_thread_is_lost_it_says_so_at_once(module: Write) -> None:
    module("answers_q", "import threading\ndef reply(m):\n    threading.Event().wait()\n")
    model = load("python:answers_q:reply?timeout=0.02", engine=Engine(ceiling=2))
    for ask in ASKS[:2]:
        with pytest.raises(ModelError, match=r"did not return within 0.02 s"):
            model.ask([ask])
    with pytest.raises(ModelError, match="2 calls of it never returned"):
        model.ask(ASKS[2:3])


@pytest.mark.parametrize("kind", ["def reply(m):\n    ", "async def reply(m):\n    await "])
def test_a_function_that_never_returns_keeps_no_process(kind: str, tmp_path: Path) -> None:
    wait = "asyncio.sleep(999)" if "async" in kind else "threading.Event().wait()"
    (tmp_path / "hangs.py").write_text(f"import asyncio, threading\n{kind}{wait}\n")
    code = (
        "from surfcheck.models import load\n"
        "from surfcheck.records import Prompt\n"
        "from surfcheck.roles import Ask\n"
        "model = load('python:hangs:reply?timeout=0.2')\n"
        "try:\n    model.ask([Ask(Prompt.of('a'))])\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert ran.stdout == (
        "ModelError python:hangs:reply?timeout=0.2 did not return within 0.2 s; correct the "
        "function, or give it longer with ?timeout=SECONDS\n"
    )
    assert ran.stderr == ""


CALLABLES = """
import functools
class Answer:
    def __call__(self, messages):
        return "instance"
    async def method(self, messages):
        return "method"
class Later:
    async def __call__(self, messages):
        return "later"
instance, later = Answer(), Later()
partial = functools.partial(lambda word, messages: word, "partial")
handed = lambda messages: instance.method(messages)
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("instance", "instance"),
        ("instance.method", "method"),
        ("later", "later"),
        ("partial", "partial"),
        ("handed", "method"),
    ],
)
def test_whatever_can_be_called(name: str, text: str, module: Write) -> None:
    module("answers_f", CALLABLES)
    model = python(f"answers_f:{name}")
    assert [r.text for r in model.ask(ASKS[:2])] == [text, text]
    assert model.identity


BAD = """
import asyncio, sys
import pytest
def raises(messages):
    raise ConnectionError("no route\\nto host")
async def raises_later(messages):
    await asyncio.sleep(0)
    raise ConnectionError("no route\\nto host")
def silent(messages):
    raise KeyError
def stops(messages):
    raise StopIteration
def exits(messages):
    sys.exit(3)
async def exits_later(messages):
    sys.exit(3)
def fails(messages):
    pytest.fail("no")
async def fails_later(messages):
    assert False, "no"
def none(messages):
    pass
async def none_later(messages):
    pass
def raw(messages):
    return b"bytes"
def several(messages):
    return ["a", "b"]
def broken(messages):
    return "\\ud800"
def takes_two(messages, temperature):
    return "a"
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raises", "raised ConnectionError: no route; correct the function"),
        ("raises_later", "raised ConnectionError: no route; correct the function"),
        ("silent", "raised KeyError: no message"),
        ("stops", "raised StopIteration: no message"),
        ("exits", "raised SystemExit: 3"),
        ("exits_later", "raised SystemExit: 3"),
        ("fails", "raised Failed: no"),
        ("fails_later", "raised AssertionError: no"),
        ("none", "returned NoneType, not str"),
        ("none_later", "returned NoneType, not str"),
        ("raw", "returned bytes, not str"),
        ("several", "returned list, not str"),
        ("broken", "returned text that is not Unicode"),
        ("takes_two", r"raised TypeError: takes_two\(\) missing 1 required"),
    ],
)
def test_what_is_no_answer_is_one_line(name: str, said: str, module: Write) -> None:
    module("answers_g", BAD)
    with pytest.raises(ModelError, match=f"^python:answers_g:{name} {said}") as caught:
        python(f"answers_g:{name}").ask(ASKS[:3])
    assert "\n" not in str(caught.value)


def test_our_own_errors_pass_through(module: Write) -> None:
    module(
        "answers_h",
        "from surfcheck.errors import BudgetReached\n"
        "def reply(messages):\n    raise BudgetReached('enough')\n",
    )
    with pytest.raises(BudgetReached, match="enough"):
        python("answers_h:reply").ask(ASKS[:1])


@pytest.mark.parametrize(
    ("source", "name", "said"),
    [
        ("", "answers_i", "names no function: write python:module:function"),
        ("", ":reply", "names no function"),
        ("", "answers_i:", "names no function"),
        ("", "no_such:reply", "no module 'no_such' in "),
        ("import no_such", "answers_i:reply", "no module 'no_such' in "),
        ("1 / 0", "answers_i:reply", "importing answers_i raises ZeroDivisionError"),
        ("def (", "answers_i:reply", "importing answers_i raises SyntaxError"),
        ("", "answers_i:reply", "answers_i has no 'reply'; correct the name"),
        ("reply = 3", "answers_i:reply", "reply is a int; give a function"),
        ("reply = print", "answers_i:reply?timeout=0", "timeout is '0': give a number, 0.001 or"),
        ("reply = print", "answers_i:reply?seed=1", "no parameter 'seed'; python: takes timeout"),
    ],
)
def test_what_cannot_be_called_says_why(source: str, name: str, said: str, module: Write) -> None:
    module("answers_i", source)
    with pytest.raises(UsageError, match=said) as caught:
        python(name)
    assert "\n" not in str(caught.value)


def test_the_identity_follows_the_source(module: Write) -> None:
    module("answers_j", "def reply(messages):\n    return 'yes'\n")
    module("answers_k", "def reply(messages):\n    return 'yes'\n")
    first = identity("answers_j:reply")
    assert identity("answers_j:reply") == first
    assert identity("answers_k:reply") != first
    assert identity("answers_j:reply?timeout=3") == first


def test_the_identity_changes_with_what_the_function_calls(
    module: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    import linecache
    import sys

    source = "def word():\n    return 'yes'\ndef reply(messages):\n    return word()\n"
    module("answers_l", source)
    before = identity("answers_l:reply")
    monkeypatch.delitem(sys.modules, "answers_l")
    linecache.clearcache()
    module("answers_l", source.replace("'yes'", "'never'"))
    after = identity("answers_l:reply")
    assert before != after


def test_the_label_is_shown(module: Write) -> None:
    module("answers_m", "def reply(messages):\n    return 'yes'\n")
    model = load("python:answers_m:reply?timeout=3", label="mine:")
    assert model.spec == "mine:"
    assert model.ask(ASKS[:1])[0].model == "mine:"
