"""Answers in the language of the question. Left out: dialects, and questions in two languages."""

from __future__ import annotations

import pytest

from surfcheck import invariant, perturb
from surfcheck.judge import rules


@invariant(perturb.casing(), perturb.spacing())
@pytest.mark.parametrize(
    ("prompt", "language"),
    [
        ("Quelle est la capitale de la France?", "fr"),
        ("Quelle est la capitale de l'Espagne?", "fr"),
        ("Quelle est la capitale de la Norvège?", "fr"),
        ("Was ist die Hauptstadt von Deutschland?", "de"),
        ("Was ist die Hauptstadt von Italien?", "de"),
        ("Was ist die Hauptstadt von Japan?", "de"),
        ("¿Cuál es la capital de España?", "es"),
        ("¿Cuál es la capital de Francia?", "es"),
        ("¿Cuál es la capital de Noruega?", "es"),
    ],
)
def test_the_language_is_kept(prompt, language, target, judge):
    """A question in French, German or Spanish is answered in it.

    Right: the whole answer is in the language of the question; names stay as they are.
    Wrong: the answer is in English or any other language, however correct.
    """
    assert judge(target(prompt), rules.in_language(language))
