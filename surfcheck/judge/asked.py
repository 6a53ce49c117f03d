"""What a prompt asks for: program code, mathematics, a figure.

Read generously: a prompt that names the trade of programming or of mathematics has asked, and so
has one that poses a problem in numbers. "How many" alone has not, without anything to reckon with,
and a formula for happiness is a figure of speech. Left out: what only the answer would show to be
needed.
"""

from __future__ import annotations

import re

from surfcheck.judge.reading import straight

_FLAGS = re.VERBOSE | re.IGNORECASE

_OTHER_CODES = re.compile(
    r"""\b(?:dress|zip|area|post(?:al)?|discount|promo(?:tion)?|coupon|voucher|gift|qr|bar|morse|secret
        |penal|criminal|civil|building|tax|moral|hono[u]?r|genetic|colou?r|country|dialling|dialing
        |door|access|entry|security|cheat)[\s-]?codes?\b
    | \bcodes?\ of\ \w+ | \bcode\ (?:name|word|red|blue)s?\b
    | \b(?:movie|film|stage|play|video|tv|television|phone|call|sales|podcast|radio|youtube|skit
        |meditation|comedy|drama|screen|speech)\s?-?scripts?\b
    | \bscripts?\ (?:for|of)\ (?:an?|the|my|our)\ (?:\w+\ ){0,2}?(?:movie|film|play|video|show
        |podcast|sketch|scene|skit|call|speech|commercial|advert\w*|episode|meditation|puppet)""",
    _FLAGS,
)
"""Codes and scripts that no machine runs."""

_MAKE = r"(?:build|code|create|design|develop|make|program|set\ up|write)"
_CODE = re.compile(
    rf"""\b(?:codes?|coding|code\s?base|scripts?|scripting|pseudo-?code|snippets?|programming
        |algorithms?|regex(?:es|p)?|regular\ expressions?|debug\w*|compilers?|refactor\w*|one-liner
        |unit\ tests?|stack\ trace|traceback|syntax\ error|segfault|apis?|endpoints?|linux|ubuntu
        |command[\s-]line|git|github|docker\w*|kubernetes|nginx|npm|data\ structures?|recursion
        |automate|linked\ list|hash\s?(?:map|table)|(?:binary|depth-first|breadth-first)\ search
        |(?:bubble|heap|insertion|merge|quick|radix|selection)\s?sort|null\ pointer|front-?end
        |(?:for|while)[\s-]loops?|arrays?|booleans?|back-?end)\b
    | \b(?:python|javascript|typescript|golang|php|html5?|css|svg|sql|mysql|bash|powershell|matlab
        |kotlin|fortran|cobol|haskell|node\.?js|react\.?js|vue\.?js|jquery|django|numpy|pytorch
        |tensorflow|spreadsheets?|google\ sheets|vba|arduino|openscad|tikz)\b
    | \b(?:in|an?|my|ms|microsoft|using)\ excel\b | \bexcel\ (?:files?|formulas?|macros?|sheets?)\b
    | (?<!island\ of\ )\bjava\b(?!\s(?:island|coffee|sea|sparrow)) | \bc(?:\+\+|\#)
    | \b(?:in|using)\ (?:r|c|go|rust|ruby|swift|perl|lua|scala)\b
    | \b(?:in|on|into|from)\ (?:the|my|a)\ terminal\b
    | \b{_MAKE}\W+(?:[\w-]+\W+){{0,3}}?(?:web\s?(?:sites?|pages?)|(?:web\s?)?apps?|(?:chat-?)?bots?
        |(?:desktop|mobile|web)\ applications?|(?:computer|browser|video)\ games?|plug-?ins?
        |browser\ extensions?|software|dashboards?)\b
    | \ban?\ (?:small\ |simple\ |short\ |little\ |computer\ |c\ )?program\ (?:that|which|to|in)\b
    | \bcomputer\ programs?\b
    | \b(?:call|create|define|implement|write)\ (?:me\ )?an?\ (?:\w+\ ){{0,2}}?function\b(?!\ of)
    | \bfunctions?\ (?:that|which)\ (?:\w+\ )?(?:takes?|returns?|computes?|checks?|sorts?|prints?)\b
    | 代码|代碼|编程|編程|程序|程式|脚本|腳本|函数|函數|算法|演算法|コード|プログラミング|スクリプト
    | 関数|코드|프로그래밍|스크립트|함수|\bкод(?:а|е|ом|ы)?\b|скрипт|программир|алгоритм|\bcódigo
    | \bprogramación|\bprogramação|\bprogrammation|\bquellcode|\bskript|\bprogrammier|\balgorit
    | \bcodice\b|\bkod\w*\b|كود|برمج|خوارزم|کد\b|برنامه‌نویسی|الگوریتم|कोड|प्रोग्रामिंग""",
    _FLAGS,
)

