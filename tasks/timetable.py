"""What runs when. Times are those of Asia/Shanghai, wherever the machine is.

Days of the week go by name: APScheduler counts from Monday = 0, crontab from Sunday = 0.
"""

from datetime import timedelta

from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.cron import CronTrigger
from flask_babel import lazy_gettext as _

from outreach import clock
from outreach.jobs import Job, Wake


def _at(**fields: str | int) -> CronTrigger:
    return CronTrigger(timezone=clock.SHANGHAI, **fields)


TIMETABLE = (
    Job(
        name="deliver",
        label=_("发送到期的消息"),
        rhythm=_("每 30 秒"),
        trigger=_at(second="0,30"),
        grace=timedelta(seconds=29),
        is_sweep=True,
    ),
    Job(
        name="reap",
        label=_("清理超时和过期的消息"),
        rhythm=_("每分钟"),
        trigger=_at(minute="*"),
        grace=timedelta(seconds=59),
        is_sweep=True,
    ),
    Job(
        name="inquire",
        label=_("向短信平台查询不明的结果"),
        rhythm=_("每分钟"),
        trigger=_at(minute="*"),
        grace=timedelta(seconds=59),
        is_sweep=True,
    ),
    Job(
        name="start_waves",
        label=_("启动到点的提醒批次"),
        rhythm=_("每分钟"),
        trigger=_at(minute="*"),
        grace=timedelta(seconds=59),
        is_sweep=True,
    ),
    Job(
        name="fall_back",
        label=_("发送失败的改用另一渠道"),
        rhythm=_("每分钟"),
        trigger=_at(minute="*"),
        grace=timedelta(seconds=59),
        is_sweep=True,
    ),
    Job(
        name="read_bounces",
        label=_("读取退信"),
        rhythm=_("每 5 分钟"),
        trigger=_at(minute="*/5"),
        grace=timedelta(minutes=4, seconds=59),
        is_sweep=True,
    ),
    Job(
        name="erase_expired",
        label=_("清除不再保存的个人信息"),
        rhythm=_("每天 03:20"),
        trigger=_at(hour=3, minute=20),
        grace=timedelta(hours=20),
    ),
    Job(
        name="propose_visits",
        label=_("提出回访建议"),
        rhythm=_("每天 07:00"),
        trigger=_at(hour=7),
        grace=timedelta(hours=16),
    ),
    Job(
        name="run_rules",
        label=_("运行自动规则"),
        rhythm=_("工作日 07:10"),
        # Every day: which days are working days is the calendar's to say, make-up days too.
        trigger=_at(hour=7, minute=10),
        grace=timedelta(hours=15, minutes=50),
    ),
    Job(
        name="plan_week",
        label=_("编排周计划"),
        rhythm=_("每天 07:20"),
        # After proposals and rules: whoever is about to be called is not visited.
        trigger=_at(hour=7, minute=20),
        grace=timedelta(hours=15, minutes=40),
    ),
    Job(
        name="build_digests",
        label=_("生成周报"),
        rhythm=_("每周一 07:30"),
        trigger=_at(day_of_week="mon", hour=7, minute=30),
        # To the end of Sunday: after that the week's digest would tell of another week.
        grace=timedelta(days=6, hours=16, minutes=29),
    ),
)


def schedule(scheduler: BaseScheduler, wake: Wake) -> None:
    """Puts the timetable into a scheduler. Who claims a run is decided where the task runs, so
    the clock only wakes: a second clock, or a call that is lost on the way, does no harm."""
    for job in TIMETABLE:
        scheduler.add_job(wake, job.trigger, args=[job.name], id=job.name)
    scheduler.add_job(catch_up, _at(minute=50), args=[wake], id="catch_up")
    scheduler.add_job(catch_up, args=[wake], id="catch_up_at_start")


def catch_up(wake: Wake) -> None:
    """Wakes every job that runs once for each time it is due: one that was missed, failed or lost
    on the way runs now; the others find their run taken."""
    for job in TIMETABLE:
        if not job.is_sweep:
            wake(job.name)


SCHEDULER_OPTIONS = {
    "timezone": clock.SHANGHAI,
    # A late run is a run: what is due is read from the database, however late.
    "job_defaults": {"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
}
