"""Builds the weekly digest: once per campaign and ISO week, whoever asks and however often."""

from datetime import date, datetime, timedelta

from outreach import clock
from outreach.campaigns.models import Campaign
from outreach.db import insert_new
from outreach.digests.figures import Figures
from outreach.digests.models import Digest
from outreach.digests.queries import find_digest, list_recipients, read_week
from outreach.digests.rendering import render_group_digest, render_mail, render_progress
from outreach.messages import instance, robots
from outreach.messages.models import Channel, Purpose, WecomRobot
from outreach.messages.queueing import queue_message

WEEK = timedelta(days=7)


def build_digest(campaign: Campaign, day: date) -> Digest | None:
    """Stores the digest of the week that holds `day` and queues it for the secretariat and
    for groups.

    It reports on the week before. None when that week has its digest already, or when the
    campaign has no week behind it yet. After the commit call `jobs.wake("deliver")`.
    """
    number = week_number(campaign, day)
    if number < 1 or find_digest(campaign, day):
        return None
    monday = clock.monday_of(day)
    year, week, _weekday = monday.isocalendar()
    figures = read_week(campaign, monday, find_digest(campaign, monday - WEEK))
    is_first = insert_new(
        Digest,
        [
            {
                "campaign_id": campaign.id,
                "iso_year": year,
                "iso_week": week,
                "number": number,
                "built_at": clock.now(),
                "figures": figures.model_dump(mode="json"),
            }
        ],
        ["campaign_id", "iso_year", "iso_week"],
    )
    digest = find_digest(campaign, day)
    if not is_first or digest is None:
        return None
    _queue_mail(digest)
    _queue_for_groups(digest)
    return digest


def may_be_out(campaign: Campaign, day: date) -> bool:
    """Whether the digest of the week that holds `day` may have gone out though there is none: the
    database was restored in that week. Then a person builds it, or nobody."""
    restored_at = instance.restored_at()
    return (
        restored_at is not None
        and restored_at >= clock.start_of(clock.monday_of(day))
        and week_number(campaign, day) >= 1
        and find_digest(campaign, day) is None
    )


def week_number(campaign: Campaign, day: date) -> int:
    """Weeks of the campaign that have ended when `day` comes, counted from that of its start."""
    return (clock.monday_of(day) - clock.monday_of(campaign.starts_on)) // WEEK


def _queue_mail(digest: Digest) -> None:
    mail = render_mail(digest)
    for user in list_recipients():
        queue_message(
            purpose=Purpose.DIGEST,
            channel=Channel.EMAIL,
            occurrence=f"digest:{digest.id}:{user.id}",
            address=user.email,
            recipient_name=user.name,
            subject=mail.subject,
            body_text=mail.text,
            body_html=mail.html,
            campaign_id=digest.campaign_id,
            not_after=_end_of_week(digest),
        )


def _queue_for_groups(digest: Digest) -> None:
    """The short digest to the secretariat's groups, and to the group of each sector in which
    somebody gave how far it has come."""
    sectors = {
        sector.sector_id: sector for sector in Figures.model_validate(digest.figures).sectors
    }
    for robot in robots.list_for_campaign(digest.campaign_id):
        sector = sectors.get(robot.sector_id or 0)
        if robot.sector_id is None:
            _queue_for_group(
                digest, robot, f"周报 第 {digest.number} 期", render_group_digest(digest)
            )
        elif sector is not None and sector.given_count:
            title = f"{sector.name}进展 第 {digest.number} 期"
            _queue_for_group(digest, robot, title, render_progress(digest, sector))


def _queue_for_group(digest: Digest, robot: WecomRobot, subject: str, text: str) -> None:
    queue_message(
        purpose=Purpose.DIGEST,
        channel=Channel.WECOM,
        occurrence=f"digest:{digest.id}:{robot.address}",
        address=robot.address,
        recipient_name=robot.name,
        subject=subject,
        body_text=text,
        campaign_id=digest.campaign_id,
        not_after=_end_of_week(digest),
    )


def _end_of_week(digest: Digest) -> datetime:
    next_monday = clock.monday_of(clock.day_of(digest.built_at)) + WEEK
    return clock.start_of(next_monday)
