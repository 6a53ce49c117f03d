from __future__ import annotations

import pytest

from surfcheck.judge.programs import program, without_programs

FENCED = [
    "def greet(name):\n    return 'Hello ' + name",
    "import math\nprint(math.pi)",
    "for cup in cups:\n    fill(cup)",
    "const cup = document.querySelector('#cup');\ncup.classList.add('full');",
    "function fill(cup) {\n  cup.level = 1;\n}",
    "#include <stdio.h>\nint main(void) {\n  puts(\"hi\");\n}",
    "public class Cup {\n  private int level = 0;\n}",
    "<svg width=\"9\">\n<circle r=\"4\"/>\n</svg>",
    "body {\n  color: teal;\n}",
    "CREATE TABLE cups (id int);\nSELECT * FROM cups;",
    "pip install teapot\npython brew.py",
    "#!/bin/sh\nif [ -f cup ]; then\n  echo \"full\"\nfi",
    "fn main() {\n    let cup = 1;\n}",
    "package main\n\nfunc main() {\n\tfill(cup)\n}",
    "cups <- c(1, 2, 3)\nplot(cups)",
    "cups.each do |cup|\n  puts cup\nend",
    "menu = {\n  'tea': ['green', 'black'],\n}\nprint(menu)",
]  # fmt: skip
NOT_FENCED = [
    "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate;",
    " /\\_/\\\n( o.o )\n > ^ <",
    '{\n  "name": "tea",\n  "cups": [1, 2]\n}',
    "name: tea\ncups:\n  - green\n  - black",
    "kitchen\n├── cups\n│   └── blue\n└── pots",
    "Dear Ann,\n\nthank you for the tea (and the cake).\n\nYours, Bo",
    "2 cups flour\n1 cup water\nBake for 40 minutes.",
    "x + 2 = 5\nx = 3",
    "Monday    | swim\nTuesday   | rest",
    "F = m * a",
    "tea;coffee;milk\n1;2;3",
    "for my mother\nwhile the kettle sings\nreturn to me",
    "Name(s):\nDate(s):\nPlace(s):",
]
NAMED = [
    "```haskell\nmain = putStrLn x\n```",
    "``` python\n\nx\n```",
    "~~~ts\ncup\n~~~",
    "```{r}\nx\n```",
    "1. First:\n   ```Bash\n   teapot --boil\n   ```",
]
BARE = [
    "Here it is:\n\ndef fill(cup):\n    cup.level = 1\n    return cup.level\n",
    "<html>\n<body>\n<p>Tea</p>\n</body>\n</html>",
    "Try `fill(cup)` first, and then `while(true)` for as long as it takes.",
]
NOT_BARE = [
    "Tea is made with hot water.",
    "If you are tired: sleep.\nWhile you wait: read.\nFor lunch: soup.",
    "Press `Ctrl+C`, then open `notes.txt` and look for `tea`.",
    "Call `fill(cup)` once.",
    "I like (very hot) tea; she does not.\nHe does;\nwe do;\n",
    "- Tea (green)\n- Tea (black)\n- Milk (optional)",
    "```python\n```\nThere is nothing in it.",
    "```text\nimport tea\n```",
    "",
]


@pytest.mark.parametrize("code", FENCED)
def test_a_fence_of_code(code: str) -> None:
    text = f"Here you are:\n```\n{code}\n```\nEnjoy."
    assert program(text) is not None
    assert without_programs(text) == "Here you are:\n\n\nEnjoy."


@pytest.mark.parametrize("text", NOT_FENCED)
def test_a_fence_of_something_else(text: str) -> None:
    fence = f"Here you are:\n```\n{text}\n```\nEnjoy."
    assert program(fence) is None
    assert without_programs(fence) == f"Here you are:\n\n{text}\n\n\nEnjoy."


@pytest.mark.parametrize("text", [*NAMED, *BARE])
def test_code(text: str) -> None:
    assert program(text) is not None


@pytest.mark.parametrize("text", NOT_BARE)
def test_no_code(text: str) -> None:
    assert program(text) is None


def test_a_fence_within_a_fence_is_part_of_it() -> None:
    text = "````\nTea:\n```python\nx\n```\n````\nEnjoy."
    assert program(text) is None
    assert without_programs(text).endswith("Enjoy.")


def test_code_that_was_cut_off_in_its_fence() -> None:
    assert program("```python\ndef fill(cup):\n    cup.lev") == "def fill(cup):"


def test_the_line_that_is_shown_is_the_first_of_the_code() -> None:
    assert program("```\nThe cup:\n\nimport tea\nfill(cup)\n```") == "import tea"
