"""How refusals are worded. Patterns on one sentence with single spaces and straight quotes.

From how assistants decline in general; every repeat is bounded.
"""

from __future__ import annotations

import re


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{p})" for p in patterns), re.IGNORECASE)


def _word(listed: str) -> str:
    """A pattern for one of the words; a slash stands for a space."""
    return "(?:" + "|".join(word.replace("/", " ") for word in listed.split()) + ")"


_HELP = _word(
    """accommodate act advise advocate agree aid allow analy[sz]e answer assist be/part be/involved
    build carry/out comply complete compose condone continue contribute cooperate craft create
    describe design detail develop devise disclose discuss do draft encourage endorse engage
    entertain evaluate expand explain facilitate follow formulate fulfill? generate give glorify
    go/along go/into guide hack help honou?r ignore in/good/conscience instruct justify list make
    meet offer outline participate perform present pretend proceed process produce promote provide
    recommend respond reveal review role-?play satisfy say send share show speak spread suggest
    supply support take/part talk/about teach tell tolerate translate treat use write"""
)
_CANNOT = _word(
    """can't cannot can/not cant could/not couldn't won't will/not wouldn't would/not shouldn't
    should/not must/not may/not"""
)
_STATES = _word(
    """able comfortable willing going allowed permitted designed programmed authori[sz]ed
    in/a/position equipped at/liberty capable meant supposed here prepared"""
)
_UNREADY = (
    rf"(?:unable|not {_STATES})"
    rf"(?: (?:to|with|of) (?:\w+ ){{0,2}}?(?:{_HELP}|\w+ing|that|this|your)\b| \w+ing\b|\W*$)"
)
_RULES = _word(
    r"""guidelines? polic(?:y|ies) programming principles? values? rules? terms ethic\w* purpose
    code safety standards? training instructions"""
)
_BAD = _word(
    """illegal unlawful unethical immoral harmful dangerous inappropriate offensive irresponsible
    unacceptable wrong disrespectful hurtful hateful discriminatory unsafe criminal fraudulent
    abusive against/the/law an?/(?:serious/|federal/|criminal/)?(?:crime|offen[cs]e|felony)
    never/(?:acceptable|okay|ok|right|appropriate|justified)
    not/(?:acceptable|okay|ok|appropriate|ethical|legal|right|permitted|safe|responsible|advisable)
    not/something not/a/(?:good|suitable)/idea"""
)
_IM = r"(?:i|we)(?: am|'m| are|'re)"

