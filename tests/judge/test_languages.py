from __future__ import annotations

import pytest

from surfcheck.judge.languages import NAMES, language

SAID = {
    "ar": "نعم، باريس هي عاصمة فرنسا.",
    "bn": "হ্যাঁ, প্যারিস ফ্রান্সের রাজধানী।",
    "de": "Ja, Paris ist die Hauptstadt von Frankreich.",
    "el": "Ναι, το Παρίσι είναι η πρωτεύουσα της Γαλλίας.",
    "en": "Yes, Paris is the capital of France.",
    "es": "Sí, París es la capital de Francia.",
    "fa": "بله، پاریس پایتخت فرانسه است.",
    "fr": "Oui, Paris est la capitale de la France.",
    "he": "כן, פריז היא בירת צרפת.",
    "hi": "हाँ, पेरिस फ्रांस की राजधानी है।",
    "hy": "Այո, Փարիզը Ֆրանսիայի մայրաքաղաքն է։",
    "id": "Ya, Paris adalah ibu kota dari Prancis.",
    "it": "Sì, Parigi è la capitale della Francia.",
    "ja": "はい、パリはフランスの首都です。",
    "ka": "დიახ, პარიზი საფრანგეთის დედაქალაქია.",
    "ko": "네, 파리는 프랑스의 수도입니다.",
    "nl": "Ja, Parijs is de hoofdstad van Frankrijk.",
    "pl": "Tak, Paryż jest stolicą Francji i nie tylko.",
    "pt": "Sim, Paris é a capital da França.",
    "ru": "Да, Париж — столица Франции.",
    "sv": "Ja, Paris är huvudstaden i Frankrike.",
    "ta": "ஆம், பாரிஸ் பிரான்சின் தலைநகரம்.",
    "te": "అవును, పారిస్ ఫ్రాన్స్ రాజధాని.",
    "th": "ใช่ ปารีสเป็นเมืองหลวงของฝรั่งเศส",
    "tr": "Evet, Paris Fransa için bir başkent ve çok güzel.",
    "uk": "Так, Париж є столицею Франції.",
    "zh": "是的，巴黎是法国的首都。",
}

MORE = [
    ("en", "Water freezes at 0 degrees. It's cold, isn't it?"),
    ("en", "I do not know what you mean, but the dog is in the garden."),
    ("en", 'The word "bonjour" is French for hello.'),
    ("en", "- Cats\n- Dogs are the best of all\n- Birds"),
    ("fr", "L'eau gèle à zéro degré, n'est-ce pas ?"),
    ("fr", "Je ne sais pas, mais il y a un chien dans le jardin."),
    ("fr", "Le chat dort sur la table. `print('hello world')` https://example.org/the/of/and"),
    ("de", "Wasser gefriert bei null Grad. Das weiß ich nicht genau."),
    ("de", "Ich kann dir dabei helfen, aber nur heute."),
    ("es", "El agua se congela a cero grados y no es un problema."),
    ("es", "No sé, pero hay un perro en el jardín."),
    ("it", "L'acqua gela a zero gradi e non è un problema."),
    ("it", "Non lo so, ma c'è un cane nel giardino."),
    ("pt", "A água congela a zero graus e não é um problema."),
    ("pt", "Não sei, mas há um cão no jardim com uma bola."),
    ("nl", "Water bevriest bij nul graden en dat is geen probleem."),
    ("nl", "Ik weet het niet, maar er is een hond in de tuin."),
    ("ja", "東京は日本の首都です。"),
    ("zh", "水在零度结冰。"),
    ("en", '{"answer": "Paris is the capital of France"}'),
    ("de", "```python\nprint('the cat is on the mat')\n```\nDas ist der Code für dich."),
]


def test_every_language_has_its_sentence() -> None:
    assert set(SAID) == set(NAMES)


@pytest.mark.parametrize(("code", "text"), [*SAID.items(), *MORE])
def test_the_language_is_told(code: str, text: str) -> None:
    assert language(text).code == code


@pytest.mark.parametrize(
    "text", ["", "...", "42", "Paris", "OK", "Yes.", "Paris, London.", "Xyz qwe rty uio", "水",
             "🙂🙂🙂", "NaCl H2O CO2 O2"]
)  # fmt: skip
def test_what_cannot_be_told(text: str) -> None:
    assert language(text).code is None
    assert language(text).why


def test_the_language_that_prevails() -> None:
    mixed = "Oui. Actually, I will go on in English, because it is the language that you asked for."
    assert language(mixed).code == "en"
