"""A text as a reader takes it in, however it is typed: «ｗｗｗ．ａ．ｃｎ» is an address and
«摊 派» one word. Only looked at; what is sent stays as it was written."""

import re
import unicodedata
from dataclasses import dataclass

_PLAIN = re.compile(r"[\u4e00-\u9fff0-9A-Za-z，。、；：]*")
"""Reads as it is written, but for the punctuation: most names do."""
_LINE_ENDS = frozenset("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
_DASHES = dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043", "-")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Mn", "Me"})
"""Categories of what has no width, and of strokes through or around the character before."""
_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and signs, for Unicode, that show nothing."""


@dataclass(frozen=True)
class Reading:
    """Half-width characters without what cannot be seen, and without gaps beside Chinese ones; the
    gap between two Latin ones is one space. A line stays a line: what it ends is not joined."""

    text: str
    _written: str
    _origins: range | list[int]
    """Where each character of `text` stands in what was written."""

    def find(self, pattern: re.Pattern[str]) -> list[str]:
        return [self.words(*match.span()) for match in pattern.finditer(self.text)]

    def words(self, start: int, end: int) -> str:
        """What reads as text[start:end], as its writer sees it."""
        first, last = self._origins[start], self._origins[end - 1]
        return "".join(c for c in self._written[first : last + 1] if not _is_unseen(c))


def read(written: str) -> Reading:
    if _PLAIN.fullmatch(written):
        return Reading(unicodedata.normalize("NFKC", written), written, range(len(written)))
    characters: list[str] = []
    origins: list[int] = []
    gap: int | None = None
    for origin, character in enumerate(written):
        for read_as in _read_as(character):
            if read_as == " ":
                gap = origin
                continue
            if gap is not None and characters and (characters[-1] + read_as).isascii():
                characters.append(" ")
                origins.append(gap)
            gap = None
            characters.append(read_as)
            origins.append(origin)
    return Reading("".join(characters), written, origins)


def _read_as(character: str) -> str:
    """Of one character; empty for what is not seen."""
    if character in _LINE_ENDS:
        return "\n"
    if character.isspace():
        return " "
    return "".join(
        " " if part.isspace() or part in _BLANKS else _DASHES.get(part, part)
        for part in unicodedata.normalize("NFKC", character)
        if part.isspace() or not _is_unseen(part)
    )


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN
