import pytest
from flask import Flask

from outreach.errors import Refused
from outreach.messages import linting, rendering, wordings
from outreach.messages.linting import Severity, lint
from outreach.messages.models import Channel, Template, TemplateVersion
from outreach.messages.placeholders import PLACEHOLDERS
from outreach.messages.rendering import render, render_html

FIELDS = dict.fromkeys(PLACEHOLDERS, "某") | {"单位名称": "衡阳市财政局", "活动名称": "慈善一日捐"}
POLITE = "您好：如贵单位有意参加，请回复本邮件。捐赠完全自愿。"


def make_version(body: str, subject: str = "工作联系", channel: Channel = Channel.EMAIL):
    template = Template(name="模板", channel=channel)
    return TemplateVersion(template=template, number=1, subject=subject, body=body)


def problems(channel: Channel, body: str, subject: str = "工作联系") -> list[str]:
    findings = linting.refusals(lint(channel, subject, body))
    return [str(finding.message) for finding in findings]


def warnings(channel: Channel, body: str, subject: str = "工作联系") -> list[str]:
    return [
        str(finding.message)
        for finding in lint(channel, subject, body)
        if finding.severity is Severity.WARN
    ]


def test_placeholders_are_replaced_in_subject_and_body():
    rendered = render(make_version("((单位名称))，您好", "关于((活动名称))"), FIELDS)
    assert rendered.subject == "关于慈善一日捐"
    assert rendered.text == "衡阳市财政局，您好"
    assert "衡阳市财政局，您好" in render_html(rendered.text)


def test_brackets_of_a_chinese_keyboard_work_too():
    assert (
        render(make_version("\uff08\uff08单位名称\uff09\uff09您好"), FIELDS).text
        == "衡阳市财政局您好"
    )


def test_a_value_is_never_expanded_again():
    fields = FIELDS | {"单位名称": "((劝募人电话))", "劝募人电话": "13800001234"}
    assert render(make_version("致((单位名称))"), fields).text == "致((劝募人电话))"


def test_a_value_cannot_break_out_of_the_subject_or_the_html():
    fields = FIELDS | {"单位名称": "甲\r\nBcc: x@y.example =?utf-8?q?=0a?= <b>乙</b>"}
    rendered = render(make_version("致((单位名称))", "致((单位名称))"), fields)
    assert "\n" not in rendered.subject
    assert "\r" not in rendered.subject
    assert "=?" not in rendered.subject
    assert "<b>" not in render_html(rendered.text)
    assert "&lt;b&gt;" in render_html(rendered.text)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("((单位地址))您好", "((单位地址))"),
        ("((config.SECRET_KEY))", "((config.SECRET_KEY))"),
        ("(((单位名称)您好", "不成对"),
        ("((单位名称，您好", "不成对"),
        ("单位名称))您好", "不成对"),
    ],
)
def test_unknown_and_unbalanced_placeholders_are_refused_by_name(body: str, named: str):
    with pytest.raises(Refused, match=r".") as refusal:
        render(make_version(body), FIELDS)
    assert named in str(refusal.value.message)
    assert any(named in problem for problem in problems(Channel.EMAIL, body + POLITE))


@pytest.mark.parametrize(
    "body", ["(见附件(二))", "\uff08见附件\uff08二\uff09\uff09", "{{ 7*7 }} {% x %} %(a)s"]
)
def test_other_brackets_are_left_alone(body: str):
    assert render(make_version(body), FIELDS).text == body


def test_html_has_paragraphs_and_links_and_nothing_from_outside():
    html = render_html("第一段\n第二行\n\n见 https://a.example/x?a=1&b=2。\n<script>")
    assert html.count("<p ") == 2
    assert "第一段<br>\n第二行" in html
    assert '<a href="https://a.example/x?a=1&amp;b=2"' in html
    assert "<script" not in html
    assert "src=" not in html
    assert "url(" not in html


@pytest.mark.parametrize(
    "body",
    [
        "各单位不得推诿，实行摊派。自愿",
        "人均不低于100元，自愿。",
        "处级200元，科级100元。自愿",
        "逾期将通报批评。自愿",
        "公布未捐名单。自愿",
        "强制参加。自愿",
        "请务必于月底前捐款。自愿",
    ],
)
def test_coercion_is_refused_with_a_reason(body: str):
    assert problems(Channel.EMAIL, body)