_MATHS = re.compile(
    r"""\b(?:maths?|mathematic(?:s|al|ally)|algebra(?:ic)?|geometr(?:y|ic)|trigonometry|calculus|arithmetic
        |inequalit(?:y|ies)|integrals?|derivatives?|differentiate|theorems?|lemmas?|corollary
        |matri(?:x|ces)|eigen\w+|vectors?|polynomials?|quadratic|cubic|logarithms?|exponents?
        |exponential|fractions?|decimals?|percent(?:age)?s?|(?:square|cube)\ roots?|statistic\w*
        |prime\ (?:numbers?|factors?)|primes|factorials?|integers?|probabilit(?:y|ies)
        |standard\ deviation|variance|median|regression|multipl(?:y|ied|ication)
        |divided\ by|subtract\w*|triangles?|hypotenuse|radius|diameter|circumference|perimeter
        |rectangles?|polygons?|parabola|hyperbola|sin(?:e|usoid)|cosine|tangent|modulo|numerator
        |compound\ interest|big-?o|game\ theory|latex)\b
    | \b(?:area|cube|product|square|sum|volume)\ of\ (?:an?|the)?\s?(?:\w+\s)?(?:\d|circle|sphere
        |cone|cylinder|cube|square|numbers?)
    | \bsolve\ for\b | \\(?:frac|sqrt|int|sum|begin|cdot|times|boxed)\b
    | 方程|数学|數學|几何|幾何|定理|三角形|概率|数式|확률|수학|방정식|уравнен|математ|теорем
    | треугольн|геометр|окружност|вероятност|\becuaci|\bmatemátic|\bgeometr[íi]|\bequazion
    | \bmatematic|\bequação|\béquation|\bmathémati|\bthéorème|\bgleichung|\bmathemati|\bdreieck
    | معادل|رياضي|ریاضی|गणित""",
    _FLAGS,
)
_FIGURATIVE = re.compile(
    r"""\b(?:calculat\w*|comput(?:e|ing|ation)\w*|equations?|formulas?|formulae|proofs?|prove[ns]?)\b
    | 公式|计算|計算|证明|證明|계산|вычисл|рассчита|формул|докаж|доказ|\bcalcul\w+|\bf[óo]rmul\w+
    | \bberechn\w+|\bformel""",
    _FLAGS,
)
"""Words of mathematics that are as often said of what nobody measures."""
_INNER_LIFE = re.compile(
    r"""\b(?:happiness|happy|joy\w*|bliss|love|hatred|grief|sorrow|regrets?|remorse|nostalgia|hope
        |despair|loneliness|friendship|marriage|romance|meaning|purpose|fulfil?lment|contentment
        |souls?|spirit\w*|life|living|death|destiny|fate|success|wisdom|beauty|art|truth|freedom
        |peace|trust|faith|god|goodness|evil|kindness|courage|authentic\w*|conscious\w*)\b
    | 幸福|快乐|爱情|愛|人生|生命|灵魂|성공|행복|사랑|счасть|любов|смысл|душ[аиеу]|\bfelicidad
    | \bamor\b|\balma\b|\bbonheur|\bamour|\bvie\b|\bglück|\bliebe|\bleben\b""",
    _FLAGS,
)
_NUMERALS = """two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
    hundreds? thousands? millions? billions? half twice double triple dozens? thirds? quarters?"""
