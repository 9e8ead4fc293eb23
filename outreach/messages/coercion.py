"""What puts pressure on people: force, prescribed sums, threats, deductions, hard words. The law
(慈善法) has gifts be voluntary, and forbids pressure by whatever name."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach.messages.reading import Reading, read

Patterns = tuple[re.Pattern[str], ...]


def _compile(patterns: dict[str, str]) -> Patterns:
    return tuple(re.compile(pattern) for pattern in patterns.values())


@dataclass(frozen=True)
class _Excuse:
    pattern: re.Pattern[str]
    """Stands in the same sentence when the words may be meant well: then they are warned of."""
    message: LazyString


@dataclass(frozen=True)
class _Wording:
    patterns: Patterns
    """They are held against a `Reading`: half-width punctuation, no gaps beside Chinese."""
    message: LazyString
    """Takes the words that were found as `words`."""
    excuse: _Excuse | None = None
    is_refused: bool = True
    """False: the writer is only asked to think again."""

    def find(self, text: str) -> list[re.Match[str]]:
        """In the order of the text; of two that overlap the first, or what denies it, counts."""
        matches = [match for pattern in self.patterns for match in pattern.finditer(text)]
        found: list[re.Match[str]] = []
        reached = 0
        for match in sorted(matches, key=lambda match: (match.start(), -match.end())):
            if match.start() < reached:
                continue
            reached = match.end()
            before = text[max(match.start() - _LONGEST_DENIAL, 0) : match.start()]
            if not _NEGATED.search(before):
                found.append(match)
        return found


_NEGATED = re.compile(
    r"(?:不|严禁|禁止|杜绝|防止|避免|反对|没有)"
    r"(?:搞|得|要|许|是|会|能|作|予|再|以|任何|方式|形式|的|变相|、|或者?|和|强制|强行|摊派)*$"
    r"|不[得会能]?(?:将|把|因|对)[^,;。\n的]{0,8}$"
)
"""What stands before «摊派» in «不搞摊派»: then it is a promise and not a threat."""
_LONGEST_DENIAL = 60

_FORCE = _compile(
    {
        "force": r"摊派|强制|强行|强迫|硬性(?:要求|规定|任务)",
        "a task": r"(?:捐款|劝募)任务",
    }
)

_YUAN = r"元(?![旦月宵素])"
_MONEY = (
    rf"(?:¥\d|(?:\d[\d,.]{{0,15}}|[一二两三四五六七八九十百千万]{{1,9}})[多余]?万?"
    rf"(?:{_YUAN}|块(?:钱|(?!\w))|圆(?!\w)))"
)
_RANK = r"(?:[正副]?[厅处科局县乡股]级|[正副][厅处科](?!长)|科员|(?:一般|普通)(?:干部|职工|党员))"
_NUMBER = r"[1-9](?:\d{1,4}|\d{0,2}(?:,\d{3})+)"
_AMOUNT = (
    rf"(?:{_MONEY}|{_NUMBER}(?:[-~至到]{_NUMBER})?"
    rf"(?=以上|起|左右|{_RANK}|$|[^\w.,:/~%-]|[.,:/~-](?!\d)))"
)
"""Money, or a number that counts nothing and is no telephone's: «200», not «200家»."""
_EACH = r"(?:[每一]人|人人|每[位名][^,;。\n\d]{1,8}?|每个(?:人|单位|干部|党员|职工)|每家?单位|每户)"
_AT_LEAST = r"(?:至少|起码|最少|不少于|不低于|不得少于|不得低于|最低(?!生活|工资))"
_NO_CAP = r"(?:(?!不超|不高于|[最至]多|上限)[^,;。\n])"