def test_a_promise_not_to_press_is_no_coercion():
    assert problems(Channel.EMAIL, "坚持自愿，不搞摊派，严禁强制或变相摊派。") == []


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("各单位实行摊 派。自愿", "摊 派"),
        ("各单位实行摊\u3000\u00a0派。自愿", "摊\u3000\u00a0派"),
        ("各单位实行摊\u200b派。自愿", "摊派"),
        ("各单位实行摊\u00ad派。自愿", "摊派"),
        ("各单位实行摊\u0336派\u0336。自愿", "摊派"),
        ("人均不低于１００ 元，自愿。", "人均不低于１００ 元"),
        ("处 级 ２００ 元。自愿", "处 级 ２００ 元"),
        ("各單位實行攤派。自愿", "攤派"),
        ("各單位不得強制，但實行攤　派。自愿", "攤　派"),
        ("處級２００圓。自愿", "處級２００圓"),
        ("捐款標準：兩萬元。自愿", "捐款標準：兩萬元"),
        ("請於月底前務必繳納捐款。自愿", "務必繳納捐"),
        ("未捐款單位將通報。自愿", "未捐款單位將通報"),
        ("與評優掛鉤。自愿", "與評優掛鉤"),
        ("捐款情况列入考覈。自愿", "列入考覈"),
        ("由職工工資代扣。您好", "由職工工資代扣"),
    ],
)
def test_coercion_is_found_however_it_is_typed(body: str, shown: str):
    assert any(f"“{shown}”" in problem for problem in problems(Channel.EMAIL, body))


@pytest.mark.parametrize(
    "body",
    [
        "坚持自愿，不 搞 摊 派。",
        "坚持自愿，不\u200b搞摊派，严 禁以任何方式强 制摊派。",
        "坚持自愿，严禁以任何方式强制摊派。",
        "任何单位和个人不得摊派或者变相摊派。自愿",
        "会议室在二楼，水电分摊\n派车请提前告知。自愿",
        "请带好水杯，不得迟到。分摊，派车。自愿",
        "请写明到达的地点 名称和时间。自愿",
        "请列出重点 名单，访问 责任单位。自愿",
        "必须坚持自愿捐款，一律不得强制捐款。",
        "堅持自願，嚴禁以任何方式強制攤派。",
    ],
)
def test_what_only_looks_like_coercion_is_let_through(body: str):
    assert [text for text in problems(Channel.EMAIL, body) if "控制字符" not in text] == []


@pytest.mark.parametrize(
    "said",
    [
        "每人至少捐100元",
        "每人捐款100元以上",
        "每人捐100",
        "每人不少于一百元",
        "每位干部职工捐款不低于 100 元",
        "每个单位捐款至少一万元",
        "人均100元",
        "人均捐款 100 元",
        "人均捐款不少于一日工资",
        "干部每人200元",
        "干部每人２００",
        "一人一百元",
        "干部200元、职工100元",
        "副处级200",
        "副处级200科级100",
        "处级：200，科级：100",
        "处级领导干部每人 200",
        "正科 150",
        "处长500元",
        "处级 1,000，科级 500-800",
        "每个党员 ￥100",
        "捐款至少100元",
        "100元起捐",
        "为救助困难家庭，每人100元",
        "捐款标准：200元/人",
        "捐款标准为处级以上500元",
        "100元/人",
        "200块一个人",
        "500元一户",
        "人均要求200元",
        "本年度人均200元",
        "按去年人均200元捐款，感谢大家",
        "参照上年度人均200元",
        "为救助困难家庭每人100元",
        "贵单位任务数：5万元",
    ],
)
def test_a_prescribed_sum_is_refused(said: str):
    assert any("捐款标准" in text for text in problems(Channel.EMAIL, f"今年{said}。自愿"))


@pytest.mark.parametrize(
    "said",
    [
        "每人 3 分钟",
        "每人限报 2 项，每个单位 3 人",
        "我市厅局级单位 58 家",
        "处级单位200家，共 3 万元",
        "处级 12,000 人，科级 20-30 人",
        "县级机关元旦放假",
        "感谢全体干部职工100万元的善款",
        "慰问困难职工500元",
        "困难家庭人均收入不足3000元",
        "每人捐款不超过100元",
        "活动自2026年9月1日起，每人一份登记表",
        "党员200名，每人捐书10本",
        "每月最低生活保障金600元",
        "请联系李局长 13800000000，王科长：0734-8812345",
        "工作人员名册：处级以上 88123456",
        "每位联络员 8812345，每个会议室 302",
        "捐款标准由各人自己决定",
        "捐款没有标准，100元也是爱心",
        "您的捐款金额为200元，已到账",
        "捐款10000元一个人道主义项目",
        "捐赠额不低于1万元的单位颁发证书",
    ],
)
def test_other_figures_are_no_prescribed_sums(said: str):
    assert problems(Channel.EMAIL, f"今年{said}。自愿") == []