_UNITS = """seconds? minutes? hours? days? weeks? months? years? decades? centuries century
    millimet(?:er|re)s? centimet(?:er|re)s? met(?:er|re)s? kilomet(?:er|re)s? km cm mm miles? yards?
    feet foot inch(?:es)? grams? kilos? kilograms? kg pounds? lbs? ounces? lit(?:er|re)s? gallons?
    cents? dollars? euros? degrees? celsius fahrenheit watts? volts? bytes?"""
_NUMBER = re.compile(rf"\d+(?:[.,]\d+)*|\b(?:{'|'.join(_NUMERALS.split())})\b", re.IGNORECASE)
_UNIT = re.compile(rf"\b(?:{'|'.join(_UNITS.split())})\b", re.IGNORECASE)
_MARKER = re.compile(r"^[ \t>|]*(?:[-*•]\s+)?\(?\d{1,3}[.)]\s+", re.MULTILINE)
"""The number of a list item, which is no number to calculate with."""
_RECKON = re.compile(
    r"""\b(?:estimat|evaluat)\w* | \bwork\ out\b | \b(?:count|derive|solve)\b
    | \bhow\ (?:many|much|long|far|fast|tall|old|big|heavy|large|deep|high|hot|often)\b
    | \b(?:number|amount|total|cost|price|rate|speed)\ of\b | \b(?:in|the)\ total\b | \badd\ up\b
    | 多少|几个|幾個|计数|いくつ|いくら|몇|посчита|сколько|\bcombien\b|\bcu[áa]nt[oa]s?\b
    | \bwie\ viele?\b|\bquant[oiea]\b""",
    _FLAGS,
)
_EXPRESSION = re.compile(
    r"\d\s?[+×÷*^]\s?\(?[\da-z]|\d\s[-−–/]\s\d|[^\s=<>!]\s?=\s?[-−(\\]?[\w(√]|\b\d*[a-z]\^\d|[<>≤≥]\s?\d",
    re.IGNORECASE,
)
"""Numbers or letters with a sign between them."""
_SCIENCE = re.compile(
    r"""\b(?:physic\w*|chemi\w*|gravit\w*|relativity|quantum|thermodynamic\w*|electr(?:ic|on)\w*|magnet\w*
        |mechanics|velocity|acceleration|momentum|energy|entropy|wavelengths?|frequenc\w+|orbit\w*
        |econom\w*|financ\w*|mortgages?|interest\ rates?|inflation|engineering|machine\ learning
        |neural\ networks?|genetics|pharmaco\w*|hertz|hz|newton\w*|einstein\w*|maxwell\w*)\b
    | 物理|化学|量子|力学|经济|физик|хими|квант|física|química|physique|chimie|physik""",
    _FLAGS,
)


def for_code(prompt: str) -> bool:
    """Whether the prompt asks for program code, or is about programming."""
    return _CODE.search(_OTHER_CODES.sub(" ", straight(prompt))) is not None


def for_mathematics(prompt: str) -> bool:
    """Whether the prompt asks for mathematics, is about it, or poses a problem in numbers."""
    text = _MARKER.sub("", straight(prompt))
    if _MATHS.search(text) or _EXPRESSION.search(text):
        return True
    numbers = len(_NUMBER.findall(text))
    measured = numbers > 0 or _UNIT.search(text) is not None
    if _FIGURATIVE.search(text) and (measured or not _INNER_LIFE.search(text)):
        return True
    if _RECKON.search(text) and measured:
        return True
    return numbers > 1 and re.search(r"[?？؟]", text) is not None


def for_a_figure(prompt: str) -> bool:
    """Whether the prompt asks how much of something, or gives numbers: sums may answer it."""
    text = _MARKER.sub("", straight(prompt))
    return any(p.search(text) for p in (_RECKON, _FIGURATIVE, _NUMBER))


def in_science(prompt: str) -> bool:
    """Whether the prompt is about a science that speaks in formulas."""
    return _SCIENCE.search(straight(prompt)) is not None