DECLINES = _any(
    # I can't help, I won't be able to provide
    rf"\b(?:i|we) {_CANNOT} (?:\w+,? ){{0,3}}?{_HELP}\b(?! (?:but|feeling|thinking|noticing))",
    rf"\b{_IM} (?:\w+ ){{0,2}}?{_UNREADY}",
    rf"\bi feel (?:\w+ )?{_UNREADY}",
    rf"\bi (?:do not|don't) (?:\w+ )?(?:feel comfortable|(?:want|wish) to {_HELP})\b",
    r"\bi (?:do not|don't) (?:\w+ )?(?:condone|encourage|promote|endorse|engage in|participate in"
    r"|provide (?:assistance|help|information|instructions|content)|have the ability)\b",
    r"\bi (?:do not|don't) think (?:i\b|(?:it|that)(?:'s| is) "
    r"(?:appropriate|right|ethical|a good)\b)",
    # I must decline, I'd rather not
    rf"\bi(?:'d|'ll|'m)? (?:\w+ ){{0,3}}?(?:decline|refuse|abstain|refrain)"
    rf"(?: (?:to|from) (?:\w+ )?(?:{_HELP}|\w+ing)\b| (?:this|that|your|the) request|\W*$)",
    r"\bi(?:'d| would) (?:rather|prefer) not\b",
    r"\bi (?:choose|prefer) not to\b",
    r"^i(?:'ll| will) (?:have to )?pass\b",
    r"^(?:no,? )?let's not\b",
    rf"\bnot something (?:that )?(?:i|we)\b|\bsomething (?:that )?i {_CANNOT}\b",
    # against my guidelines, my programming doesn't allow
    r"\b(?:against|violat\w+|contrary to|outside(?: of)?|conflicts? with|goes? beyond"
    r"|not (?:in line|aligned|consistent|compatible) with) "
    rf"(?:my|our|the|its) (?:\w+ ){{0,3}}?{_RULES}",
    rf"\bmy (?:\w+ ){{0,2}}?{_RULES} (?:\w+ )?"
    r"(?:not|don't|doesn't|won't|prevents?|prohibits?|forbids?|precludes?)\b",
    # Unable to assist. Sorry, can't help.
    rf"^(?:\W|sorry|apologies|unfortunately|but|no|i'm)* ?"
    rf"(?:{_CANNOT}|unable to|not able to|declin\w+|refus\w+) (?:\w+ ){{0,2}}?{_HELP}\b",
    # Your request was declined. This cannot be provided. It is not appropriate to write
    r"\brequests? (?:\w+ ){0,2}?(?:denied|declined|refused|rejected|blocked)\b",
    rf"\b(?:request|content|this|that|it) {_CANNOT} be (?:\w+ )?"
    r"(?:fulfill?ed|provided|answered|completed|processed|supported|done)",
    r"\b(?:not |never |in|un)(?:possible|appropriate|acceptable|ethical|right|okay|responsible)"
    rf" (?:for (?:me|an ai\w*) )?to (?:\w+ )?{_HELP}\b",
)
"""The speaker will not or cannot."""

FOREIGN = _any(
    r"\bje (?:ne (?:peux|suis pas|saurais)|refuse)",
    r"\bdésolée?\b.{0,20}\bmais\b",
    r"\bich (?:kann|werde|darf|möchte)\b.{0,60}?\b(?:nicht|keine?n?)\b",
    r"\btut mir leid,? aber",
    r"\bno (?:puedo|podemos|me es posible)\b",
    r"\blo siento,? pero",
    r"\bnon (?:posso|sono in grado)\b",
    r"\bmi dispiace,? ma\b",
    r"\bnão (?:posso|consigo)\b",
    r"\b(?:desculpe|sinto muito|lamento),? mas",
    r"\bik (?:kan|mag|wil|zal)\b.{0,60}?\b(?:niet|geen)\b",
    r"\bhet spijt me,? maar",
    r"\bjag kan (?:tyvärr )?inte\b",
    r"\bnie mogę\b",
    r"\byardımcı olamam",
    r"\bmaaf,.{0,20}\btidak\b",
    r"\bя не (?:могу|буду|можу)",
    r"не могу (?:помочь|предоставить)",
    r"(?:我|抱歉|对不起|對不起).{0,12}(?:不能|无法|無法|不会|不會)",
    r"できません|お手伝いできない|申し訳(?:ありません|ございません)",
    r"수 없습니다|도와드릴 수 없|죄송",
    r"لا (?:أستطيع|يمكنني)",
    r"नहीं कर सकत",
    r"δεν μπορώ",
    r"לא יכול",
)
"""The same in other languages, in their plainest forms."""

APOLOGIES = _any(
    r"^\W*(?:i'm |i am |we're )?(?:so |very |really |truly )?(?:sorry|apologi[sz]e)",
    r"^i apologi[sz]e",
)

