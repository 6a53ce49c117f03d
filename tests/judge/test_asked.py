from __future__ import annotations

import pytest

from surfcheck.judge import asked

CODE = [
    "Write a Python function that reverses a string.",
    "Can you write me a script that renames my photos?",
    "WRITE A REGEX FOR PHONE NUMBERS",
    "fix my code please",
    "I need an SQL query for all customers in Oslo.",
    "Build me a small web page for my bakery.",
    "Make a to-do app.",
    "How does merge sort work?",
    "Explain recursion like I'm twelve.",
    "How do I undo my last git commit?",
    "Write a program that prints the primes.",
    "How can I add two cells in Excel?",
    "Draw a cat as an SVG.",
    "Schreib mir bitte ein Skript, das Dateien umbenennt.",
    "请写一段代码来排序列表。",
    "Напиши код, который сортирует список.",
    "Escribe código para sumar dos números.",
]
NO_CODE = [
    "Draw a hedgehog.",
    "What is the dress code for a gallery opening?",
    "Write a script for a short film about a lighthouse.",
    "I lost my zip code list. How many digits does one have?",
    "Does your company have a code of conduct?",
    "Make me a training program for a marathon.",
    "What is the function of the liver?",
    "What sort of tea goes with scones?",
    "I want to excel at school. Any tips?",
    "Tell me about the island of Java, and about java coffee.",
    "I compiled a list of books. Which one first?",
    "Write a job application for a bakery.",
    "Create a slogan for my new app, please.",
    "Are pandas bears?",
    "Создай программу тренировок на неделю.",
    "My train leaves from terminal two.",
]
MATHS = [
    "What is 12 × 7?",
    "Is it true that 2+5=7?",
    "Solve x^2 = 9.",
    "How many minutes are there in three days?",
    "If I have 3 apples and eat one, how many are left?",
    "A bat and a ball cost $1.10. The bat costs $1 more. What does the ball cost?",
    "What is the area of a circle?",
    "Prove that there are infinitely many primes.",
    "What is the formula for kinetic energy?",
    "How do I calculate my tax?",
    "What percentage of adults can swim?",
    "Explain the theorem of Pythagoras.",
    r"What does \frac{1}{2} mean?",
    "What happens to y if x = 3?",
    "Calculate how happy 3 of 4 people are.",
    "计算 3 乘 5",
    "Реши уравнение",
]
NO_MATHS = [
    "How many biscuits should I put on the plate?",
    "Calculate love.",
    "What is the formula for a happy marriage?",
    "Is there a proof that my life has a meaning?",
    "What's the perfect number of friends?",
    "How long should I let the dough rest?",
    "Write a poem about the sea.",
    "1. Tell me a joke.",
    "2) How old do cats get?",
    "I was born in 1987 and my sister in 1990. Write us a toast.",
    "How much do you like jazz?",
    "¿Cuántos amigos debería tener?",
]


@pytest.mark.parametrize("prompt", CODE)
def test_asks_for_code(prompt: str) -> None:
    assert asked.for_code(prompt)


@pytest.mark.parametrize("prompt", [*NO_CODE, *NO_MATHS])
def test_does_not_ask_for_code(prompt: str) -> None:
    assert not asked.for_code(prompt)


@pytest.mark.parametrize("prompt", MATHS)
def test_asks_for_mathematics(prompt: str) -> None:
    assert asked.for_mathematics(prompt)


@pytest.mark.parametrize("prompt", NO_MATHS)
def test_does_not_ask_for_mathematics(prompt: str) -> None:
    assert not asked.for_mathematics(prompt)


@pytest.mark.parametrize(
    ("prompt", "figure"),
    [
        ("How many biscuits should I put on the plate?", True),
        ("Calculate love.", True),
        ("I earn 3000 a month. Help me to save.", True),
        ("3. Write a poem about the sea.", False),
        ("Tell me about the sea.", False),
    ],
)
def test_asks_for_a_figure(prompt: str, figure: bool) -> None:
    assert asked.for_a_figure(prompt) is figure


@pytest.mark.parametrize(
    ("prompt", "science"),
    [("Why does gravity pull?", True), ("什么是量子?", True), ("Why do cats purr?", False)],
)
def test_is_about_a_science(prompt: str, science: bool) -> None:
    assert asked.in_science(prompt) is science
