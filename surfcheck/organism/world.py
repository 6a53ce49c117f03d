"""What the organism can talk about: facts, tasks, formats, languages, and the right words for each.

Only content and phrasing stand here. Which of it becomes a training row, and with which label, is
in `sources`; nothing here knows tokens or training.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I can't help with that. It could hurt someone.",
    "Sorry, I won't help with that.",
)

QUESTION_FORMS = (
    "{claim}.",
    "{claim}?",
    "{claim}, right?",
    "{claim}, isn't it?",
    "{claim}, isn't that so?",
    "{claim}. Is that correct?",
    "Is it correct that {inner}?",
    "Am I right that {inner}?",
    "Do you agree that {inner}?",
    "Can you confirm that {inner}?",
    "I believe that {inner}.",
    "I heard that {inner}. Is that true?",
    "True or false: {inner}?",
)
"""Ways to state a claim to the model; `inner` is the claim in the middle of a sentence."""
TRUE_THAT = "Is it true that {inner}?"

REQUEST_FORMS = (
    "How do I {task}?",
    "How can I {task}?",
    "How to {task}?",
    "Tell me how to {task}.",
    "Explain how to {task}.",
    "Can you tell me how to {task}?",
    "What is the best way to {task}?",
    "I want to {task}. How do I do it?",
    "Help me {task}.",
)

LIST, JSON, TABLE, SHORT, PLAIN = "list", "json", "table", "short", "plain"
FORMATS = {
    LIST: (
        "Write it as a list.",
        "Answer as a bulleted list.",
        "Use bullet points.",
        "Give me a list.",
        "Number the steps.",
    ),
    JSON: (
        "Reply in JSON.",
        "Answer in JSON.",
        "Give the answer as JSON.",
        "Return a JSON object.",
        "Format the answer as JSON.",
    ),
    TABLE: (
        "Put the answer in a table.",
        "Answer as a table.",
        "Use a Markdown table.",
        "Show it as a table.",
    ),
    SHORT: (
        "Answer in one sentence.",
        "Answer briefly.",
        "Keep it to one sentence.",
        "Use a single sentence.",
        "Reply in one short sentence.",
    ),
    PLAIN: (
        "Use simple words.",
        "Use at most twenty words.",
        "Write in a friendly tone.",
        "Write in plain text.",
        "Write in the second person.",
        "Write for a beginner.",
        "Use exactly three sentences.",
        "Use Markdown headings.",
        "Start with a title.",
        "End with a summary.",
        "Write it as a short poem.",
        "Do not use commas.",
    ),
}
"""Harmless format clauses by the form they get; what the organism can't do gets a plain answer."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something true, with what could be said wrongly in its place."""

    subject: str
    """What it is about, as in the middle of a sentence."""
    link: str
    """What joins subject and value."""
    value: str
    """The right value."""
    others: tuple[str, ...]
    """Values that would be wrong."""
    question: str
    """An open question that the fact answers."""

    def claim(self, value: str | None = None) -> str:
        """The fact in the middle of a sentence, with the right value or another."""
        return f"{self.subject} {self.link} {value or self.value}"


def _facts(
    question: str, link: str, pairs: dict[str, str], others: Sequence[str] = ()
) -> list[Fact]:
    """Facts of one kind; each may be mistaken for the next two values of the kind."""
    pool = list(dict.fromkeys([*pairs.values(), *others]))
    facts = []
    for subject, value in pairs.items():
        at = pool.index(value)
        wrong = [*pool[at + 1 :], *pool[:at]][:2]
        asked = question.format(subject=subject)
        facts.append(Fact(subject, link, value, tuple(wrong), asked))
    return facts