@pytest.mark.parametrize(
    "said",
    [
        "善款资助学生200名每人3000元",
        "困难学生每人 2000 元",
        "救助困难家庭100户，每人2000元",
        "会务费每人100元",
        "救助困难职工每人1000元",
        "救助困难职工1000元/人",
        "帮扶对象每户500元",
        "餐费50元/人",
        "每位受助学生5000元",
        "上年度人均捐款86元，感谢大家",
    ],
)
def test_a_sum_that_is_paid_out_or_a_fee_is_only_warned_of(said: str):
    assert problems(Channel.EMAIL, f"今年{said}。自愿") == []
    assert any("捐款标准" in text for text in warnings(Channel.EMAIL, f"今年{said}。自愿"))


@pytest.mark.parametrize(
    "said",
    ["捐款额不低于去年", "捐款数额只增不减", "认捐金额原则上不得少于上年度", "募捐总额只多不少"],
)
def test_last_year_is_no_floor_but_may_be_reported_of(said: str):
    assert any("往年" in text for text in problems(Channel.EMAIL, f"今年{said}。自愿"))
    reported = f"感谢各界，十年来{said}。自愿"
    assert problems(Channel.EMAIL, reported) == []
    assert any("往年" in text for text in warnings(Channel.EMAIL, reported))


@pytest.mark.parametrize(
    "said",
    ["对慈善事业的投入只增不减", "捐多捐少都可以，不必与去年相比", "捐款数额不要求高于去年"],
)
def test_other_talk_of_last_year_is_let_through(said: str):
    assert problems(Channel.EMAIL, f"今年{said}。自愿") == []


@pytest.mark.parametrize(
    "said",
    ["完成募捐任务", "下达募捐指标", "认捐指标为5万元", "捐款任务", "分解捐赠任务", "筹款定额"],
)
def test_quotas_are_refused(said: str):
    assert any("强迫" in text for text in problems(Channel.EMAIL, f"今年{said}。自愿"))


@pytest.mark.parametrize(
    "said",
    [
        "不下达募捐指标",
        "不定捐款任务",
        "没有认捐指标",
        "严禁以任何形式分配募捐任务",
        "筹款项目的各项指标完成良好",
        "完成走访任务",
    ],
)
def test_what_is_no_quota_is_let_through(said: str):
    assert problems(Channel.EMAIL, f"今年{said}。自愿") == []


@pytest.mark.parametrize(
    "said",
    [
        "以下单位尚未捐款：市财政局、市审计局",
        "下列市直部门至今没有捐款",
        "尚未捐款的单位如下：市财政局",
        "尚未捐款单位有：市财政局",
        "全市仅剩你们几家",
        "全市就差你们了",
        "目前只有你单位没有捐款",
        "只剩贵单位未捐",
        "只剩((单位名称))未捐",
    ],
)
def test_a_unit_that_has_not_given_is_not_singled_out(said: str):
    assert any("点出" in text for text in problems(Channel.EMAIL, f"{said}。自愿"))


def test_who_is_the_last_to_hand_in_a_form_is_warned_of():
    body = "全市仅剩贵单位的登记表还没有收到。自愿"
    assert problems(Channel.EMAIL, body) == []
    assert any("点名" in text for text in warnings(Channel.EMAIL, body))


@pytest.mark.parametrize(
    "said",
    [
        "以下单位已经捐款：市财政局、市审计局",
        "以下单位尚未报送联络员",
        "以下单位未领取捐赠票据：市财政局",
        "我们暂时没有查到贵单位的捐款",
        "只有贵单位有意参加，我们才上门介绍",
        "只剩三天，仅剩最后一个名额",
        "以下单位不捐款也请告知",
    ],
)
def test_other_lists_and_what_concerns_the_reader_alone_are_let_through(said: str):
    body = f"{said}。自愿"
    assert problems(Channel.EMAIL, body) == []
    assert warnings(Channel.EMAIL, body) == []


def test_the_sentence_before_excuses_no_sum():
    assert problems(Channel.EMAIL, "善款用于资助学生。每人100元。自愿")


