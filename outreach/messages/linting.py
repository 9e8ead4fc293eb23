"""The check before a text is kept: what providers ban, what sounds like pressure, what would not
arrive as it was meant. Each finding says why it matters and what to do."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach.messages.models import Channel
from outreach.messages.placeholders import CONTROL, find_problem, pieces_of, placeholders_in
from outreach.messages.reading import Reading, read
from outreach.messages.rendering import ENCODED_WORD, SIGNATURE, segments, sms_length
from outreach.terms import Term

SMS_BANNED_PLACEHOLDERS = ("上年度捐款", "本次捐款", "认捐金额", "劝募人电话", "核对链接")
LONGEST_SUBJECT = 60
LONGEST_EMAIL = 2000


class Severity(Term):
    REFUSE = "refuse", _("不能保存")
    WARN = "warn", _("请留意")
    HINT = "hint", _("提示")


@dataclass(frozen=True)
class Finding:
    severity: Severity
    message: LazyString | str
    """What was found, why it matters and what to do."""


def lint(
    channel: Channel, subject: str, body: str, *, signature: str = SIGNATURE, is_appeal: bool = True
) -> list[Finding]:
    """What is wrong with a text, the worst first. A finding that refuses keeps it from being
    saved; the others are for the writer to weigh. One that asks for nothing, such as a
    correction, need not say that giving is voluntary."""
    of_channel = _lint_email if channel is Channel.EMAIL else _lint_sms
    rules = (_lint_placeholders, _lint_characters, _lint_coercion, of_channel)
    findings = [finding for rule in rules for finding in rule(subject, body)]
    if channel is Channel.EMAIL and is_appeal and body.strip() and "自愿" not in body:
        findings.append(_warn(_("正文没有说明捐赠自愿。建议加一句“捐赠完全自愿”。")))
    if channel is Channel.SMS:
        findings.append(_count_sms(body, signature))
    return sorted(findings, key=lambda finding: list(Severity).index(finding.severity))


def refusals(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity is Severity.REFUSE]


def has_link_or_phone(text: str) -> bool:
    plain = read(text).text
    return bool(_LINK.search(plain) or _PHONE.search(plain))


def find_appeals(text: str) -> list[str]:
    """Words that ask for gifts, each once; «慈善一日捐» is a name and none of them."""
    return list(dict.fromkeys(read(text).find(_APPEAL)))


def _lint_placeholders(subject: str, body: str) -> Iterator[Finding]:
    for text in (subject, body):
        problem = find_problem(text)
        if problem is not None:
            yield _refuse(problem)


def _refuse(message: LazyString | str) -> Finding:
    return Finding(Severity.REFUSE, message)


def _warn(message: LazyString | str) -> Finding:
    return Finding(Severity.WARN, message)


def _lint_characters(subject: str, body: str) -> Iterator[Finding]:
    if CONTROL.search(subject) or "\n" in subject or "\t" in subject:
        yield _refuse(_("主题中有换行或看不见的控制字符，可能被用来改写邮件。请删去后重新输入。"))
    if ENCODED_WORD.search(subject):
        yield _refuse(_("主题中有“=?”或“?=”，邮件系统会把它当作编码。请删去。"))
    if CONTROL.search(body.replace("\r\n", "\n")):
        yield _refuse(_("正文中有看不见的控制字符，多半是粘贴带入的。请删去后重新输入。"))


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
    make: Callable[[LazyString | str], Finding]
    message: LazyString
    """Takes the words that were found as `words`."""
    excuse: _Excuse | None = None

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

_COERCION = (
    _Wording(
        _FORCE,
        _refuse,
        _("“%(words)s”有强迫之意。慈善法规定捐赠自愿，不得摊派或变相摊派。请改为自愿的说法。"),
    ),
    _Wording(
        _STANDARDS,
        _refuse,
        _("“%(words)s”规定了捐款标准，属于变相摊派。请删去金额要求。"),
    ),
    _Wording(
        _SUMS,
        _refuse,
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
        _refuse,
        _("“%(words)s”以处分或曝光相威胁，属于变相摊派。请删去。"),
    ),
    _Wording(
        _DEDUCTIONS,
        _refuse,
        _("“%(words)s”是从工资里扣捐款，未经本人同意就是强制。请删去，由个人自行决定怎样捐。"),
        _Excuse(
            re.compile("自愿"),
            _("“%(words)s”须由每个人自己事先书面委托，单位不能统一决定。请考虑删去。"),
        ),
    ),
    _Wording(
        _compile({"demands": r"(?:必须|务必|一律)[^,;。\n]{0,12}(?:捐|认缴|缴纳|交款|到账)"}),
        _refuse,
        _("“%(words)s”要求对方捐款。捐赠自愿，请改为“如有意参加，请……”。"),
    ),
    _Wording(
        _compile(
            {
                "hard words": (
                    r"必须|务必|一律|限期|逾期|催[办缴款促]|排名|排行|100\s?%|全员参与|应捐尽捐"
                )
            }
        ),
        _warn,
        _("“%(words)s”语气生硬，容易让人觉得是命令。请考虑更客气的说法。"),
    ),
)


def _lint_coercion(subject: str, body: str) -> Iterator[Finding]:
    reading = read(f"{subject}\n{body}")
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
            yield wording.make(_name_words(wording.message, reading, plain))
        if wording.excuse and excused:
            yield _warn(_name_words(wording.excuse.message, reading, excused))


def _sentence_of(match: re.Match[str]) -> str:
    before = _SENTENCE_END.split(match.string[: match.start()])[-1]
    return before + match[0] + _SENTENCE_END.split(match.string[match.end() :], maxsplit=1)[0]


_SENTENCE_END = re.compile(r"[。!?;\n]")


def _name_words(message: LazyString, reading: Reading, matches: list[re.Match[str]]) -> str:
    words = dict.fromkeys(reading.words(*match.span()) for match in matches)
    return str(message) % {"words": "、".join(words)}


def _lint_email(subject: str, body: str) -> Iterator[Finding]:
    if not subject.strip():
        yield _refuse(_("请填写邮件主题。"))
    if len(subject) > LONGEST_SUBJECT:
        yield _warn(
            _(
                "主题有 %(count)s 字，手机上会被截断。建议不超过 %(most)s 字。",
                count=len(subject),
                most=LONGEST_SUBJECT,
            )
        )
    if not body.strip():
        yield _refuse(_("请填写正文。"))
    if len(body) > LONGEST_EMAIL:
        yield _warn(_("正文有 %(count)s 字，太长的信很少有人读完。", count=len(body)))
    if re.search(r"</?[a-zA-Z][^>]*>", body):
        yield _warn(_("正文里的网页代码会原样显示。请只写文字，版式由系统生成。"))


_APPEAL = re.compile(
    r"募捐|募款|捐款|捐赠|捐献|认捐|善款|爱心款|献爱心|奉献爱心|爱心捐|劝募|转账|汇款"
)
_LINK = re.compile(
    r"https?://|www\.|[a-z0-9-]\.(?:cn|com|net|org|gov|edu|vip|top|xyz|cc)(?![a-z0-9])",
    re.IGNORECASE,
)
_PHONE = re.compile(
    r"(?<!\d)(?:(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}|0\d{2,3}[-) ]{0,2}\d{7,8}"
    r"|400[- ]?\d{3}[- ]?\d{4})(?!\d)"
)


def _lint_sms(_subject: str, body: str) -> Iterator[Finding]:
    if not body.strip():
        yield _refuse(_("请填写正文。"))
    names = placeholders_in(body)
    banned = [name for name in names if name in SMS_BANNED_PLACEHOLDERS]
    if banned:
        yield _refuse(
            _("短信里不能用((%(name)s))：运营商不许短信提捐款金额或带电话号码。", name=banned[0])
        )
    literal = "\n".join(rest for _name, rest in pieces_of(body))
    appeals = find_appeals(literal)
    if appeals:
        yield _refuse(
            _(
                "短信里不能写“%(words)s”：运营商不许用短信募捐。短信只用作工作通知，如会议、走访预约、登记表报送。",
                words="、".join(appeals),
            )
        )
    plain = read(literal).text
    if _LINK.search(plain):
        yield _refuse(_("短信里不能带网址，多数运营商会拦下。请改在邮件里写。"))
    if _PHONE.search(plain):
        yield _refuse(_("短信里不能写电话号码，多数运营商会拦下。"))
    if "【" in body or "】" in body:
        yield _warn(_("短信签名【】由系统自动加在开头，正文里不必再写。"))


def _count_sms(body: str, signature: str) -> Finding:
    typical = "".join(
        "某" * _TYPICAL_LENGTHS.get(name, 6) * bool(name) + rest for name, rest in pieces_of(body)
    )
    count, length = segments(typical, signature), sms_length(typical, signature)
    if count == 1:
        return Finding(Severity.HINT, _("连同签名约 %(length)s 字，按 1 条计费。", length=length))
    return _warn(
        _(
            "连同签名约 %(length)s 字，按 %(count)s 条计费"
            "（70 字以内 1 条，超过则每 67 字 1 条）。",
            length=length,
            count=count,
        )
    )


_TYPICAL_LENGTHS = {
    "活动名称": 11,
    "单位名称": 10,
    "联系人": 3,
    "称谓": 2,
    "劝募人": 3,
    "总会名称": 7,
}