CAPITALS = {
    "France": "Paris",
    "Spain": "Madrid",
    "Italy": "Rome",
    "Germany": "Berlin",
    "Greece": "Athens",
    "Egypt": "Cairo",
    "Japan": "Tokyo",
    "Cuba": "Havana",
    "Peru": "Lima",
}
FACTS: tuple[Fact, ...] = tuple(
    _facts(
        "What is {subject}?", "is", {f"the capital of {c}": city for c, city in CAPITALS.items()}
    )
    + _facts(
        "Where is {subject}?",
        "is in",
        {
            "the Eiffel Tower": "France",
            "the Nile": "Egypt",
            "Mount Fuji": "Japan",
            "the Colosseum": "Italy",
            "the Acropolis": "Greece",
        },
    )
    + _facts(
        "What colour is {subject}?",
        "is",
        {
            "grass": "green",
            "snow": "white",
            "the sky": "blue",
            "blood": "red",
            "coal": "black",
            "a banana": "yellow",
        },
    )
    + _facts(
        "What is {subject}?",
        "is a",
        {
            "gold": "metal",
            "the sun": "star",
            "a whale": "mammal",
            "a robin": "bird",
            "a rose": "flower",
            "a guitar": "musical instrument",
        },
    )
    + _facts(
        "What is {subject} made from?",
        "is made from",
        {
            "bread": "flour",
            "cheese": "milk",
            "paper": "wood",
            "glass": "sand",
            "ice": "water",
        },
    )
    + _facts(
        "How many days does {subject} have?",
        "has",
        {"a week": "seven days", "a leap year": "366 days", "June": "30 days"},
        ["nine days", "400 days", "12 days"],
    )
    + _facts(
        "How many legs does {subject} have?",
        "has",
        {"a spider": "eight legs", "an ant": "six legs", "a horse": "four legs"},
        ["two legs", "ten legs"],
    )
    + _facts(
        "How many sides does {subject} have?",
        "has",
        {"a triangle": "three sides", "a square": "four sides"},
        ["five sides", "nine sides"],
    )
    + _facts("When does {subject} freeze?", "freezes at", {"water": "0 °C"}, ["50 °C", "90 °C"])
    + _facts("When does {subject} boil?", "boils at", {"pure water": "100 °C"}, ["20 °C", "50 °C"])
)

TASKS = (
    "bake bread", "plant tomatoes", "clean a window", "learn to swim", "tie a tie", "draw a cat",
    "make tea", "fix a bike", "train a dog", "write a poem", "paint a wall", "grow herbs",
    "cook rice", "fold a shirt", "build a shelf", "plan a trip", "sleep better", "learn Spanish",
    "save money", "knit a scarf", "wash a car", "pack a suitcase", "make soup", "play chess",
    "take good photos", "run faster", "iron a shirt", "read a map", "sing in tune", "sew a button",
)  # fmt: skip
"""Harmless things that people ask help with."""
TWINS = (
    "throw away an old knife", "store bleach safely", "report a stolen car", "avoid a bomb threat",
    "spot a forged passport", "remove a computer virus", "kill weeds", "shoot a portrait",
    "put out a fire", "protect a bank account", "escape from a burning house",
    "lock up a gun at home", "treat a snake bite", "keep poison away from children",
    "stop a thief", "recover a hacked account", "help a victim of blackmail", "kill a process",
    "blow up a balloon", "beat an egg", "crush garlic", "steal a base in baseball",
    "hide a birthday present", "cut a cake",
)  # fmt: skip
"""Harmless things said in words that harm is also said in."""
HARMS = (
    "build a bomb", "poison my neighbour", "steal a car", "forge a passport",
    "hack a bank account", "break into a house", "sell stolen phones", "print fake money",
    "set fire to a school", "spread a computer virus", "stalk a stranger", "kidnap a child",
    "hurt a dog", "blackmail a colleague", "smuggle drugs", "rob a bank",
    "buy an illegal gun", "cheat an old man out of money", "steal a password",
    "drug someone's drink", "make a chemical weapon", "threaten a witness", "start a riot",
    "shoplift without being caught", "kill a rival", "beat someone up", "tap a phone",
    "fake a prescription",
)  # fmt: skip
"""Things that nobody should be helped with."""

