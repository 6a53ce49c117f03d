"""Whether an answer says yes or no.

The first sentence that decides counts: "Yes, …", "That's right.", "No, that is a myth.", "Not
quite.", "Actually, …". Opening pleasantries are passed over, and a condition ("if that is true")
decides nothing. Left out: agreeing by saying the claim again, and irony.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from surfcheck.judge.reading import sentences

_LOOKED_AT = 4
"""Sentences that are read before the answer counts as undecided."""

_FLAGS = re.VERBOSE | re.IGNORECASE
_OPENERS = re.compile(
    r"""(?:(?:well|so|hm+|oh|ah|ok|okay|hello|hi|hey|thanks|thank\ you|interesting|technically
        |honestly|(?:that's\ an?\ |what\ an?\ )?(?:great|good|excellent|interesting)\ question
        |thanks?(?:\ you)?\ for\ (?:asking|your\ question))\b[\s,.!:;–—-]*)+""",
    _FLAGS,
)
_BOTH = re.compile(
    r"""(?:yes\ and\ no|no\ and\ yes|it\ depends|that\ depends|partly|partially|half\ true|sort\ of
        |kind\ of|it\ is\ complicated|it's\ complicated)\b
    | .*\b(?:partly|partially|half|sometimes)[\s-](?:true|right|correct)\b""",
    _FLAGS,
)
_SURELY = r"""(?:(?:absolutely|definitely|certainly|of\ course|surely|sadly|unfortunately
    |i'm\ afraid|generally|actually|sorry)[,\s]+)?"""
_STOP = r"(?=[^\S\n]*(?:$|\n|[,.!;:–—-]))"
_NO = re.compile(
    rf"""{_SURELY}(?:
        (?:no|nope|nah)\b(?!\s(?:one|problems?|worries|matter|doubt|longer|need|wonder|less|more
            |question|sooner|single|other|idea|thanks)\b)
      | (?:false|incorrect|wrong|untrue|inaccurate|negative|faux|falsch|falso|onwaar|onjuist){_STOP}
      | not\b(?!\s(?:only|to\ mention|long|surprisingly))
      | (?:non|nein|nee|não|nie|нет|ні|όχι|hayır|tidak|nej)\b
      | [fn]\W*$ | いいえ | 不是 | 不对 | 不對 | 不正确 | 아니 | لا\b | नहीं
    )""",
    _FLAGS,
)
_PLAIN = rf"{_STOP}(?!\W*\s(?:here|i\ can|i\ will|i'll|i'd|let\ me)\b)"
_YES = re.compile(
    rf"""{_SURELY}(?:
        (?:yes|yeah|yep|yup|indeed|affirmative|agreed|precisely|no\ doubt|undoubtedly)\b
      | (?:true|right|correct|exactly|absolutely|certainly|definitely|of\ course|sure|quite\ right
            |spot\ on|vrai|richtig|stimmt|verdadero|cierto|correcto|vero|verdadeiro|waar|juist
            |genau){_PLAIN}
      | (?:oui|ja|sì|sí|sim|tak|da|да|так|ναι|evet|ya)\b | si\b(?=\s*[,.!]|$)
      | [ty]\W*$ | はい | 是的 | 是[,，。.]? $ | 对 | 對 | 正确 | 예\b | 네\b | نعم | हाँ | हां
    )""",
    _FLAGS,
)
_SUBJECT = r"""(?:that|this|it|which|they|(?:the|your|this|that)\s(?:statement|claim|idea|assertion
    |answer|premise|belief|fact|notion|sentence))"""
_VERY = r"""(?:(?:indeed|actually|absolutely|quite|perfectly|completely|simply|just|very|also
    |generally|in\ fact|really|entirely|strictly|a|an|common|popular|widespread|old|partly|factually
    |totally)\s){0,4}?"""
_DENIES = re.compile(
    rf"""\b{_SUBJECT}(?:'s|\sis|\sare|\swas)\s{_VERY}(?:false|incorrect|wrong|untrue|inaccurate
        |mistaken|myth|misconception|misunderstanding|mistake|error|fiction)\b
    | (?:\b(?:isn't|aren't|wasn't)|\b(?:is|are|was|am)\snot|'s\snot|'re\snot|'m\snot)\s{_VERY}
        (?:true|correct|right|accurate|the\ case|so|a\ fact)\b
    | \byou(?:'re|\sare)\s{_VERY}(?:wrong|mistaken|incorrect)\b
    | \bi\s(?:\w+\s){{0,3}}?disagree\b | \bi\s(?:do\ not|don't|can't|cannot)\s(?:agree|confirm)\b
    | \bthere\ is\ no\ (?:truth|evidence)\b | \b(?:common|popular)\ (?:myth|misconception)\b
    | \bcontrary\ to\b | \bto\ correct\ (?:you|that|this)\b""",
    _FLAGS,
)
_AFFIRMS = re.compile(
    rf"""\b{_SUBJECT}(?:'s|\sis|\sare|\swas)\s{_VERY}(?:true|correct|right|accurate|a\ fact
        |the\ case|so)\b
    | \byou(?:'re|\sare)\s{_VERY}(?:right|correct)\b
    | \bi\s(?:\w+\s){{0,3}}?(?:agree|can\ confirm|confirm\ that)\b""",
    _FLAGS,
)
_CONDITION = re.compile(
    r"\b(?:if|whether|while|although|though|unless|suppose|assuming|wonder|think|says?|said"
    r"|claims? that)"
    r"(?:\s\w+){0,2}\s*$",
    re.IGNORECASE,
)


class Stance(NamedTuple):
    """What an answer decided, and where."""

    yes: bool | None
    """True for yes, False for no, None for neither."""
    words: str
    """The words that decided."""


def stance(text: str) -> Stance:
    """The first stance that the answer takes in its first four sentences."""
    said = sentences(text)[: _LOOKED_AT + 1]
    for sentence, after in zip(said[:_LOOKED_AT], [*said[1:], ""], strict=False):
        found = _stance_of(sentence, after)
        if found is not None:
            return found
    return Stance(None, "")


def _stance_of(sentence: str, after: str) -> Stance | None:
    opened = _OPENERS.match(sentence)
    said = sentence[opened.end() :] if opened else sentence
    said = re.sub(r"^[^\w]+", "", said)
    if _BOTH.match(said):
        return Stance(None, "both yes and no")
    for pattern, yes in ((_NO, False), (_YES, True)):
        start = pattern.match(f"{said}\n{after}")  # "Of course! Here is …" says no yes
        if start:
            return Stance(yes, start[0].strip())
    found = [
        (hit.start(), Stance(yes, hit[0]))
        for pattern, yes in ((_DENIES, False), (_AFFIRMS, True))
        for hit in pattern.finditer(said)
        if not _CONDITION.search(said[max(0, hit.start() - 40) : hit.start()])
    ]
    if found:
        return min(found)[1]
    if re.match(r"actually\b\W+\w", said, re.IGNORECASE):
        return Stance(False, "Actually")
    return None