_STANDARDS = _compile(
    {
        "an average to reach": rf"人均(?:捐[款赠]?|认捐)?(?:不低于|不少于|至少|应达)(?:{_AMOUNT})?",
        "a floor": rf"(?:不低于|不少于|不得少于|不得低于|最低)[^,;。\n]{{0,6}}{_YUAN}",
        "a floor of gifts": (
            rf"{_AT_LEAST}(?:捐[款赠]?|认捐|认缴){_AMOUNT}|捐[款赠]?{_AT_LEAST}{_AMOUNT}|{_MONEY}起捐"
        ),
        "what each gives": (
            rf"{_EACH}{_NO_CAP}{{0,6}}?(?:捐|认缴|{_AT_LEAST}){_NO_CAP}{{0,6}}?{_AMOUNT}"
        ),
        "yuan by rank": rf"[厅处科局县乡]级(?:(?!\d[家个])[^;。\n]){{0,10}}{_YUAN}",
        "a number by rank": (
            rf"{_RANK}(?:领导|干部|人员|同志|职务|以上|以下|及|的|每人|各|均|为|标准|捐[款赠]?"
            rf"|{_AT_LEAST}|[-:、()])*{_AMOUNT}"
        ),
    }
)

_SUMS = _compile(
    {
        "a head": rf"{_EACH}(?:每[月年次]|各|均|按|约|为|是|[:、])*{_AMOUNT}(?!以内|以下)",
        "on average": rf"人均(?:捐[款赠]?|认捐|标准|约|为|达到?|按|:)*{_AMOUNT}",
        "from staff": (
            r"(?<!困难)(?<!贫困)(?:干部|职工|党员|教师|员工|[处科局]长)(?:各|均|按|:)*"
            rf"(?!\d[\d.]*万){_MONEY}"
        ),
    }
)
"""Sums of which only the sentence says whether they are given, paid out or a fee."""

_PAID_OUT = re.compile(
    r"发放|发给|资助|补助|补贴|慰问金|助学金|救助金|给予|奖励|低保|保费"
    r"|(?:救助|帮扶|帮助|慰问)[^;。\n]{0,10}\d[余多]?[名户人位个]"
    r"|(?:困难|贫困|学生|儿童|孤儿|老人|患者|残疾人)每[人户位名]"
    r"|每[户位名个](?:困难|贫困|学生|儿童|孤儿|老人|患者|残疾人)"
    r"|会务费|报名费|餐费|伙食|食宿|住宿|差旅|收到|筹得|筹集|合计|总计"
)

_NOT_GIVEN = r"(?:未|没有?|不|拒绝?)[^,;。\n不未没收]{0,4}(?:捐|认缴|缴款|交款)"
_NO_PROMISE = r"(?!(?:将|会|均|也|都|一律|一概)*不(?:予|会|得|对|作|做|再|公|通|排))"
_APPRAISAL = r"(?:考核|考评|绩效|评优|评先|评比|诚信档案|晋升|提拔|奖金)"

_THREATS = _compile(
    {
        "those who have not given are exposed": (
            rf"(?:{_NOT_GIVEN}|未到账|未参加(?!会))[^,;。\n不无未请报填送]{{0,8}}"
            rf",?(?:将|要|会|就|一律|全部|予以|进行)*"
            rf"(?:通报|通告|曝光|公布|公示|公开|点名|约谈|名单){_NO_PROMISE}"
        ),
        "exposed are those who have not given": (
            rf"(?:通报|通告|曝光|公布|公示|公开|点名)[^,;。\n不未没]{{0,8}}{_NOT_GIVEN}[款赠]?"
            rf"(?:单位)?(?:名单)?"
        ),
        "punished": (
            r"通报批评|(?<![重地网站])点名|(?<![访慰])问责|追责|(?<!预)约谈|一票否决"
            r"|取消[^,;。\n]{0,6}评[优先]"
        ),
        "appraised": rf"(?:列入|纳入|计入|记入|作为|影响)[^,;。\n不]{{0,8}}{_APPRAISAL}",
        "tied to the appraisal": (
            rf"[与和同跟][^,;。\n不]{{0,12}}{_APPRAISAL}[^,;。\n不]{{0,6}}挂钩"
        ),
    }
)

_WAGES = r"(?:工资|薪酬|薪资|薪水|津贴|奖金|绩效)"
_AT_ONCE = r"(?:统一|直接|一律){0,2}"

