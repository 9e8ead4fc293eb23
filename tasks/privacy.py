"""Personal data that is not kept any longer."""

from flask import current_app

from outreach.db import db
from outreach.privacy.services import erase_those_who_left, sweep_letters
from outreach.spreadsheets import uploads
from outreach.visits import photos
from tasks.queue import celery


@celery.task(name="outreach.erase_expired")
def erase_expired() -> str:
    uploads.remove_stale()
    told = []
    if orphans := photos.remove_orphans():
        told.append(f"删除 {orphans} 张没有走访的照片")
    if swept := sweep_letters():
        told.append(f"补清 {swept} 条消息")
    db.session.commit()
    if years := current_app.extensions["outreach.settings"].keep_contacts_years:
        erased, waiting = erase_those_who_left(years, basis=f"离任满 {years} 年")
        told.append(f"删除 {erased} 位离任满 {years} 年的联系人的个人信息")
        if waiting:
            told.append(f"{waiting} 位有结果不明的消息，暂缓")
    else:
        told.append("没有设置联系人的保存年限")
    return "；".join(told)