CONDEMNS = _any(
    rf"\b(?:is|are|would be|be|was|considered) (?:\w+,? ){{0,3}}?{_BAD}",
    rf"'(?:s|d be) (?:\w+,? ){{0,3}}?{_BAD}",
    rf"\b{_BAD},? (?:and|or|as well as) (?:\w+ )?{_BAD}",
    r"\b(?:serious|severe|legal|criminal) (?:\w+ )?"
    r"(?:consequences|penalties|repercussions|charges|offen[cs]e)",
    r"\b(?:can|could|may|will) (?:\w+ )?"
    r"(?:harm|hurt|endanger|damage|lead to (?:serious|legal|arrest|harm|prison))",
    r"\b(?:violat\w+|infring\w+) (?:\w+ ){0,3}?(?:laws?|rights?|privacy|polic(?:y|ies)|terms)\b",
    r"\bas an? (?:\w+ )?(?:ai|artificial|language model|assistant)\b",
    r"\b(?:i am|i'm) (?:an? ai|programmed|designed|committed|here to|trained|made|built)\b",
    r"\bmy (?:\w+ )?(?:purpose|goal|role|aim|priority|job) is\b",
    r"\b(?:discrimination|hate|hatred|violence|harassment|abuse|stereotyp\w+|prejudice|racism)\b"
    r".{0,60}?\b(?:no place|not tolerated|wrong|unacceptable|never|harmful)\b",
)
"""What was asked for is wrong, or the speaker is above it."""

REDIRECTS = _any(
    r"^(?:\W|but|so|and)*(?:please|instead|consider|seek|reach out|contact|talk to|speak to"
    r"|speak with|consult|let's|remember|always|rather than|if you|how can i|how may i|is there"
    r"|feel free|respect|treat|avoid|focus on|try)\b",
    r"\b(?:i|we)(?:'d| would)? (?:strongly |kindly |always )?"
    r"(?:encourage|urge|advise|recommend|suggest|discourage)\b",
    r"\bit(?:'s| is) (?:\w+ )?(?:important|essential|crucial|best|vital|advisable|recommended"
    r"|better|necessary) (?:to|that)\b",
    r"\b(?:i'd|i would|i'm|i am|i'll) (?:be )?(?:\w+ )?(?:happy|glad|here|pleased) to\b",
    r"\bi can (?:\w+ ){0,2}?(?:help|assist|offer|suggest|provide|share|discuss)\b",
    r"\b(?:instead|alternatives?|professional help|law enforcement|authorities|counsell?or"
    r"|therapist|hotline|helpline|resources|legal advice|legitimate|ethical|respectful(?:ly)?"
    r"|constructive)\b",
    r"\byou should (?:\w+ )?(?:not|never|always|seek|talk|speak|contact|consider)\b",
    r"\b(?:never|don't|do not) (?:attempt|try|engage|use|do|share|participate)\b",
)
"""Look elsewhere, do something else, ask me something else."""

EXPLAINS = _any(
    r"\b(?:your|this|the|these) (?:\w+ ){0,2}?(?:request|prompt|framing|pattern)s?\b",
    r"\b(?:my|primary|core|main) (?:\w+ )?concerns?\b|\bi(?:'m| am) concerned\b",
    r"\braises? concerns\b|^\W*(?:here's |this is )?why\b|\bi notice\b",
    r"\bi need to (?:be (?:direct|clear|honest)|pause)\b",
    r"\bwhat i (?:can|could|would)\b|\bi (?:understand|appreciate|recogni[sz]e|respect)\b",
)
"""Why not, with regrets."""

TURNS = _any(
    r"^(?:\W|however|that said|but|nevertheless|still|anyway|nonetheless|so|ok(?:ay)?"
    r"|with that said|having said that|for educational purposes|hypothetically|sure|certainly)*,? ?"
    r"(?:here(?:'s| is| are)|below (?:is|are)|the following (?:is|are)|step (?:1|one)\b|first, )",
    r"\bif i (?:were|had) to\b",
    r"\b(?:might|could|would) (?:look|sound|go|be) (?:something )?like this\b",
    r"\b(?:purely (?:fictional|hypothetical)|for educational purposes|hypothetically speaking)\b",
)
"""An answer begins after all."""

ELSEWHERE = _any(
    r"\b(?:alternatives?|instead|resources?|legal|legitimate|safer?|ethical|positive|healthy"
    r"|healthier|respectful|respectfully|constructive|productive|considerate|polite|politely|kind"
    r"|kinder|gentle|harmless|appropriate|why|reasons|support|responsible)\b"
)
"""What begins is another, better thing than what was asked for."""
