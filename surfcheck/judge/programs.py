"""Program code in a text: in a fence, bare, or in spans of running text.

Code is told by its lines, or by the language that a fence names. Data (JSON, YAML), diagrams drawn
in characters and quoted prose are no code, whatever fence they stand in; markup (HTML, SVG, CSS)
is. `forms.code_in` is the loose sister, for which every fence is code. Left out: code without a
fence in a language whose lines read as prose.
"""

from __future__ import annotations

import re

_LEAST_LINES, _LEAST_SHARE = 2, 0.25
"""Lines of a fence, and share of its lines, that read as code."""
_LEAST_BARE, _LEAST_SPANS = 3, 2
"""Lines that read as code, or spans of it in running text, where there is no fence."""
_LONGEST = 300
"""Characters of a line that are looked at."""

_NAMED = """ada arduino asm assembly awk bash bat batch c c# c++ clojure cmd cobol console cpp cs
    csharp css cuda cython dart delphi dockerfile elixir elm erlang f# fortran fsharp gdscript glsl
    go golang groovy haskell hlsl hs html html5 java javascript js jsx julia kotlin kt less lisp lua
    makefile matlab mips nim objc objective-c ocaml octave openscad pascal perl php powershell
    processing prolog ps1 pseudo pseudocode py python python3 qml r racket rb rs ruby rust sass scad
    scala scheme scss sh shell solidity sql svelte svg swift tcl tikz ts tsx typescript vb vba
    verilog vhdl vue wasm zig zsh"""
_LANGUAGES = frozenset(_NAMED.split())
_FENCE = re.compile(
    r"""^[ \t]*+(`{3,}+|~{3,}+)[ \t]*+\{?\.?([\w+#-]*+)[^\n]*+\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)""",
    re.MULTILINE | re.DOTALL,
)
"""A fence, the language that it names, and what stands in it, if need be to the end."""

_TAGS = """a article body button canvas circle defs div ellipse footer form g h[1-6] head header
    html iframe img input label line link main meta nav ol option path polygon polyline rect script
    section select span strong style svg table tbody td text th thead title tr ul"""
_CALL = r"(?!\w+\(e?s\))[A-Za-z_][\w.]+\([^()\n]*(?:\([^()\n]*\)[^()\n]*)?\)"
_LINE = re.compile(
    rf"""(?:async\ )?def\ \w+\(.*
    | class\ \w+\s?(?:\(.*\)\s?:|:|(?:\w+\s)*\{{)
    | (?:from\ [\w.]+\ )?import\ [\w.]+(?:\ as\ \w+)?(?:,\s?[\w.]+)*;? | import\ .+\ from\ ['"].+
    | (?:for|while|if|elif|else|try|except|with|finally|unless|case|default)\b[^.?!]*:
    | (?:\}}\s?)?(?:for|while|if|else\ if|switch|catch|foreach)\s?\(.*\)\s?\{{? | \}}?\s?else\s?\{{
    | (?:export\ |declare\ )?(?:const|let|var)\ [\w{{}}\[\], ]+(?::\s?\w+)?\s?=.*
    | (?:public|private|protected|static|final|unsigned|void|int|float|double|bool|boolean|char
        |string|auto)\ [\w<>\[\]* ]+[;={{(].*
    | (?:export\ |default\ |async\ |pub\ )*(?:function|func|fn|sub|fun)\b\s?\w*\s?\(.*
    | \#\s?(?:include|define|pragma|ifdef)\b.* | \#!/.* | using\ [\w.]+; | package\ [\w.]+;
    | </?(?:{"|".join(_TAGS.split())})(?:\s[^<>]*)?/?>.* | <!DOCTYPE\b.* | <\?php.*
    | (?:return|yield|raise|throw|await)(?:\ [^?!]*[^?!.\s])?;? | [\w.]+\s?<-\s?\S.*
    | [\w.\[\]'"\$@, ]{{1,60}}?\s?(?:[-+*/|&%]?=|:=)\s?(?:{_CALL}.*|['"\[{{\$].*|.*[;({{])
    | [A-Za-z_]\w*(?:[._]\w+)+\s?[-+*/]?=\s?\S.*
    | {_CALL}\s?[;{{:]? | .*\)\s?(?:=>|->).* | .*[()=\]]\s?; | .*\)\s?\{{
    | [.\#@*:]?[\w-]+(?:[\s,>]+[.\#\w:-]+){{0,4}}\s?\{{ | [a-z-]+:\s?[^;]{{1,60}};
    | (?:\$|>>>)\ \w.* | //\s?\w.* | /\*.*
    | (?:sudo|pip3?|npm|npx|yarn|git|docker|mkdir|curl|wget|apt|apt-get|brew|chmod|python3?|node)
        \ [-\w./]+.*
    | (?:SELECT|INSERT\ INTO|DELETE\ FROM)\b.*
    | (?:ALTER|CREATE|DROP)\ (?:OR\ REPLACE\ )?(?:DATABASE|FUNCTION|INDEX|TABLE|TRIGGER|VIEW)\b.*
    | (?:fi|done|esac|then|end) | if\ \[.* | [A-Z_]{{2,}}=\S* | (?:echo|export|source)\ ["'\$./-].*
    | (?:my|our|local)\ [\$@%].* | use\ [\w:]+.*; | puts\ ["'\w].* | .*\ do\ \|.*\|""",
    re.VERBOSE,
)
"""A line without the white space around it. Keywords are in lower case, as sentences are not."""
_SPAN = re.compile(r"`([^`\n]{2,120})`")
_SPAN_OF_CODE = re.compile(rf"{_CALL};?|.*[;{{}}]|\w+\s?(?:==|!=|\+=|:=)\s?\S.*|</?\w+[^<>]*>")


def program(text: str) -> str | None:
    """The first line of program code, or None if there is none."""
    for _, language, block in _FENCE.findall(text):
        line = _in_fence(language, block)
        if line is not None:
            return line
    prose = _FENCE.sub("\n", text)
    bare = [line for line in _lines(prose) if _LINE.fullmatch(line)]
    if len(bare) >= _LEAST_BARE:
        return bare[0]
    spans = [span for span in _SPAN.findall(prose) if _SPAN_OF_CODE.fullmatch(span.strip())]
    return spans[0] if len(set(spans)) >= _LEAST_SPANS else None


def without_programs(text: str) -> str:
    """The text without fences of program code; what stands in other fences is kept."""
    return _FENCE.sub(lambda f: "\n" if _in_fence(f[2], f[3]) is not None else f"\n{f[3]}\n", text)


def _in_fence(language: str, block: str) -> str | None:
    """The first line of code in a fence; None if it does not read as code."""
    written = _lines(block)
    coded = [line for line in written if _LINE.fullmatch(line)]
    if len(coded) >= min(_LEAST_BARE, max(_LEAST_LINES, _LEAST_SHARE * len(written))):
        return coded[0]
    return written[0] if written and language.lower() in _LANGUAGES else None


def _lines(block: str) -> list[str]:
    return [line.strip()[:_LONGEST] for line in block.split("\n") if line.strip()]
