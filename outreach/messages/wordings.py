"""The wordings that a new office starts with."""

from dataclasses import dataclass

from outreach.messages.models import Channel


@dataclass(frozen=True)
class DefaultTemplate:
    name: str
    channel: Channel
    subject: str
    body: str


DEFAULT_TEMPLATES = (
    DefaultTemplate(
        name="活动联系函",
        channel=Channel.EMAIL,
        subject="关于((活动名称))的工作联系",
        body="""\
((联系人))((称谓))，您好：

((活动名称))正在开展，将于((截止日期))结束。感谢((单位名称))一直以来对慈善事业的关心和支持。

如贵单位有意参加，请回复本邮件告知大致安排，我们可以上门介绍项目、协助办理手续和开具票据。捐赠完全自愿，金额和方式由贵单位自行决定；如今年不便参加，也请告知一声，我们不再打扰。

如已办理，请忽略此信，并再次致谢。

((总会名称))
联系人：((劝募人))""",
    ),
    DefaultTemplate(
        name="致上年度参加的单位",
        channel=Channel.EMAIL,
        subject="感谢上年度支持，((活动名称))进展与联系",
        body="""\
((联系人))((称谓))，您好：

上年度((单位名称))通过慈善一日捐捐出((上年度捐款))，帮助了许多有困难的家庭，谨向贵单位全体同志表示衷心感谢。

今年的((活动名称))将于((截止日期))结束。捐赠完全自愿，是否参加、捐多捐少都由贵单位自行决定。如今年有安排，请回复本邮件，我们会安排专人上门服务；如有不便，也请放心告知。

((总会名称))
联系人：((劝募人))""",
    ),
    DefaultTemplate(
        name="登记表报送通知",
        channel=Channel.SMS,
        subject="",
        body="((联系人))您好：请于((截止日期))前报送((单位名称))联络登记表，如已报送请忽略。谢谢支持。",
    ),
    DefaultTemplate(
        name="认捐到账核对",
        channel=Channel.EMAIL,
        subject="((活动名称))认捐款项核对",
        body="""\
((联系人))((称谓))，您好：

感谢((单位名称))支持((活动名称))。贵单位曾登记自愿认捐((认捐金额))，我们这边暂时没有查到这笔款项，特来信核对。

如款项已经汇出，请把汇款日期告诉我们，便于查找和开具票据，并请原谅打扰。如安排有变化，也请告知一声，我们及时更正登记。

((总会名称))
联系人：((劝募人))""",
    ),
    DefaultTemplate(
        name="感谢信",
        channel=Channel.EMAIL,
        subject="感谢((单位名称))支持((活动名称))",
        body="""\
((联系人))((称谓))，您好：

((单位名称))自愿捐赠的((本次捐款))已于((到账日期))到账，谨向贵单位全体同志表示衷心感谢。

善款的使用情况将按规定公开。捐赠票据如需邮寄或补开，请回复本邮件告知，我们尽快办理。

((总会名称))
联系人：((劝募人))""",
    ),
    DefaultTemplate(
        name="联络信息核对函",
        channel=Channel.EMAIL,
        subject="请核对((单位名称))的联络员",
        body="""\
((联系人))((称谓))，您好：

((活动名称))将于((开始日期))开始。为了不打扰到不相关的同志，请您用一两分钟核对((单位名称))的联络员、分管领导和人数：

((核对链接))

如联络工作已交给其他同志，也请在这个网页上写明，我们以后与接手的同志联系。网页供贵单位使用，请不要转发到单位以外；不便打开的，直接回复本邮件告知即可。

这里只核对由谁联络。捐赠完全自愿，与是否核对无关。

((总会名称))
联系人：((劝募人))""",
    ),
)
"""Polite, voluntary, without ranking; the text message is a work notice and no appeal."""
