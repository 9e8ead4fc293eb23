"""Names of units: how they are compared, found by initials, and what kind of unit they suggest."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from heapq import nlargest

from outreach.units.models import UnitKind

LONGEST_KEY = 120
BRACKETS = str.maketrans("〔〕【】[]{}〈〉", "()()()()()")
NOISE = re.compile(r"[\s\u200b\ufeff\"'“”‘’《》「」·•・.。、,\-—–_]+")

KIND_BY_CODE = {
    "11": UnitKind.ORGAN,
    "12": UnitKind.INSTITUTION,
    "13": UnitKind.PARTY,
    "51": UnitKind.ASSOCIATION,
    "52": UnitKind.ASSOCIATION,
    "53": UnitKind.ASSOCIATION,
    "91": UnitKind.COMPANY,
    "92": UnitKind.COMPANY,
    "93": UnitKind.COMPANY,
    "A1": UnitKind.ARMY,
}
KIND_BY_NAME = (
    (UnitKind.ARMY, r"部队|军分区|武警|警备区|消防救援"),
    (UnitKind.PARTY, r"民革|民盟|民建|民进|农工党|致公党|九三学社|台盟|总工会|团市委|妇联|工商联"),
    (UnitKind.UNIVERSITY, r"大学|学院$|高等专科|职院$"),
    (UnitKind.COMPANY, r"公司|集团|银行|支行|分行|酒店|厂$"),
    (UnitKind.ASSOCIATION, r"协会|商会|学会|基金会|联合会|促进会|研究会|慈善会"),
    (UnitKind.INSTITUTION, r"医院|学校|中学|小学|幼儿园|中心|研究院|研究所|图书馆|博物馆|站$|院$"),
    (UnitKind.ORGAN, r"局|委员会|办公室|政府|法院|检察院|市委|[部委办厅]$|管理处"),
)


def name_key(name: str) -> str:
    """The name as it is compared: width, brackets, blanks, case and punctuation do not count."""
    text = unicodedata.normalize("NFKC", name).casefold().translate(BRACKETS)
    return NOISE.sub("", text)[:LONGEST_KEY]


def initials(name: str) -> str:
    """Pinyin initials in lower case; figures and Latin letters stay: 第3中学 is «d3zx»."""
    # Its dictionary takes 55 MB, which a process that sends mail never needs.
    from pypinyin import Style, lazy_pinyin

    text = unicodedata.normalize("NFKC", name)
    letters = "".join(lazy_pinyin(text, style=Style.FIRST_LETTER, errors=str))
    return re.sub(r"[^a-z0-9]", "", letters.lower())[:LONGEST_KEY]


def propose_kind(name: str, credit_code: str | None = None) -> UnitKind:
    """What the first two characters of the code say, or else the words in the name."""
    by_code = KIND_BY_CODE.get((credit_code or "")[:2])
    by_name = next((kind for kind, words in KIND_BY_NAME if re.search(words, name)), None)
    if by_code is UnitKind.INSTITUTION and by_name is UnitKind.UNIVERSITY:
        return by_name
    return by_code or by_name or UnitKind.OTHER


def likeness(one: str, other: str) -> float:
    """Dice's coefficient of pairs of characters: 1 for the same name, 0 for none in common."""
    left, right = _pairs(one), _pairs(other)
    return 2 * len(left & right) / (len(left) + len(right))


class Names:
    """Names among which the nearest to one that is not there are looked for."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(dict.fromkeys(names))
        self._sizes = []
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        """Places of the names that have a pair of characters."""
        for place, name in enumerate(self._names):
            pairs = _pairs(name)
            self._sizes.append(len(pairs))
            for pair in pairs:
                self._places[pair].append(place)

    def nearest(self, name: str, *, count: int = 3, least: float = 0.1) -> list[str]:
        """Those that share the most pairs of characters with `name`, the most alike first."""
        alike = self.alike(name, least=least)
        return nlargest(count, alike, key=lambda other: alike[other])

    def alike(self, name: str, *, least: float) -> dict[str, float]:
        """Likeness of the names that are at least so much alike, as `likeness` has it."""
        own = _pairs(name)
        common = Counter(place for pair in own for place in self._places.get(pair, ()))
        scores = (
            (place, 2 * count / (len(own) + self._sizes[place]))
            for place, count in sorted(common.items())
        )
        return {self._names[place]: score for place, score in scores if score >= least}


def _pairs(name: str) -> frozenset[str]:
    key = name_key(name)
    return frozenset(key[place : place + 2] for place in range(max(len(key) - 1, 1)))
