"""Personal data that is not kept any longer."""

from flask import current_app

from outreach.db import db
from outreach.privacy.services import erase_those_who_left, sweep_letters
from tasks.queue import celery


@celery.task(name="outreach.erase_contacts")
def erase_contacts() -> str:
    swept = sweep_letters()
    db.session.commit()
    years = current_app.extensions["outreach.settings"].keep_contacts_years
    if not years:
        detail = "没有设置保存年限"
    else:
        erased, waiting = erase_those_who_left(years, basis=f"离任满 {years} 年")
        detail = f"删除 {erased} 位离任满 {years} 年的联系人的个人信息"
        detail += f"，{waiting} 位有结果不明的消息，暂缓" if waiting else ""
    return detail + (f"；补清 {swept} 条消息" if swept else "")
