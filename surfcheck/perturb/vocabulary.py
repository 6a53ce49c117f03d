"""The English words that perturbations go by. Lists, no grammar; what is on none is left alone."""

from __future__ import annotations


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


NEGATIONS = _words(
    """no not none nor never neither nobody nothing nowhere without cannot aint arent cant couldnt
    didnt doesnt dont hadnt hasnt havent isnt mightnt mustnt neednt shouldnt wasnt werent wont
    wouldnt hardly barely unless except nicht nein kein keine nunca jamais nada nessuno niet geen
    não ninguno"""
)
"""Words in which a slip of the fingers can turn the meaning round."""

QUESTION_OPENERS = _words(
    """who what when where why how which whose whom is are was were am do does did has have had can
    could will would shall should may might must isn't aren't wasn't weren't don't doesn't didn't
    hasn't haven't can't couldn't won't wouldn't shouldn't"""
)
"""First words of questions."""

REQUESTS = _words(
    """add advise analyse analyze answer arrange ask assume attack be become begin break brainstorm
    build buy calculate change check choose classify come compare complete compose compute consider
    continue convert copy correct count create debug decide define delete describe design detail
    determine develop discuss do download draft draw edit elaborate estimate evaluate examine expand
    explain extract fill find finish fix follow forget format generate get give go guess guide help
    hide highlight hold identify ignore illustrate improve include invent judge keep kill learn list
    look make mark match mention modify move name note open order organise organize outline
    paraphrase pick plan play point predict prepare present pretend print produce proofread propose
    prove provide put quote rank rate read recall recommend reformat remember remind remove repeat
    rephrase replace reply report respond rewrite run save say search see select send set share
    shorten show simplify sing solve sort speak spell split start state stay steal stop subtract
    suggest sum summarise summarize take talk teach tell test think throw translate try turn type
    use verify visit wait walk watch work write"""
)
"""Verbs that open a request."""

NO_CLAIM_OPENERS = (
    QUESTION_OPENERS
    | REQUESTS
    | _words("please don't let let's imagine suppose hi hello hey thanks thank sorry dear if")
)
"""First words of sentences that claim nothing."""

SPEAKERS = _words(
    "i i'm i've i'll i'd you you're you've you'll we we're we've my your our me mine us"
)
"""Words for the two who talk; a claim about them is another one when it is asked."""

AUXILIARIES = _words(
    """is are was were has have had can cannot could will would may might must does do did should
    isn't aren't wasn't weren't hasn't haven't hadn't can't couldn't won't wouldn't doesn't don't
    didn't shouldn't"""
)

VERBS = _words(
    """belong bloom boil border breathe burn cause conduct consist contain cost cover depend die
    drink eat equal exist expand fall float flow fly form freeze grow happen hatch have hibernate
    hunt lack lay lie live look make mean measure melt migrate move need occur orbit own pollinate
    produce protect reach reflect remain revolve ripen rise rotate rule run rust separate set shine
    sink sleep smell sound speak spin stand stretch surround swim taste tell travel turn use weigh
    win work"""
)
"""Verbs of general statements, as they stand after a plural."""

FINITE = frozenset(v + "s" for v in VERBS) | _words(
    """flies dies goes does reaches stretches began became fought founded invented discovered
    painted wrote won built ruled died fell sang made came took led lived wrote composed"""
)
"""Verbs as they stand after a singular, or in the past."""

PLURALS = _words("people humans children fish men women mice sheep geese deer cattle")
"""Plurals in another form than -s, or so common that they are listed all the same."""

SMALL = PLURALS | _words(
    """the a an this that these those it he she they there some all most many few every each no none
    both several one two three his her their its in on at when while water ice fire air oxygen
    hydrogen nitrogen carbon helium gold silver iron copper steel lead mercury salt sugar honey milk
    bread rice wood glass paper sound light lightning thunder rain snow sand blood oil coal
    chocolate coffee tea cheese butter grass gravity electricity time money football chess"""
)
"""First words of a sentence that are no names and so lose their capital inside one."""