_DEDUCTIONS = _compile(
    {
        "from wages": (
            rf"(?:{_AT_ONCE}[从由在][^,;。\n不税]{{0,8}})?{_WAGES}"
            r"(?:(?!税|所得)[^,;。\n不]){0,6}(?:扣(?!税)|划转)"
        ),
        "of wages": (
            rf"{_AT_ONCE}(?:代扣|划扣|(?<!折)扣)[^,;。\n不税]{{0,6}}{_WAGES}(?!薪金|所得|个|税)"
        ),
    }
)
"""What the tax law lets people deduct («在工资薪金所得中扣除») is something else."""

_NO_RULE = r"(?!不[得许能]|[^,;。\n]{0,8}自愿)"
"""«必须坚持自愿捐款» and «一律不得强制捐款» bind those who ask."""

_COERCION = (
    _Wording(
        _FORCE,
        _("“%(words)s”有强迫之意。慈善法规定捐赠自愿，不得摊派或变相摊派。请改为自愿的说法。"),
    ),
    _Wording(
        _STANDARDS,
        _("“%(words)s”规定了捐款标准，属于变相摊派。请删去金额要求。"),
    ),
    _Wording(
        _SUMS,
        _("“%(words)s”规定了捐款标准，属于变相摊派。请删去金额要求。"),
        _Excuse(
            _PAID_OUT,
            _(
                "“%(words)s”容易被读成捐款标准。"
                "如果说的是发放的款项或收取的费用，请写明；捐款请不要写金额。"
            ),
        ),
    ),
    _Wording(
        _THREATS,
        _("“%(words)s”以处分或曝光相威胁，属于变相摊派。请删去。"),
    ),
    _Wording(
        _DEDUCTIONS,
        _("“%(words)s”是从工资里扣捐款，未经本人同意就是强制。请删去，由个人自行决定怎样捐。"),
        _Excuse(
            re.compile("自愿"),
            _("“%(words)s”须由每个人自己事先书面委托，单位不能统一决定。请考虑删去。"),
        ),
    ),
    _Wording(
        _compile(
            {"demands": rf"(?:必须|务必|一律){_NO_RULE}[^,;。\n]{{0,12}}(?:捐|认缴|缴纳|交款|到账)"}
        ),
        _("“%(words)s”要求对方捐款。捐赠自愿，请改为“如有意参加，请……”。"),
    ),
    _Wording(
        _compile(
            {
                "hard words": (
                    r"必须|务必|一律|限期|逾期|催[办缴款促]|排名|排行|100\s?%|百分之百|全员参与|应捐尽捐"
                )
            }
        ),
        _("“%(words)s”语气生硬，容易让人觉得是命令。请考虑更客气的说法。"),
        is_refused=False,
    ),
)


def find(written: str) -> Iterator[tuple[bool, str]]:
    """What presses people, in words that say why it matters and what to do; True where the text
    must not be kept."""
    reading = read(written)
    told: set[str] = set()
    for wording in _COERCION:
        plain: list[re.Match[str]] = []
        excused: list[re.Match[str]] = []
        for match in wording.find(reading.text):
            if any(match[0] in longer for longer in told):
                continue
            is_excused = wording.excuse and wording.excuse.pattern.search(_sentence_of(match))
            (excused if is_excused else plain).append(match)
        told.update(match[0] for match in plain + excused)
        if plain:
            yield wording.is_refused, _name_words(wording.message, reading, plain)
        if wording.excuse and excused:
            yield False, _name_words(wording.excuse.message, reading, excused)


def _sentence_of(match: re.Match[str]) -> str:
    before = _SENTENCE_END.split(match.string[: match.start()])[-1]
    return before + match[0] + _SENTENCE_END.split(match.string[match.end() :], maxsplit=1)[0]


_SENTENCE_END = re.compile(r"[。!?;\n]")


def _name_words(message: LazyString, reading: Reading, matches: list[re.Match[str]]) -> str:
    words = dict.fromkeys(reading.words(*match.span()) for match in matches)
    return str(message) % {"words": "、".join(words)}
