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

    def find_excuses(self, text: str) -> list[tuple[int, int]]:
        """Where the sentences are in which the words may be meant well."""
        if self.excuse is None:
            return []
        sentences = _SENTENCE.finditer(text)
        return [one.span() for one in sentences if self.excuse.pattern.search(one[0])]


_SENTENCE = re.compile(r"[^。!?;\n]+")

_NEGATED = re.compile(
    r"(?:[不未非]|严禁|禁止|杜绝|防止|避免|反对|没有)"
    r"(?:[搞得要求许是会能有作予再以的或者和、下达设定提]"
    r"|任何|方式|形式|变相|强制|强行|摊派|规定|分配|分解)*$"
    r"|不[得会能]?(?:将|把|因|对)[^,;。\n的]{0,8}$"
)
"""What stands before «摊派» in «不搞摊派»: then it is a promise and not a threat."""
_LONGEST_DENIAL = 60

_GIVING = r"(?:捐[款赠]?|[认募]捐|认缴|劝募|[募筹]款)"

_FORCE = _compile(
    {
        "force": r"摊派|强制|强行|强迫|硬性(?:要求|规定|任务)",
        "a quota": rf"{_GIVING}的?(?:任务|指标|配额|定额)",
    }
)

_YUAN = r"元(?![旦月宵素])"
_MONEY = (
    rf"(?:¥\d|(?:\d[\d,.]{{0,15}}|[一二两三四五六七八九十百千万]{{1,9}})[多余]?万?"
    rf"(?:{_YUAN}|块(?:钱|(?=每人|一个?人)|(?!\w))|圆(?!\w)))"
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
_NO_THANKS_FOR_IT = r"(?!(?:及?以上)?的?[^,;。\n不未无]{0,8}(?:颁发|授予|赠予|发给))"
"""«捐赠额不低于1万元的颁发证书» says what somebody gets."""
_NO_CAP = r"(?:(?!不超|不高于|[最至]多|上限)[^,;。\n])"

_STANDARDS = _compile(
    {
        "an average to reach": rf"人均(?:捐[款赠]?|认捐)?(?:不低于|不少于|至少|应达)(?:{_AMOUNT})?",
        "a floor": (
            rf"(?:不低于|不少于|不得少于|不得低于|最低)[^,;。\n]{{0,6}}{_YUAN}{_NO_THANKS_FOR_IT}"
        ),
        "a floor of gifts": (
            rf"{_AT_LEAST}(?:捐[款赠]?|认捐|认缴){_AMOUNT}|捐[款赠]?{_AT_LEAST}{_AMOUNT}|{_MONEY}起捐"
        ),
        "a standard": rf"{_GIVING}的?(?:标准|基数){_NO_CAP}{{0,6}}?{_AMOUNT}",
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
        "a head": rf"{_EACH}(?:每[月年次]|要求|各|均|按|约|为|是|[:、])*{_AMOUNT}(?!以内|以下)",
        "for a head": rf"{_MONEY}(?:/|每|一个?)(?:人(?!道)|户|单位)",
        "on average": rf"人均(?:捐[款赠]?|认捐|标准|要求|约|为|达到?|按|:)*{_AMOUNT}",
        "a quota": rf"(?:任务|指标)(?:数|额|金额)?(?:为|是|:)*{_MONEY}",
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
    r"|(?<!为)(?<!为了)(?:救助|帮扶|帮助|慰问)[^,;。\n]{0,10}(?:每[人户位名个]|[元块]/[人户])"
    r"|(?:困难|贫困|学生|儿童|孤儿|老人|患者|残疾人)每[人户位名]"
    r"|每[户位名个](?:受助|困难|贫困|学生|儿童|孤儿|老人|患者|残疾人)"
    rf"|(?<![按照以])(?:去年|上一?年度?|往年)人均(?:捐款)?{_MONEY},?(?:感谢|谢谢|衷心)"
    r"|会务费|报名费|餐费|伙食|食宿|住宿|差旅|门票|收费|收到|筹得|筹集|合计|总计"
)

_LAST_YEAR = r"(?:去年|往年|历年|上一?年度?|20\d\d年)"

_COMPARED = _compile(
    {
        "no less than last year": (
            rf"{_GIVING}[^,;。\n\d不]{{0,8}}"
            rf"(?:不(?:得|能|可|应)?(?:低于|少于){_LAST_YEAR}|[只有]增[不无]减|只多不少)"
        ),
    }
)
_REPORTED = re.compile(r"已|感谢|共收到|累计|年来|连续|人数")

_PAPERS = r"(?:票据|收据|发票|证书|协议|凭证|登记|意向|仪式)"
_GIVEN = rf"[^,;。\n不未没收]{{0,4}}(?:捐(?![款赠]{{1,2}}{_PAPERS})|认缴|缴款|交款)"
_NOT_YET_GIVEN = rf"(?:未|没有?){_GIVEN}"
_NOT_GIVEN = rf"(?:未|没有?|不|拒绝?){_GIVEN}"
_NO_PROMISE = r"(?!(?:将|会|均|也|都|一律|一概)*不(?:予|会|得|对|作|做|再|公|通|排))"
_APPRAISAL = (
    r"(?:考核|考评|绩效|评优|评先|评比|诚信档案|晋升|提拔|奖金|奖惩|职称|目标管理"
    r"|文明(?:单位|校园)?的?(?:评|创建|考|测评|复查))"
)
_OVERSEERS = r"(?:督查|督办|纪委|纪检|监委|组织部|考核办|文明办)"
_SUPERIORS = rf"(?:{_OVERSEERS}|[省市区县党]委|政府|党组|领导|上级)"
_REPORT = r"(?:上报|报送|呈报|抄报|抄送|通报|汇报|报告|报)"

_THREATS = _compile(
    {
        "those who have not given are exposed": (
            rf"(?:{_NOT_GIVEN}|未到账|未参加(?!会))[^,;。\n不无未请报填送]{{0,8}}"
            rf",?(?:将|要|会|就|一律|全部|予以|进行)*"
            rf"(?:通报|通告|曝光|公布|公示|公开|点名|约谈|名单){_NO_PROMISE}"
        ),
        "exposed are those who have not given": (
            rf"(?:通报|通告|曝光|公布|公示|公开|点名)[^,;。\n不未没]{{0,8}}{_NOT_GIVEN}[款赠]?"
            r"(?:单位)?(?:名单)?"
        ),
        "those who have not given are reported": (
            rf"{_NOT_GIVEN}[^,;。\n不无未请报填送]{{0,8}},?(?:将|要|会|就|一律|全部)*"
            rf"(?:向[^,;。\n]{{0,6}}{_SUPERIORS}[^,;。\n]{{0,6}}{_REPORT}"
            rf"|{_REPORT}[^,;。\n]{{0,6}}{_SUPERIORS})"
        ),
        "reported to those who oversee": (
            rf"{_GIVING}(?:情况|名单|数据)[^,;。\n不无未]{{0,8}}"
            rf"(?:向[^,;。\n不]{{0,6}}{_OVERSEERS}[^,;。\n]{{0,4}}{_REPORT}"
            rf"|{_REPORT}[^,;。\n不]{{0,6}}{_OVERSEERS})"
        ),
        "punished": (
            r"通报批评|(?<![重地网站])点名|(?<![访慰])问责|追责|(?<!预)约谈|一票否决"
            r"|取消[^,;。\n]{0,6}评[优先]"
        ),
        "appraised": rf"(?:列入|纳入|计入|记入|作为|影响)[^,;。\n不]{{0,8}}{_APPRAISAL}",
        "tied to the appraisal": (
            rf"[与和同跟][^,;。\n不]{{0,12}}(?:{_APPRAISAL}|评选|文明单位)[^,;。\n不]{{0,6}}挂钩"
        ),
    }
)

_READER = r"(?:[你贵您]|\(\(单位)"
_WHO = r"(?:单位|部门|企业|学校|医院|科室|个人|人员|同志|干部|职工|党员)"

_SINGLED_OUT = _compile(
    {
        "a list of those who have not given": (
            rf"(?:以下|下列|如下|上述)[^,;。\n不]{{0,6}}{_WHO}[^,;。\n不未没]{{0,4}}"
            rf"{_NOT_YET_GIVEN}[款赠]?"
        ),
        "those who have not given, by name": (
            rf"{_NOT_YET_GIVEN}[款赠]?的?{_WHO}(?:如下|包括|分别|[有是为]:)"
        ),
        "the reader is the last": rf"(?:[只仅就][剩差]|唯独)下?{_READER}",
        "only the reader has not given": (
            rf"(?:只有|仅有|唯有){_READER}[^,;。\n不]{{0,8}}{_NOT_YET_GIVEN}[款赠]?"
        ),
    }
)
_FORMS = re.compile(r"登记表|回执|报名|报送|反馈|材料|联络|联系|签到|签字|确认|意见")

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

_ALL = rf"(?:全员|人人|每个?人|大家|(?:全体|所有|各|每个){_WHO})"
_HOW = r"(?:都|均|要|积极|踊跃|带头|主动|自觉|按时|及时|足额|参与|参加|进行)"
_GIVE = (
    rf"捐(?![款赠]{{0,2}}(?:{_PAPERS}|单位|企业|[人者方物多]|信息|情况|名单|资金|项目|使用|意愿|自愿"
    r"|全部|[都专]))[款赠]?"
)

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
        _COMPARED,
        _("“%(words)s”要求捐款不少于往年，属于变相摊派。请删去。"),
        _Excuse(
            _REPORTED,
            _(
                "“%(words)s”容易被读成要求捐款不少于往年。"
                "如果说的是已有的结果，请写明；对今年的捐款请不要提要求。"
            ),
        ),
    ),
    _Wording(
        _SINGLED_OUT,
        _("“%(words)s”点出没有捐款的单位，等于公开名单施压。请删去，不与其他单位相比。"),
        _Excuse(
            _FORMS,
            _("“%(words)s”容易被读成点名催捐。如果说的是报送材料，请换个客气的说法。"),
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
            {
                "demands": (
                    rf"(?:必须|务必|一律){_NO_RULE}[^,;。\n]{{0,12}}"
                    r"(?:捐(?![款赠]{1,2}(?:票据|收据|发票|证书|凭证))|认缴|缴纳|交款|到账)"
                ),
                "has to": (
                    rf"(?:一定要|务请|应当|应该|理应|[都均]应|[都均]要|(?<![必无毋])须)"
                    rf"{_HOW}*{_GIVE}"
                ),
                "everybody has to": rf"(?:要求|确保|保证|做到){_ALL}{_HOW}*{_GIVE}",
                "must give": r"(?<![不未何势])必捐",
            }
        ),
        _("“%(words)s”要求对方捐款。捐赠自愿，请改为“如有意参加，请……”。"),
    ),
    _Wording(
        _compile(
            {
                "reported to superiors": (
                    rf"{_GIVING}情况[^,;。\n不无未]{{0,8}}"
                    rf"(?:向[^,;。\n不]{{0,6}}{_SUPERIORS}[^,;。\n]{{0,6}}{_REPORT}"
                    rf"|{_REPORT}[^,;。\n不]{{0,6}}{_SUPERIORS})"
                )
            }
        ),
        _("“%(words)s”容易让人觉得不捐会被上级知道。请考虑删去，或写明只报总数。"),
        is_refused=False,
    ),
    _Wording(
        _compile(
            {
                "hard words": (
                    r"(?<!已)(?:足额|如数)(?:缴|上交|捐)"
                    r"|(?:还没|尚未|未)捐[款赠]?的?[^,;。\n不未没]{0,6},?请?(?:抓紧|赶紧|赶快|从速)"
                    r"|必须|务必|一律|限期|逾期|催[办缴款促]|排名|排行|100\s?%|百分之百|全员参与|全员捐款|应捐尽捐"
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
        excuses = wording.find_excuses(reading.text)
        for match in wording.find(reading.text):
            if any(match[0] in longer for longer in told):
                continue
            is_excused = any(start < match.end() and match.start() < end for start, end in excuses)
            (excused if is_excused else plain).append(match)
        told.update(match[0] for match in plain + excused)
        if plain:
            yield wording.is_refused, _name_words(wording.message, reading, plain)
        if wording.excuse and excused:
            yield False, _name_words(wording.excuse.message, reading, excused)


def _name_words(message: LazyString, reading: Reading, matches: list[re.Match[str]]) -> str:
    words = dict.fromkeys(reading.words(*match.span()) for match in matches)
    return str(message) % {"words": "、".join(words)}
