"""What the audit trail's codes mean. A test finds the code that somebody forgot to name here."""

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

ACTIONS: dict[str, LazyString] = {
    "sign_in.user": _("登录"),
    "sign_out.user": _("退出登录"),
    "fail.sign_in": _("登录失败"),
    "change.password": _("设置密码"),
    "create.user": _("新建用户"),
    "change.user": _("修改用户"),
    "invite.user": _("生成邀请链接"),
    "create.contact": _("添加联系人"),
    "change.contact": _("修改联系人"),
    "end.contact": _("修改联系人截止日"),
    "reveal.contact": _("查看联系方式"),
    "create.unit": _("新建单位"),
    "import.units": _("导入单位名册"),
    "import.gifts": _("导入到账明细"),
    "edit.campaign": _("修改活动设置"),
    "change.stage": _("修改进展"),
    "plan.next_action": _("安排下一步"),
    "solicitations.solicitor": _("批量分配责任人"),
    "solicitations.next_action": _("批量安排下一步"),
    "record.gift": _("登记到账"),
    "reverse.gift": _("冲销到账"),
    "record.pledge": _("登记认捐"),
    "plan.visit": _("安排走访"),
    "confirm.visit": _("确认走访"),
    "move.visit": _("改期走访"),
    "drop.visit": _("取消走访"),
    "log.visit": _("登记走访结果"),
    "create.meeting": _("新建会议"),
    "edit.meeting": _("修改会议"),
    "cancel.meeting": _("取消会议"),
    "invite.meeting": _("邀请参会"),
    "notify.meeting": _("发送会议通知"),
    "hold.meeting": _("会议结束"),
    "write.minutes": _("填写会议纪要"),
    "answer.attendee": _("登记参会回执"),
    "remove.attendee": _("移除参会人"),
    "sign_in.attendee": _("会议签到"),
    "undo_sign_in.attendee": _("撤销签到"),
    "create.action_item": _("新建待办"),
    "complete.action_item": _("完成待办"),
    "reopen.action_item": _("重新打开待办"),
    "create.wave": _("新建提醒批次"),
    "update.wave": _("修改提醒批次"),
    "submit.wave": _("提交审批"),
    "return.wave": _("退回提醒批次"),
    "approve.wave": _("批准提醒批次"),
    "start.wave": _("开始发送"),
    "hold.wave": _("暂缓发送"),
    "pause.wave": _("暂停发送"),
    "resume.wave": _("继续发送"),
    "cancel.wave": _("取消提醒批次"),
    "change.calendar": _("填写特殊日期"),
    "restore.calendar": _("撤销特殊日期"),
    "confirm.calendar": _("确认年度节假日"),
    "withdraw.calendar": _("撤回节假日确认"),
}

SUBJECTS: dict[str, LazyString] = {
    "user_account": _("用户"),
    "contact": _("联系人"),
    "unit": _("单位"),
    "import_batch": _("导入"),
    "campaign": _("活动"),
    "solicitation": _("劝募"),
    "gift": _("到账"),
    "pledge": _("认捐"),
    "visit": _("走访"),
    "meeting": _("会议"),
    "attendee": _("参会人"),
    "action_item": _("待办"),
    "wave": _("提醒批次"),
    "message": _("消息"),
    "template": _("模板"),
    "send_policy": _("发送设置"),
    "sending_window": _("发送时段"),
    "digest": _("周报"),
    "calendar_day": _("日期"),
    "calendar_year": _("年度"),
}


def describe_action(code: str) -> str:
    return str(ACTIONS.get(code, code))


def describe_subject(subject: str) -> str:
    """«联系人 12» from «contact:12»."""
    table, _colon, key = subject.partition(":")
    return f"{SUBJECTS.get(table, table)} {key}".strip()
