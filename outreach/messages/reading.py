"""A text as a reader takes it in, however it is typed: «ｗｗｗ．ａ．ｃｎ» is an address, «摊 派»
and «攤派» are one word. Only looked at; what is sent stays as it was written."""

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

_SIMPLIFIED = str.maketrans(
    "萬與專業兩嚴個為爲鄉書於僅從儀優會體餘兒黨關內決況準減憑劃創別勸辦務動勵勢區醫陞協單廳歷縣"
    "參發變嚮員響園圓塊處復頭奬獎學對導將盡佈師帶幫幹應開強當總懲願戶執報掛據攤數無時晉來極標檔"
    "檢殘匯滙沒測點愛獨獻監確積稱稅籌簽係繫約級紀納組給絡絕統績續繳網職聯補規覺計訂認議記許設訪"
    "證評誠該請談謝責賬帳貧貼貴費資贈躍踴轉達還進連選鉤鈎錢長門問難項須預領額織纍擾騷閱覈",
    "万与专业两严个为为乡书于仅从仪优会体余儿党关内决况准减凭划创别劝办务动励势区医升协单厅历县"
    "参发变向员响园圆块处复头奖奖学对导将尽布师带帮干应开强当总惩愿户执报挂据摊数无时晋来极标档"
    "检残汇汇没测点爱独献监确积称税筹签系系约级纪纳组给络绝统绩续缴网职联补规觉计订认议记许设访"
    "证评诚该请谈谢责账账贫贴贵费资赠跃踊转达还进连选钩钩钱长门问难项须预领额织累扰骚阅核",
)
"""Traditional characters of the words that are looked for: «攤派» is «摊派»."""


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
        return Reading(_normalise(written), written, range(len(written)))
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
        for part in _normalise(character)
        if part.isspace() or not _is_unseen(part)
    )


def _normalise(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(_SIMPLIFIED)


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN
