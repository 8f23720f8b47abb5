"""Find the meaning of the numbers of a line from the words between them: values, counters, totals and means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from slingshot_analysis.readers._text.tokens import MARK, is_time
from slingshot_analysis.readers._text.words import counter_of, is_accuracy, is_loss, is_summary, side_of, sides_in

LONGEST_NAME = 60
"""Maximum length of a name in characters. Longer text is prose."""

LEVEL = re.compile(
    r"[\[(<|]*\s*(?:INFO|DEBUG|WARN(?:ING)?|ERROR|CRITICAL|NOTICE|TRACE|Info|Debug|info|debug)\b(?!\s*=)"
    r"(?::[\w.]+:(?=\S))?\s*[\])>]?\s*[:|\-,]*\s*"
)
RANK = re.compile(
    r"\[?\(?(?:(?:local_?|global_?)?rank|worker|gpu|device|proc(?:ess)?|node|default|host|pid|cuda)[\s:=_#]*(\d+|\0)"
    r"(?:[\])]\s*[:|\-]*|:)\s*|\[\0\]<std(?:out|err)>:?\s*",
    re.IGNORECASE,
)
PLACE = re.compile(
    r"[\[(]?[\w./-]*\w\.(?:py|cpp|cc|cu|hpp|h|java|scala|go|rs|lua|jl)\b(?:[:,@#\s]\s*(?:line\s*)?\0)?(?::\w+)?\s*"
    r"[\])]?\s*[:|\-]*\s*"
)
BEFORE_LEVEL = re.compile(r"[^\n]{0,80}?(?<![\w-])(?:INFO|DEBUG|WARNING|ERROR)(?![\w-])")
THREAD = re.compile(r"\s*\0\s+(?=[\w./]+\.(?:cpp|cc|cu|py):\0\])")
GLOG = re.compile(r"[IWEF]\d{4}\s+(?=\0)")
LOGGER = re.compile(r"[A-Za-z_][\w.]*(?:\s*\||\s-)\s+(?=\S)")
TAG = re.compile(r"\[[^\[\]\0=:{}]{1,60}\]\s*[:|\-]*\s*")
TIME = re.compile(r"[\[(<]*\0Z?[\])>]*[\s,:|-]*")
CLOCK = re.compile(r"[\[(<]*(?:\0[-/|](?:\0[ ,_T-]+)?)?\0Z?(\s*[-+]\0)?[\])>]*[\s,:|-]*")
MONTHS = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\s+\0,?\s+(?=\0)"
)
"""Prefixes of messages: log levels, ranks, places in the source, tags, dates and times."""

BAR = re.compile(r"\0%\s?\|[^|\0]{0,300}\||\[[=>.\-# ]{3,}\]|[━╸╺]{2}|\0<\0|\0<\?|ETA: \0s - |\0(?:it/s|s/it)[\],]")
"""Text that only lines with a progress bar have."""

GLUED_UNIT = re.compile(r"[A-Za-zµ%°]+(?:/[A-Za-z]+)*")
UNIT_WORD = re.compile(
    r"\s*(?:sec(?:ond)?s?|ms|s|min(?:ute)?s?|hours?|h|it/s|its/s|(?:samples|images|imgs?|tokens|tok|ins|seqs?|words|steps)"
    r"/(?:s|sec|second)\b|[GMK]i?B|MB|GB|dB|px|bits?|days?)\b[,;]?(?=\s+\S)"
)
TIMED = re.compile(r"[A-Za-z]+|\s(?:s|sec|secs|seconds|ms|min|mins|minutes|h|hours)\b(?!/)")
CALL = re.compile(r"(?:\b(?:tensor|array|Array|DeviceArray|float|(?:np|numpy|torch|jnp|tf)\.\w+))\(\[*$")
OPENING = "\"'([{<*~$| \t"
"""What may stand between a name and its number, beside a sign."""
LONGEST_SIGN = 12
SIGN = re.compile(r"\s*(?::=|=+>?|-+>|:+)$|\s(?:is|was|are|equals|reached)$")
BRACKETED = re.compile(r"[(\[][^()\[\]]*[)\]]$")
SEPARATOR = re.compile(r"[,;|{}•·<>\[\]()]+|\s[-–—]+\s|^[-–—]+\s|:\s|\s{2,}|\t|\.\s+(?=\S)")
SEPARATOR_WITHOUT_BRACKETS = re.compile(r"[,;|]+|\s[-–—]+\s|:\s")
HEAD = re.compile(r"^(?P<head>\S.*)\s+(?:at|after|in|for|on|of)\s+(?:the\s+)?(?P<counter>[\w ]{1,20})$", re.IGNORECASE)
SUFFIX = re.compile(r"\s*([A-Za-z][A-Za-z _./@-]{1,40}?)\s*(?:[,;)|\]]|$)")
NO_NAMES = ("to", "than", "by", "is", "of", "at", "for", "in", "vs", "x", "or", "out of", "done", "from")
FILLER = re.compile(r"\b(?:so far|the|and|with|current|our|overall|now)\b\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Field:
    """The meaning of one number of a line.

    Parameters
    ----------
    slot : int
        Its place among the numbers of the line.
    name : str
        Of a value, its name; of a counter, its bare name.
    kind : {"value", "epoch", "iteration", "total", "mean", "rank", "skip"}
        A total and a mean belong to the number before, `of`.
    side : str or None
        The split that the words before it in the line name.
    percent : bool
        Whether a percent sign follows.
    timed : bool
        Whether a unit follows, such as one of time.
    of : int
        The slot to which a total or mean belongs.
    """

    slot: int
    name: str
    kind: str
    side: str | None = None
    percent: bool = False
    of: int = -1
    timed: bool = False


@dataclass
class Template:
    """Lines that are equal except for their numbers.

    Parameters
    ----------
    masked : str
        The line with a mark in the place of each number.
    prefix : str
        What stands before the message.
    fields : list of Field
        Those that are used.
    side : str or None
        The split that the line as a whole names.
    rank : str or None
        The rank of the process that wrote it.
    is_bar : bool
        Whether it is a state of a progress bar.
    given : str
        The line as the user gave it, if so.
    header : str
        The header of its table, if it is a row of one.
    """

    masked: str
    prefix: str
    fields: list[Field]
    side: str | None
    rank: str | None
    is_bar: bool
    given: str = ""
    header: str = ""

    def of_kind(self, *kinds: str) -> list[Field]:
        """Return the fields of some kinds."""
        return [one for one in self.fields if one.kind in kinds]

    def total_of(self, slot: int) -> Field | None:
        """Return the total that stands behind a number, as in ``10/100``."""
        return next((one for one in self.fields if one.kind == "total" and one.of == slot), None)

    def mean_of(self, slot: int) -> Field | None:
        """Return the running mean that stands in brackets behind a value."""
        return next((one for one in self.fields if one.kind == "mean" and one.of == slot), None)

    @property
    def has_values(self) -> bool:
        """Whether any number has a name that is no counter."""
        return any(one.kind == "value" for one in self.fields)


def parsed(masked: str, tokens: Sequence[str]) -> Template:
    r"""Find the meaning of the numbers of a line.

    Examples
    --------
    >>> line = parsed("Epoch: [\0][\0/\0]  Loss \0 (\0)  Acc@1 \0%", ["0", "10", "40", "2.3", "2.4", "61"])
    >>> [(one.kind, one.name) for one in line.fields]
    [('epoch', 'epoch'), ('iteration', 'of'), ('total', ''), ('value', 'Loss'), ('mean', ''), ('value', 'Acc@1')]
    """
    prefix, first = _prefix(masked, tokens)
    rank = RANK.search(prefix)
    rank_slot = prefix[: rank.end()].count(MARK) - 1 if rank and rank[1] == MARK else None
    message = masked[len(prefix) :]
    gaps = message.split(MARK)
    fields: list[Field] = [] if rank_slot is None else [Field(rank_slot, "rank", "rank")]
    inline: str | None = None
    head = ""
    for index, gap in enumerate(gaps[:-1]):
        slot, after = first + index, gaps[index + 1]
        percent = after.startswith("%") or after.startswith(" %")
        if is_time(tokens[slot]):
            fields.append(Field(slot, "", "skip"))
            continue
        name, dropped, opened, signed = _name(gap, index == 0)
        told = sides_in(dropped)
        if told:
            inline = told[-1]
        before = fields[-1] if index else None
        if not name:
            one = _nameless(slot, index, gap, after, before, opened, signed, head, percent, inline)
        else:
            one, head, inline = _named(slot, name, after, opened, signed, percent, inline, head, index)
        fields.append(replace(one, timed=TIMED.match(after) is not None))
    fields = _paired(fields, gaps, first)
    texts = [_words_outside(message, fields, gaps), prefix]
    told = list(dict.fromkeys(side for text in texts for side in sides_in(text)))
    side = told[0] if len(told) == 1 else None
    return Template(masked, prefix, fields, side, rank[1] if rank else None, bool(BAR.search(message)))


def _paired(fields: list[Field], gaps: Sequence[str], first: int) -> list[Field]:
    """Take the first of two numbers in brackets at the start of a line, as in ``[1, 2000]``, as the epoch."""
    if len(fields) > 1 and fields[0].name == "lead" and fields[0].slot == first and gaps[0].strip() in ("[", "("):
        pair = re.fullmatch(r"\s*(?:,|\]\s*\[)\s*", gaps[1]) is not None
        if pair and fields[1].kind in ("iteration", "skip") and fields[1].name in ("", "of"):
            return [
                replace(fields[0], kind="epoch", name="epoch"),
                replace(fields[1], kind="iteration", name="of"),
                *fields[2:],
            ]
    return fields


def _prefix(masked: str, tokens: Sequence[str]) -> tuple[str, int]:
    """Return the prefix of the message, and how many numbers are in it."""
    position, slots = len(masked) - len(masked.lstrip()), 0
    if level := BEFORE_LEVEL.match(masked):
        position = level.end() - len(re.search(r"\w+$", level[0])[0])  # type: ignore[index]
        slots = masked[:position].count(MARK)
    moved, leveled = True, False
    while moved:
        moved = False
        for pattern in (GLOG, MONTHS, CLOCK, LEVEL, RANK, THREAD, PLACE, TAG, LOGGER):
            found = pattern.match(masked, position) if pattern is not LOGGER or leveled else None
            if found is None or not found[0] or found.end() >= len(masked):
                continue
            leveled = pattern is LEVEL
            count = found[0].count(MARK)
            told = tokens[slots : slots + count]
            if pattern is CLOCK and not (is_time(told[-2 if found[1] else -1]) and all(map(_is_part_of_date, told))):
                found, count = TIME.match(masked, position), 1
                if found is None or not is_time(told[0]):
                    continue
            position, slots, moved = found.end(), slots + count, True
    return masked[:position], slots


def _is_part_of_date(token: str) -> bool:
    """Tell a date, a time, or a day or month of two digits."""
    return is_time(token) or re.fullmatch(r"[0-3]\d|[-+]?\d{4}", token) is not None


def _name(gap: str, first: bool) -> tuple[str, str, str, str]:
    """Return the name right before a number, the text before the name, the opening brackets, and the sign."""
    if not first:
        unit = GLUED_UNIT.match(gap)
        gap = gap[unit.end() :] if unit else gap
        word = UNIT_WORD.match(gap)
        gap = gap[word.end() :] if word else gap
    gap = CALL.sub("", gap)
    opened = gap[len(gap.rstrip(OPENING)) :]
    gap = gap.rstrip(OPENING)
    signed = ""
    while (sign := SIGN.search(gap[-LONGEST_SIGN:])) and sign[0]:
        signed = signed or sign[0].strip()
        gap = gap[: len(gap) - len(sign[0])].rstrip("\"' ")
    whole = HEAD.match(SEPARATOR_WITHOUT_BRACKETS.split(gap)[-1].strip()) if ")" in gap else None
    if whole and counter_of(whole["counter"]) and len(gap) <= 2 * LONGEST_NAME:
        return " ".join(SEPARATOR.sub(" ", whole[0]).split()), "", opened, signed
    bracketed = BRACKETED.search(gap)
    if bracketed and gap[: bracketed.start()].strip(" \"'"):
        before = SEPARATOR.split(gap[: bracketed.start()])
        name, kept = before[-1].strip(), bracketed[0]
        dropped = gap[: bracketed.start()][: -len(before[-1])] if before[-1] else gap[: bracketed.start()]
        if name and len(kept) <= 20:
            return _clean(name) + " " + kept, dropped, opened, signed
    pieces = SEPARATOR.split(gap)
    while len(pieces) > 1 and not pieces[-1].strip(" \"'*#.!") and not gap.rstrip().endswith((",", ";")):
        pieces.pop()
    name = pieces[-1]
    at = gap.rfind(name)
    return _clean(name), gap[:at], opened, signed


def _clean(name: str) -> str:
    name = name.strip(" .:;,*#>!/\\-'\"`=~_\t")
    name = FILLER.sub("", name).strip()
    if len(name) > LONGEST_NAME:
        name = " ".join(name.split()[-3:])[-LONGEST_NAME:]
    return name if re.search(r"[^\W\d_]", name) and name.lower() not in NO_NAMES else ""


def _nameless(
    slot: int,
    index: int,
    gap: str,
    after: str,
    before: Field | None,
    opened: str,
    signed: str,
    head: str,
    percent: bool,
    inline: str | None,
) -> Field:
    """Find the meaning of a number without a name from the text around it."""
    bare = gap.strip()
    if before is not None and re.fullmatch(r"\s*(?:/|of|out of|over)\s*", gap):
        return Field(slot, "", "total", of=before.slot)
    if percent and before is not None and bare.startswith(("(", ":", "[")) and before.kind in ("total", "epoch"):
        return Field(slot, "", "skip")
    followed_by_total = re.fullmatch(r"\s*(?:/|of|out of)\s*", after) is not None
    if index == 0 and re.match(r"epochs?\b", after):
        return Field(slot, "epoch", "epoch")
    if bare.endswith("-") and re.match(r"batch", after):
        return Field(slot, "batch", "iteration")
    if index == 0 and not bare.strip("[(#|*->="):
        is_counter = not percent and not re.match(r"\s*[A-Za-z]+/s", after)
        return Field(slot, "of" if followed_by_total else "lead", "iteration" if is_counter else "skip")
    if before is not None and before.kind == "epoch" and bare == "][":
        return Field(slot, "of", "iteration")
    if before is not None and before.name == "lead" and bare == "][":
        return Field(slot, "of", "iteration")
    if followed_by_total and not percent:
        return Field(slot, "of", "iteration")
    if before is not None and before.kind == "value" and "(" in opened and "=" not in gap:
        return Field(slot, "", "mean", of=before.slot)
    if head and (signed or not bare):
        return Field(slot, head, "value", side_of(head) or inline, percent)
    suffix = SUFFIX.match(after)
    if suffix and "(" not in gap and "=" not in gap and (is_loss(suffix[1]) or is_accuracy(suffix[1]) or bare == ","):
        return Field(slot, _clean(suffix[1]), "value", side_of(suffix[1]) or inline, percent)
    return Field(slot, "", "skip")


def _named(
    slot: int,
    name: str,
    after: str,
    opened: str,
    signed: str,
    percent: bool,
    inline: str | None,
    head: str,
    index: int,
) -> tuple[Field, str, str | None]:
    """Return whether a name is that of a counter or a value, the name for later numbers without one, and the split."""
    counter = counter_of(name)
    if counter is not None:
        kind, bare = counter
        side = side_of(name)
        if bare in ("s", "i", "it", "mb") and index > 0 and "=" not in signed:
            return Field(slot, name, "skip"), head, inline
        return Field(slot, bare, kind, side), head, side or inline
    ends = HEAD.match(name)
    if ends and (counter := counter_of(ends["counter"])):
        return Field(slot, counter[1], counter[0], side_of(name)), _clean(ends["head"]), inline
    word = name.split()[-1]
    if counter_of(word) and not is_loss(name) and " " in name and len(name.split()) <= 4 and not is_accuracy(name):
        kind, bare = counter_of(word)  # type: ignore[misc]
        if not re.search(r"per|/|time|size|best|max|num|total|last", name, re.IGNORECASE):
            return Field(slot, bare, kind, side_of(name)), head, inline
    side = side_of(name)
    if side is not None and name.strip().lower() == name.strip().lower().split()[0]:
        followed_by_total = re.fullmatch(r"\s*/\s*", after) is not None
        if "[" in opened and followed_by_total:
            return Field(slot, "of", "iteration", side), head, side
        if "[" in opened and after.lstrip().startswith("]"):
            return Field(slot, "step", "iteration", side), head, side
        if after.strip() == "-":
            return Field(slot, "", "skip"), head, side
        if index == 0 and re.match(r"\s*\[\s*$", after):
            return Field(slot, "epoch", "epoch", side), head, side
    spaced = side is not None and (" " in name or name[:1].isupper())
    if is_summary(name):
        return Field(slot, name, "skip"), head, inline
    return Field(slot, name, "value", side or inline, percent), head, side if spaced else inline


def _words_outside(message: str, fields: Sequence[Field], gaps: Sequence[str]) -> str:
    """Return the words of a line that are not the names of its values."""
    names = {one.name for one in fields if one.kind == "value"}
    text = " ".join(gaps)
    for name in sorted(names, key=len, reverse=True):
        if side_of(name):
            text = text.replace(name, " ")
    return text