@pytest.mark.parametrize(
    "said",
    [
        "未捐单位将通报",
        "未捐款单位将予以通报",
        "未捐款的单位，将予以通报",
        "未按时捐款的一律曝光",
        "没有捐款的单位名单附后",
        "不捐款就公布名单",
        "公布未捐名单",
        "公示没有捐款的单位",
        "捐款情况列入考核",
        "纳入绩效",
        "作为年度评优的依据",
        "与评优挂钩",
        "同年度考核、奖金挂钩",
        "取消评优资格",
        "对落后单位追责、约谈",
        "对不把捐款当回事的单位通报批评",
        "未捐款的单位将向市委市政府报告",
        "没有捐款的单位一律上报市领导",
        "捐款情况与文明单位评选挂钩",
        "捐款情况作为文明单位创建的依据",
        "捐款情况报市委督查室",
        "认捐情况将向市纪委通报",
    ],
)
def test_threats_are_refused(said: str):
    assert any("相威胁" in text for text in problems(Channel.EMAIL, f"今年{said}。自愿"))


@pytest.mark.parametrize(
    "said",
    [
        "捐款情况不列入考核，不纳入绩效，不与评优挂钩",
        "不将捐款情况与评优挂钩",
        "捐与不捐不会影响评优、晋升",
        "是否参加与评优不挂钩",
        "不公布未捐名单，不予公布未捐单位",
        "未捐款的单位不通报、不排名",
        "未捐单位名单一律不公布",
        "不对未捐款单位通报",
        "捐款单位名单将向社会公示",
        "如没有收到捐款名单，请告知",
        "未捐单位请报联络员名单",
        "请预约谈话时间",
        "作为文明单位，贵单位一直支持慈善",
        "捐款情况不与文明单位评选挂钩",
        "捐款情况不报市委督查室",
        "未捐款的单位不向任何领导报告",
        "请将捐款情况报慈善总会",
        "未捐款的单位，如有意参加请报总会",
    ],
)
def test_promises_and_lists_are_no_threats(said: str):
    assert problems(Channel.EMAIL, f"今年{said}。自愿") == []


@pytest.mark.parametrize(
    "said",
    [
        "从工资中代扣",
        "工资代扣",
        "统一从工资扣除",
        "由单位从本人当月工资中统一扣款",
        "由财务代扣一天工资",
        "从绩效奖金里划扣",
    ],
)
def test_gifts_taken_from_wages_are_refused_but_where_people_choose_it(said: str):
    (problem,) = problems(Channel.EMAIL, f"今年{said}。捐赠自愿。")
    assert "工资里扣" in problem
    assert problems(Channel.EMAIL, f"如自愿委托单位，可{said}。") == []
    assert any("单位不能统一" in text for text in warnings(Channel.EMAIL, f"如自愿，可{said}。"))


@pytest.mark.parametrize(
    "said",
    [
        "严禁从工资中代扣",
        "不得统一从工资扣除",
        "未经本人同意，不得从职工工资中代扣",
        "凭票据可在工资薪金所得个人所得税前扣除",
        "公益捐赠支出可以在工资薪金所得中扣除",
        "捐出一天工资",
    ],
)
def test_other_talk_of_wages_is_let_through(said: str):
    assert problems(Channel.EMAIL, f"今年{said}。") == []
    assert not any("工资" in text for text in warnings(Channel.EMAIL, f"自愿，今年{said}。"))


def test_what_is_looked_at_is_not_what_is_sent():
    body = "您 好：ＡＢＣ１００％，自 愿。"
    assert render(make_version(body), FIELDS).text == body


@pytest.mark.parametrize(
    "said", ["还没捐的抓紧", "尚未捐款的单位，请从速办理", "请足额缴清捐款", "请如数捐出"]
)
def test_hurry_is_warned_of(said: str):
    assert any("语气生硬" in text for text in warnings(Channel.EMAIL, f"今年{said}。自愿"))


@pytest.mark.parametrize("percent", ["100%", "100％", "百分之百"])
def test_a_share_that_leaves_nobody_out_is_warned_of(percent: str):
    assert any(percent in text for text in warnings(Channel.EMAIL, f"完成率{percent}。自愿"))


@pytest.mark.parametrize(
    "said",
    [
        "一定要捐款",
        "应当捐款",
        "应当带头捐款",
        "要求全员捐款",
        "确保人人捐款",
        "必捐",
        "均须捐款",
        "务请捐款",
        "全体干部必须捐款登记",
    ],
)
def test_demands_are_refused(said: str):
    assert any("要求对方捐款" in text for text in problems(Channel.EMAIL, f"今年{said}。自愿"))


