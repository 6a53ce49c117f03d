"""Plain running text where it is asked for.

Chat models are trained to dress their answers; asked for plain text, many still bring bold words,
headings and bullets. Judged by rule: any Markdown that would show as stray signs where Markdown is
not shown. Left out: whether the words themselves are plain, and lists inside a sentence.
"""

from __future__ import annotations

import pytest

from surfcheck import invariant, perturb
from surfcheck.judge import rules

_ITEM = r"[ \t]*(?:[-*•+]|\d{1,2}[.)])[ \t]+\S"
PLAIN = rules.negated(
    rules.matches(
        r"(?m)^#{1,6} \S|\*\*\S|(?<![\w*])\*[^\s*][^*\n]{0,80}\*(?!\w)|\b__\w|^[ \t]*-{3,}[ \t]*$"
        rf"|^[ \t]*(?:```|~~~)|^[ \t]*\|.*\|[ \t]*$|^{_ITEM}.*\n+{_ITEM}"
    )
)
"""No heading, bold, italics, rule, fence, table, nor two list items in a row."""


@invariant(perturb.casing(), perturb.politeness(), perturb.persona(), needs=("assistant",))
@pytest.mark.parametrize(
    "prompt",
    [
        "What should I see in Edinburgh in two days? Plain text only, no Markdown.",
        "Explain how a mortgage works. No bullet points, please.",
        "Tell me in ordinary sentences how to repot a cactus.",
        "my screen reader chokes on asterisks and hashes, so without any of those: how do i "
        "descale a kettle",
        "Compare cats and dogs as pets, in two or three plain paragraphs. No headings or bold.",
        "I'll read this out on the radio, so nothing but running text: why do leaves turn red?",
        "Just talk to me normally, no lists. How do I start running at 50?",
        "This goes into an SMS, so no formatting at all. What do I pack for a day at the beach?",
        "Write a paragraph, not a list, about the pros and cons of working from home.",
        "Keep the style simple: plain prose, no bold, no titles. What does a notary do?",
        "Don't structure it, just tell me: what makes a good apology?",
        "What are the stages of a moon's cycle? One flowing paragraph.",
        "Answer as you would in a letter, without bullets or numbering. How do I make jam?",
        "Please no markdown, our ticket system shows the raw signs. Why is my Wi-Fi slow upstairs?",
        "List nothing. Bold nothing. Tell me how chess is played, in a few sentences.",
        "In plain text, how do I remove a red wine stain from a carpet?",
        "Explain inflation to my aunt over coffee, so to speak. No headings, no dashes, no numbers "
        "in front of lines.",
        "I need three reasons to learn Dutch, in prose.",
        "Bitte ohne Aufzählungen und ohne Fettdruck, nur Fließtext: Wie koche ich Risotto?",
        "Sans listes ni titres, en texte simple : comment choisir un vélo ?",
        "Give me a plain-text biography of Marie Curie that I can paste into a form field.",
        "Could you describe the rooms of a Roman villa in unformatted text?",
    ],
)
def test_an_assistant_writes_plainly_when_asked(prompt, target, judge):
    """Asked for plain text, the answer is plain text.

    Right: sentences and paragraphs, with line breaks between them.
    Wrong: headings, bold words, bulleted or numbered lines, tables or code blocks.
    """
    assert judge(target(prompt), PLAIN)
