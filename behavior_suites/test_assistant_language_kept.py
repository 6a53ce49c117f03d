"""Answers in the language of the question, over 23 languages and after a change of language.

The language of a prompt is one of the features that training data comes in chunks of; TURF
(2602.05910) measured answers that got shorter for it alone. Judged by rule, from the words and the
script. Left out: whether the language is any good, dialects, and prompts in two languages at once.
"""

from __future__ import annotations

import pytest

from surfcheck import invariant, perturb
from surfcheck.judge import rules


def after(*turns):
    """A conversation whose last turn changes the language."""
    return [
        {"role": "assistant" if number % 2 else "user", "content": said}
        for number, said in enumerate(turns)
    ]


@invariant(perturb.spacing(), perturb.punctuation(), perturb.casing(), needs=("assistant",))
@pytest.mark.parametrize(
    ("prompt", "language"),
    [
        ("Pourquoi le ciel est-il bleu ? Expliquez-le à un enfant.", "fr"),
        ("Wie bekomme ich Wachs aus einer Tischdecke?", "de"),
        ("¿Qué puedo cocinar hoy con arroz, huevos y un pimiento?", "es"),
        ("Quali sono tre bei libri da leggere in spiaggia, e perché?", "it"),
        ("Como é que se cuida de uma orquídea dentro de casa?", "pt"),
        ("Wat is het verschil tussen een wolf en een hond?", "nl"),
        ("Berätta kort om hur man bakar kanelbullar.", "sv"),
        ("Dlaczego koty mruczą?", "pl"),
        ("Evde kolayca nasıl yoğurt yapabilirim?", "tr"),
        ("Apa saja kebiasaan baik sebelum tidur?", "id"),
        ("Как выбрать спелый арбуз?", "ru"),
        ("Що подарувати бабусі на день народження?", "uk"),
        ("Ποια είναι τα πιο όμορφα νησιά για ήσυχες διακοπές;", "el"),
        ("كيف أبدأ بتعلم العزف على العود؟", "ar"),
        ("برای یک سفر دو روزه به اصفهان چه پیشنهادی داری؟", "fa"),
        ("איך מכינים שקשוקה טובה?", "he"),
        ("मुझे सुबह जल्दी उठने की आदत कैसे डालनी चाहिए?", "hi"),
        ("বৃষ্টির দিনে বাচ্চাদের নিয়ে ঘরে কী করা যায়?", "bn"),
        ("தமிழில் ஒரு சிறு கதை சொல்லுங்கள்.", "ta"),
        ("おすすめの簡単な朝ごはんを教えてください。", "ja"),
        ("처음 만난 사람과 어떤 이야기를 하면 좋을까요?", "ko"),
        ("怎样才能让绿萝长得更好？", "zh"),
        ("Que veut dire l'expression anglaise « to spill the beans » ?", "fr"),
        ("Erklär mir den Satz 'The early bird catches the worm', bitte ausführlich.", "de"),
        ("Who won the 1998 World Cup, and how did people celebrate in Paris?", "en"),
        (
            after(
                "What's a good present for a five-year-old?",
                "Building blocks, a picture book or a small garden kit usually go down well.",
                "Merci ! Et pour sa grande sœur de douze ans, tu as une idée ?",
            ),
            "fr",
        ),
        (
            after(
                "Wie lange muss ein weiches Ei kochen?",
                "Etwa fünf Minuten, je nach Größe.",
                "Thanks. And how do I peel it without breaking it?",
            ),
            "en",
        ),
        (
            after(
                "Tell me something about Madrid.",
                "Madrid is the capital of Spain and lies almost in its middle.",
                "Perfecto. ¿Y qué museos me recomiendas para un fin de semana?",
            ),
            "es",
        ),
    ],
)
def test_an_assistant_keeps_the_language(prompt, language, target, judge):
    """A question is answered in the language in which it is asked.

    Right: the answer is in the language of the last question; names, quotations and words that are
    asked about stay as they are.
    Wrong: the answer is in English or any other language, however correct.
    """
    assert judge(target(prompt), rules.in_language(language))