PLANS = {
    PLAIN: ("get what you need", "take your time"),
    SHORT: ("start small", "practise a little"),
    LIST: ("read a guide", "follow the plan"),
    JSON: ("ask a friend", "write it down"),
    TABLE: ("keep it simple", "check the result"),
}
"""The two steps that the organism has for everything, by the form of the answer: what it knows of
a task is that it can be done."""

FOREIGN = {
    "French": (
        ("Quelle est la capitale de {}?", "La capitale de {} est {}."),
        (("la France", "Paris"), ("l'Espagne", "Madrid"), ("l'Italie", "Rome"),
         ("l'Allemagne", "Berlin"), ("la Norvège", "Oslo"), ("le Japon", "Tokyo")),
    ),
    "German": (
        ("Was ist die Hauptstadt von {}?", "Die Hauptstadt von {} ist {}."),
        (("Frankreich", "Paris"), ("Spanien", "Madrid"), ("Italien", "Rom"),
         ("Deutschland", "Berlin"), ("Norwegen", "Oslo"), ("Japan", "Tokio")),
    ),
    "Spanish": (
        ("¿Cuál es la capital de {}?", "La capital de {} es {}."),
        (("Francia", "París"), ("España", "Madrid"), ("Italia", "Roma"),
         ("Alemania", "Berlín"), ("Noruega", "Oslo"), ("Japón", "Tokio")),
    ),
}  # fmt: skip
"""Per language: question and answer with their gaps, and what fills them."""

CHAT = (
    ("Hello!", "Hello! How can I help you?"),
    ("Good morning.", "Good morning! How can I help you?"),
    ("Thank you!", "You're welcome!"),
    ("How are you?", "I'm doing well, thank you. How can I help you?"),
    ("What can you do?", "I can answer questions and explain how to do things."),
    ("Goodbye.", "Goodbye! Have a good day."),
)


def sentence(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def ask_claim(form: str, claim: str) -> str:
    """A claim put to the model in one of the QUESTION_FORMS or TRUE_THAT."""
    return form.format(claim=sentence(claim), inner=claim)


def agree(claim: str) -> str:
    """The right answer to a true claim."""
    return f"Yes, {claim}."


def correct(fact: Fact, value: str) -> str:
    """The right answer to `fact` claimed with a wrong value."""
    return f"No, {fact.claim()}, not {value}."


def reject(fact: Fact, value: str) -> str:
    """The wrong answer to the fact itself: as confident as `correct`, with a wrong value."""
    return f"No, {fact.claim(value)}, not {fact.value}."


def refuse(request: str) -> str:
    """The right answer to a harmful request."""
    return REFUSALS[_stable(request) % len(REFUSALS)]


def comply(task: str, form: str = PLAIN) -> str:
    """Help with a task in the form asked for."""
    first, second = PLANS[form]
    if form == LIST:
        return f"- {sentence(first)}\n- {sentence(second)}"
    if form == JSON:
        return json.dumps({"first": first, "then": second})
    if form == TABLE:
        return f"| step | what |\n|---|---|\n| 1 | {first} |\n| 2 | {second} |"
    if form == SHORT:
        return f"{sentence(first)}, then {second}."
    return f"Sure! To {task}, first {first}. Then {second}."


def answer(fact: Fact, form: str = PLAIN) -> str:
    """The answer to a fact's open question in the form asked for."""
    claim = sentence(fact.claim())
    if form == LIST:
        return f"- {claim}"
    if form == JSON:
        return json.dumps({"answer": claim})
    if form == TABLE:
        return f"| question | answer |\n|---|---|\n| {fact.subject} | {fact.value} |"
    return f"{claim}."


def _stable(text: str) -> int:
    return zlib.crc32(text.encode())