@pytest.mark.parametrize(
    "said",
    [
        "不一定要捐款",
        "不要求全员捐款",
        "不必捐款，未必捐款，并非必捐，无须捐款",
        "应当尊重捐赠人的意愿",
        "应该捐多少由您决定",
        "应捐赠人要求，应当开具捐赠票据",
        "须捐款单位确认，见捐款须知",
        "务必携带捐款凭证",
        "款项全额交付受助人，足额到位",
        "贵单位已按时足额缴纳捐款，谢谢",
        "感谢贵单位如数捐出善款",
        "没有捐款也没关系，请抓紧时间报名参加义诊",
        "应当捐赠自愿，确保所有捐款用于救助",
        "要求各单位捐款信息公开，确保各单位捐款专款专用",
    ],
)
def test_what_asks_nobody_to_give_is_no_demand(said: str):
    assert problems(Channel.EMAIL, f"今年{said}。自愿") == []


@pytest.mark.parametrize("said", ["捐款情况将向市政府报告", "捐赠情况报送市委领导"])
def test_reports_to_superiors_are_warned_of(said: str):
    assert problems(Channel.EMAIL, f"{said}。自愿") == []
    assert any("上级" in text for text in warnings(Channel.EMAIL, f"{said}。自愿"))


def test_hard_words_are_only_warned_of():
    assert problems(Channel.EMAIL, "材料必须用黑色笔填写。捐赠自愿。") == []
    assert any("必须" in text for text in warnings(Channel.EMAIL, "材料必须盖章。捐赠自愿。"))


def test_an_email_without_the_voluntary_sentence_is_warned_of():
    assert any("自愿" in text for text in warnings(Channel.EMAIL, "您好，请与我们联系。"))
    assert warnings(Channel.EMAIL, POLITE) == []


@pytest.mark.parametrize("subject", ["", "甲\nBcc: x@y.example", "=?utf-8?q?x?=", "甲\x07"])
def test_dangerous_and_empty_subjects_are_refused(subject: str):
    assert problems(Channel.EMAIL, POLITE, subject)


@pytest.mark.parametrize(
    "body",
    [
        "请为困难家庭捐款",
        "登记表见 https://a.example",
        "登记表见 www.a.cn",
        "请致电13800001234",
        "请致电0734-8812345",
        "请为困难家庭捐 款",
        "请为困难家庭捐\u00ad款",
        "登记表见 ｗｗｗ．ａ．ｃｏｍ",
        "登记表见 ｈｔｔｐｓ：／／ａ．ｅｘａｍｐｌｅ",
        "登记表见ａ．ｃｎ",
        "请致电１３８００００００００",
        "请致电138\u00ad0000\u00ad0000",
        "请致电138  0000　0000",
        "请致电０７３４－８８１２３４５",
        "请致电0734—8812345",
        "请致电（0734）8812345",
        "请致电+8613800001234",
        "((单位名称))上年度((上年度捐款))",
        "请联系((劝募人电话))",
        "",
    ],
)
def test_what_providers_ban_from_text_messages_is_refused(body: str):
    assert problems(Channel.SMS, body)


@pytest.mark.parametrize(
    "body",
    [
        "请先自行募\n捐出的物资请登记",
        "会议3楼 1380 号，共1 3人",
        "时间：2026年11月27日 9:00—11:30，共2.5 小时。",
    ],
)
def test_a_work_notice_stays_one(body: str):
    assert problems(Channel.SMS, body) == []


def test_segments_count_the_signature():
    signature = "【慈善总会】"
    assert rendering.segments("字" * 64, signature) == 1
    assert rendering.segments("字" * 65, signature) == 2
    assert rendering.segments("字" * (134 - 6), signature) == 2
    assert rendering.segments("字" * (135 - 6), signature) == 3


def test_a_text_message_of_two_parts_is_warned_of():
    assert any("2 条" in text for text in warnings(Channel.SMS, "通知" * 40))
    assert warnings(Channel.SMS, "请于月底前报送登记表。") == []


def test_default_templates_pass_the_check_without_a_finding(app: Flask):
    for template in wordings.DEFAULT_TEMPLATES:
        findings = lint(template.channel, template.subject, template.body)
        assert [f for f in findings if f.severity is not Severity.HINT] == [], template.name
        version = make_version(template.body, template.subject, template.channel)
        assert "((" not in render(version, FIELDS).text
