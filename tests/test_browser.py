"""The story of the main job, clicked through in a real browser, at desktop and at phone width.

The application is started as `make run` does it, in an empty directory. Pictures go to
docs/screenshots with KEEP_SCREENSHOTS=1.
"""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import url_for

from app import create_app
from outreach.accounts.models import User
from outreach.campaigns.models import Sector, Solicitation
from outreach.campaigns.queries import list_running_campaigns
from outreach.db import db
from outreach.demo.accounts import PASSWORD
from outreach.relay import links
from outreach.reminders import services
from outreach.reminders.audience import AudienceFilter
from tests.conftest import make_settings
from tests.factories import make_contact, make_picture, make_solicitation, make_unit
from tests.office import make_csv
from tests.services import PATIENCE, free_port, wait_until
from tests.test_waves import make_wave

# What is cut off by its table, card or box of choice, and dates and numbers that break.
FIND_FLAWS = r"""() => {
  const flaws = [], pen = document.createElement('canvas').getContext('2d');
  for (const table of document.querySelectorAll('.table-responsive'))
    if (table.scrollWidth > table.clientWidth + 1)
      flaws.push(`table is ${table.scrollWidth} wide of ${table.clientWidth}`);
  for (const table of document.querySelectorAll('.card > table'))
    if (table.offsetWidth > table.parentElement.offsetWidth)
      flaws.push(`table is ${table.offsetWidth} wide of ${table.parentElement.offsetWidth}`);
  // The reason of a change may be a sentence.
  for (const select of document.querySelectorAll('select:not([name=reason])')) {
    const style = getComputedStyle(select), text = select.selectedOptions[0]?.text ?? '';
    const padding = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
    pen.font = style.font;
    if (select.checkVisibility() && pen.measureText(text).width + padding > select.clientWidth + 1)
      flaws.push(`choice: ${text}`);
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { parentElement } = texts.currentNode, text = texts.currentNode.data.trim();
    const card = parentElement.closest('.card');
    if (!card || !text || !parentElement.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(texts.currentNode);
    const lines = [...range.getClientRects()].filter(line => line.width);
    let box = parentElement;
    while (box !== card && getComputedStyle(box).overflowX === 'visible') box = box.parentElement;
    const right = card.getBoundingClientRect().right;
    if (box === card && lines.some(line => line.right > right))
      flaws.push(`leaves its card: ${text}`);
    if (/^[\d.,/:\s-]+$/.test(text) && new Set(lines.map(line => Math.round(line.top))).size > 1)
      flaws.push(`breaks: ${text}`);
  }
  return flaws;
}"""

ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium")
KEEPS_SCREENSHOTS = os.environ.get("KEEP_SCREENSHOTS") == "1"
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"),
        reason="chromium is missing: apt-get install chromium fonts-noto-cjk",
    ),
]


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="session")
def address(data_dir: Path) -> Iterator[str]:
    """The application as `make run` starts it, in a directory of its own."""
    port = free_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OUTREACH_", "DATABASE_URL", "REDIS_URL"))
    } | {
        "FLASK_APP": "app",
        "OUTREACH_DATA_DIR": str(data_dir),
        "OUTREACH_PORT": str(port),
        "OUTREACH_PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "flask", "serve", "--demo"], cwd=ROOT, env=environment
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/readyz"))
        yield url
    finally:
        server.terminate()
        server.wait(PATIENCE)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Person:
    """Somebody who is signed in at a screen; whatever the console complains about is kept."""

    def __init__(self, browser, address: str, username: str, size: dict[str, int]) -> None:
        self.complaints: list[str] = []
        self.size = size
        self.context = browser.new_context(
            viewport=size, locale="zh-CN", timezone_id="Asia/Shanghai", base_url=address
        )
        self.page = self.context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.page.on("request", lambda request: self._check_origin(request.url, address))
        self.page.goto("/login")
        self.page.get_by_label("用户名").fill(username)
        self.page.get_by_label("密码").fill(PASSWORD)
        self.page.get_by_role("button", name="登录").click()
        self.page.wait_for_url("**/c/**")

    def _note(self, message) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def _check_origin(self, url: str, address: str) -> None:
        if not url.startswith((address, "data:", "blob:")):
            self.complaints.append(f"request to the outside: {url}")

    def check_width(self) -> None:
        self.page.wait_for_load_state("networkidle")
        self.check_layout(self.size)

    def check_layout(self, size: dict[str, int]) -> None:
        width = self.page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"], f"{self.page.url} is {width} wide"
        flaws = self.page.evaluate(FIND_FLAWS)
        assert flaws == [], f"{self.page.url} at {size['width']}"

    def picture(self, name: str, *, is_whole_page: bool = False) -> None:
        """Checks that the page fits its width; keeps the picture when asked to."""
        self.check_width()
        if KEEPS_SCREENSHOTS:
            kind = "phone" if self.size is PHONE else "desktop"
            self.page.screenshot(
                path=ROOT / "docs" / "screenshots" / f"{name}-{kind}.png",
                full_page=is_whole_page,
            )

    def leave(self) -> None:
        self.context.close()
        assert self.complaints == []


@pytest.fixture
def sit_down(browser, address: str):
    """`sit_down("staff1", PHONE)`; everybody leaves at the end, without complaints."""
    people: list[Person] = []

    def sit_down(username: str, size: dict[str, int]) -> Person:
        people.append(Person(browser, address, username, size))
        return people[-1]

    yield sit_down
    for person in people:
        person.leave()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_main_job_from_the_outstanding_list_to_the_digest(sit_down, size):
    staff = sit_down("staff1", size)
    campaign = staff.page.url
    see_what_is_outstanding(staff)
    administrator = sit_down("admin", size)
    allow_a_second_reminder_on_one_day(administrator)
    wave = submit_a_wave(staff, campaign)
    approve_and_watch_it_arrive(sit_down("secretary", size), administrator, wave)
    log_a_visit(staff, campaign)
    read_the_digest(sit_down("secretary", size), campaign)


def see_what_is_outstanding(staff: Person) -> None:
    page = staff.page
    page.wait_for_selector("[data-chart] svg")
    assert "进度滞后的板块" in page.content()
    staff.picture("dashboard")
    page.goto(page.url + "worklist")
    assert page.locator("tbody tr").count() == 50
    staff.picture("worklist")
    page.goto(page.url.replace("worklist", "sectors"))
    staff.picture("sectors")


def allow_a_second_reminder_on_one_day(administrator: Person) -> None:
    """The story is told at two widths."""
    page = administrator.page
    page.goto("/messages/sending")
    page.get_by_label("同一单位两次提醒至少隔").fill("0")
    page.get_by_role("button", name="保存上限").click()
    page.get_by_role("alert").wait_for()


def submit_a_wave(staff: Person, campaign: str) -> str:
    """A reminder to the lagging sectors, up to the point where somebody else must agree."""
    page = staff.page
    page.goto(campaign)
    page.get_by_role("link", name="提醒滞后板块").click()
    page.wait_for_selector("#audience .figure")
    page.get_by_label("名称").fill(f"滞后板块提醒 {staff.size['width']}")
    page.get_by_role("button", name="保存并预览").click()
    page.get_by_role("button", name="提交审批").wait_for()
    staff.picture("wave-preview")
    page.get_by_role("button", name="提交审批").click()
    page.get_by_text("已提交").wait_for()
    assert page.get_by_role("button", name="批准", exact=True).count() == 0, "not by the author"
    return page.url


def approve_and_watch_it_arrive(secretary: Person, administrator: Person, wave: str) -> None:
    secretary.page.goto(wave)
    secretary.picture("wave-approval")
    secretary.page.get_by_role("button", name="批准", exact=True).click()
    secretary.page.locator(".page-title", has_text="已完成").wait_for(timeout=60_000)
    secretary.picture("wave-finished")
    sent = secretary.page.locator(".bar-legend", has_text="已发出").inner_text()
    assert int(re.search(r"已发出\s*(\d+)", sent).group(1)) > 20
    administrator.page.goto("/messages/local-outbox")
    administrator.page.get_by_text("工作联系").first.wait_for()
    administrator.picture("local-outbox")


def log_a_visit(staff: Person, campaign: str) -> None:
    """In three taps, and the follow-up is there."""
    page = staff.page
    page.goto(f"{campaign}my-day")
    staff.picture("my-day")
    page.get_by_role("link", name="登记走访").first.click()
    unit = page.locator(".page-pretitle a").inner_text()
    page.get_by_text("请再次走访").click()
    page.get_by_label("下次").fill(next_workday())
    staff.picture("visit-log")
    page.get_by_role("button", name="保存").click()
    page.get_by_role("alert").wait_for()
    page.goto(f"{campaign}search?q={unit}")
    page.get_by_role("link", name=unit).first.click()
    page.get_by_text("走访：请再次走访").wait_for()
    assert page.locator(".timeline-ahead").count() >= 1, "the follow-up visit is planned"
    staff.picture("unit")


def read_the_digest(secretary: Person, campaign: str) -> None:
    secretary.page.goto(f"{campaign}digests")
    secretary.page.get_by_role("link", name=re.compile("第 .* 期")).first.click()
    secretary.page.get_by_text("总额").first.wait_for()
    secretary.picture("digest", is_whole_page=True)


def next_workday() -> str:
    from datetime import timedelta

    from outreach import clock

    day = clock.today() + timedelta(days=1)
    while day.weekday() > 4:
        day += timedelta(days=1)
    return day.isoformat()


PAGES = """
/c/2023/ /c/{code}/meetings /c/{code}/waves /c/{code}/visits /c/{code}/gifts /c/{code}/gifts/new
/c/{code}/digests /c/{code}/search /messages /templates /messages/sending /messages/local-outbox
/c/{code}/todos /c/{code}/todos?view=done
/c/{code}/gifts/remittance /c/{code}/gifts/count /c/{code}/gifts/counts
/settings/ /settings/calendar /settings/timetable /settings/audit /settings/users
""".split()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_other_page_opens_and_fits(sit_down, size):
    administrator = sit_down("admin", size)
    code = administrator.page.url.split("/c/")[1].strip("/")
    for path in PAGES:
        answer = administrator.page.goto(path.format(code=code))
        assert answer.status == 200, path
        administrator.check_width()


MORE_PAGES = """
/c/{code}/ /c/{code}/sectors /c/{code}/worklist /c/{code}/digests/1 /c/{code}/waves/1
/c/{code}/meetings/2 /c/{code}/gifts/lines /c/{code}/gifts/comparison
/c/{code}/gifts/without-line /c/{code}/receipts /settings/staffing
""".split()


def test_no_page_is_cut_off_in_english(sit_down):
    """English words are longer than Chinese ones."""
    administrator = sit_down("admin", PHONE)
    page = administrator.page
    code = page.url.split("/c/")[1].strip("/")
    with page.expect_navigation():
        page.locator("[name=language]").dispatch_event("click")
    assert page.locator("html").get_attribute("lang") == "en"
    for path in [*PAGES, *MORE_PAGES]:
        answer = page.goto(path.format(code=code))
        assert answer.status == 200, path
        for size in (DESKTOP, PHONE):
            page.set_viewport_size(size)
            administrator.check_layout(size)


def test_counted_money_is_entered_without_a_mouse(sit_down):
    """Enter leads from what was counted through unit and amount to the next row, and what was
    typed outlives a page that was left."""
    page = sit_down("staff1", DESKTOP).page
    page.goto(f"{page.url}gifts/count")
    page.keyboard.type("11")
    page.keyboard.press("Enter")
    page.keyboard.type("1,100.5")
    page.keyboard.press("Enter")
    for amount in [*["100"] * 10, "100.50"]:
        page.keyboard.type("jyj")
        page.locator("[role=listbox]:not([hidden]) [role=option]").first.wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.keyboard.type(amount)
        page.keyboard.press("Enter")
    assert page.locator("[data-difference]").inner_text() == "0"
    page.reload()
    page.get_by_text("已恢复上次填写").wait_for()
    assert page.locator("[data-entered]").inner_text() == "1,100.50"
    page.locator("[data-amount]").last.press("Control+Enter")
    page.get_by_text("已登记 11 笔，共 1,100.50 元").wait_for()
    page.wait_for_load_state()  # nobody leaves before the page is there
    page.goto(page.url.split("/gifts/")[0] + "/gifts/count")
    assert page.locator("[data-draft-note]").is_hidden(), "what was recorded is no draft"


def test_a_visit_is_logged_without_a_network_and_arrives_once(sit_down, record_property):
    staff = sit_down("staff2", PHONE)
    page = staff.page
    go_off_the_net(staff)
    began = time.monotonic()
    page.locator("a[data-log]").last.click()
    unit = page.locator(".page-pretitle a").inner_text()
    page.get_by_text("未见到负责人").click()
    photo = make_picture(size=(4000, 3000))
    page.locator("#photos").set_input_files({"name": "门口.jpg", "mimeType": "", "buffer": photo})
    page.locator("[data-chosen] canvas").wait_for()
    page.get_by_role("button", name="保存").click()
    page.get_by_text("有 1 次登记存在手机上").wait_for()
    record_property("seconds_in_three_taps", round(time.monotonic() - began, 1))
    staff.picture("my-day-offline")
    page.goto(page.url.replace("my-day", "worklist"))
    page.get_by_text("这一页没有存在手机上").wait_for()
    come_back(staff)
    page.goto("/my-day")
    page.get_by_text("走访已登记").wait_for()
    assert page.locator("#waiting").is_hidden()
    done = page.locator(".card", has_text="今天已走访").get_by_role("link", name=unit)
    assert done.count() == 1
    page.reload()
    assert done.count() == 1
    done.click()
    photo = page.locator(".photos img")
    photo.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    widths = photo.evaluate_all("photos => photos.map(photo => photo.naturalWidth)")
    assert widths == [1600], "it was made small, and arrived once"


def test_a_call_is_logged_without_a_network_and_arrives_once(sit_down):
    staff = sit_down("staff1", PHONE)
    page = staff.page
    go_off_the_net(staff)
    call = page.locator("article", has_text="打电话给联络员").first
    call.get_by_role("link", name="登记结果").click()
    unit = page.locator(".page-pretitle a").inner_text()
    page.get_by_text("转交或改期").wait_for(state="hidden")  # it needs the network
    page.get_by_label("备注").fill("说月底到账")
    page.get_by_role("button", name="有了答复").click()
    page.get_by_text("有 1 次登记存在手机上").wait_for()
    assert page.get_by_role("link", name="联网后提交").count() == 1
    staff.picture("my-day-call-offline")
    come_back(staff)  # the page sends by itself, and loads anew once all has arrived
    page.get_by_text("请接着记下谈的结果").wait_for()
    assert page.locator("#waiting").is_hidden()
    page.goto(page.url.replace("my-day", "todos?view=done"))
    done = page.locator("tr", has_text="说月底到账")
    assert unit in done.inner_text()
    assert done.count() == 1


def test_a_day_is_put_in_order_with_the_mouse_and_with_the_keyboard(sit_down):
    page = sit_down("staff2", DESKTOP).page
    page.goto(f"{page.url}plan")
    page.get_by_role("button", name="重新编排").click()
    page.get_by_text("已编排").wait_for(timeout=60_000)
    days = page.locator("[data-order]")
    number, before = next(
        (number, names)
        for number in range(days.count())
        if len(names := read_order(days.nth(number))) > 2
        and not re.search(r"\d:\d", "".join(names))
    )
    day = days.nth(number)
    day.locator("[data-grip]").nth(2).hover()
    page.mouse.down()
    above = day.locator("[data-stop]").first.bounding_box()
    page.mouse.move(above["x"] + 40, above["y"] + 2, steps=6)
    with page.expect_event("load"):
        page.mouse.up()
    assert read_order(day) == [before[2], *before[:2], *before[3:]]
    with page.expect_event("load"):
        day.get_by_role("button", name=f"下移：{before[2]}").press("Enter")
    with page.expect_event("load"):
        page.keyboard.press("Enter")  # the button has kept the focus
    assert read_order(day) == before


def read_order(day) -> list[str]:
    return day.locator("[data-stop] strong").all_inner_texts()


def test_of_two_who_log_one_visit_the_second_sees_both_versions(sit_down):
    staff, secretary = sit_down("staff3", PHONE), sit_down("secretary", DESKTOP)
    page = staff.page
    go_off_the_net(staff)
    link = page.locator("a[data-log]").last
    path = link.get_attribute("href")
    secretary.page.goto(path)
    secretary.page.get_by_text("未见到负责人").click()
    secretary.page.get_by_role("button", name="保存").click()
    secretary.page.get_by_text("走访已登记").wait_for()
    link.click()
    page.get_by_text("需研究后答复").click()
    page.get_by_label("备注").fill("下周上会")
    page.get_by_role("button", name="保存").click()
    page.get_by_text("有 1 次登记存在手机上").wait_for()
    come_back(staff)
    page.reload()
    page.locator("[data-open]").click(timeout=60_000)
    page.get_by_role("heading", name="现有记录").wait_for()
    shown = page.locator("main").inner_text()
    assert "未见到负责人" in shown
    assert "下周上会" in shown
    staff.picture("visit-conflict")
    page.get_by_role("button", name="另记一次走访").click()
    page.get_by_text("走访已登记").wait_for()
    page.goto("/my-day")
    page.locator(".card", has_text="今天已走访").get_by_text("下周上会").wait_for()
    page.locator("#waiting").wait_for(state="hidden")
    staff.complaints[:] = [text for text in staff.complaints if "409" not in text]


def go_off_the_net(staff: Person) -> None:
    """Once the phone has kept the day and its forms."""
    page = staff.page
    page.goto("/my-day")
    count = page.locator("a[data-log]").count() + 1
    kept = "caches.open('pages').then(pages => pages.keys()).then(kept => kept.length)"
    wait_until(lambda: page.evaluate(kept) == count)
    page.context.set_offline(True)
    page.goto("/my-day")


def come_back(staff: Person) -> None:
    staff.page.context.set_offline(False)
    staff.complaints[:] = [text for text in staff.complaints if "ERR_INTERNET" not in text]


def test_a_unit_names_its_new_coordinator_by_the_link_in_its_letter(
    browser, address: str, data_dir: Path, sit_down
):
    app = create_app(make_settings(f"sqlite:///{data_dir / 'outreach.db'}", data_dir))
    with app.app_context(), app.test_request_context(base_url=address):
        campaign = list_running_campaigns()[-1]
        solicitation = db.session.scalars(
            sa.select(Solicitation).filter_by(campaign_id=campaign.id, is_exempt=False).limit(1)
        ).one()
        unit, old = solicitation.unit, solicitation.unit.contacts[0]
        path = links.relay_link(campaign, [old]).partition("/confirm/")[2]
        where, name = f"/c/{campaign.code}/units/{unit.id}", old.name
        db.session.rollback()
    page = browser.new_page(viewport=PHONE, base_url=address)
    page.goto(f"/confirm/{path}")
    people = page.get_by_role("group", name="联络员")
    assert people.get_by_label("姓名").is_hidden()
    people.get_by_label("改由另一位同志负责").check()
    page.get_by_role("button", name="确认").click()
    people.get_by_text("请填写姓名。").wait_for()
    people.get_by_label("姓名").fill("新来的同志")
    people.get_by_label("手机号码").fill("13907341122")
    page.get_by_label("单位现有人数").fill("120")
    page.get_by_role("button", name="确认").click()
    page.get_by_text("谢谢，已经收到").wait_for()
    page.close()
    staff = sit_down("staff1", PHONE).page
    staff.goto(where)
    assert "新来的同志" in staff.locator("#contacts").inner_text()
    assert "已核对" in staff.locator("dl.facts").first.inner_text()
    staff.get_by_text("历任联系人").click()
    assert name in staff.locator("#contacts details").inner_text()


def test_whom_a_wave_missed_for_want_of_an_address_gets_it_once_there_is_one(
    address: str, data_dir: Path, sit_down
):
    app = create_app(make_settings(f"sqlite:///{data_dir / 'outreach.db'}", data_dir))
    with app.app_context(), app.test_request_context(base_url=address):
        campaign = list_running_campaigns()[-1]
        sector = db.session.scalars(sa.select(Sector).filter_by(campaign_id=campaign.id)).first()
        reached = make_solicitation(campaign, sector)
        unit = make_unit(name="衡阳市没有邮箱的单位")
        contact = make_contact(unit, email="", mobile="")
        missed = make_solicitation(campaign, sector, unit=unit)
        author = db.session.scalars(sa.select(User).filter_by(username="staff1")).one()
        audience = AudienceFilter(solicitation_ids=(reached.id, missed.id))
        wave = make_wave(campaign, author, audience=audience)
        services.submit_wave(wave, by=author)
        db.session.commit()
        where = url_for("reminders.wave", campaign_code=campaign.code, wave_id=wave.id)
        person = url_for("units.edit_contact", contact_id=contact.id)
    approve_and_wait(sit_down("secretary", DESKTOP).page, where)
    staff = sit_down("staff1", PHONE)
    page = staff.page
    page.goto(where)
    assert page.locator("#missed").count() == 0, "there is still no address"
    page.goto(person)
    page.get_by_label("邮箱").fill("new@unit.example")
    page.get_by_role("button", name="保存", exact=True).click()
    page.get_by_role("alert").wait_for()
    page.goto(where)
    assert "1 家单位当时没有收到，现在可以提醒" in page.locator("#missed").inner_text()
    staff.check_width()
    page.get_by_role("button", name="起草补发").click()
    page.get_by_role("button", name="提交审批").click()
    page.get_by_text("已提交").wait_for()
    assert page.url != where
    approve_and_wait(sit_down("secretary", PHONE).page, page.url)


def approve_and_wait(page, wave: str) -> None:
    """Exactly one message goes out."""
    page.goto(wave)
    page.get_by_role("button", name="批准", exact=True).click()
    page.locator(".page-title", has_text="已完成").wait_for(timeout=60_000)
    legend = page.locator(".bar-legend", has_text="已发出").inner_text()
    assert re.search(r"已发出\s*1\b", legend), legend


def test_the_bar_of_an_import_moves_with_it(sit_down):
    """While the browser waits for the next page it can be asked nothing: the page notes it."""
    page = sit_down("secretary", PHONE).page
    page.add_init_script(
        "setInterval(() => {"
        " const bar = document.querySelector('[data-progress]:not([hidden]) [role=progressbar]');"
        " if (bar) sessionStorage.seen = (sessionStorage.seen ?? '') + bar.ariaValueNow + ' ';"
        "}, 50)"
    )
    page.goto(f"{page.url}units/import")
    units = [["板块", "单位名称"], *(["教育系统", f"雁城市第{n}中学"] for n in range(8000))]
    file = {"name": "名册.csv", "mimeType": "text/csv", "buffer": make_csv(units).content}
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="上传并预览").click()
    page.get_by_role("button", name="确认导入").wait_for(timeout=60_000)
    check_bar(page, steps=1)  # half a second, where the machine is quick
    page.get_by_role("button", name="确认导入").click()
    page.get_by_text("已导入：新增 8000").wait_for(timeout=60_000)
    check_bar(page, steps=2)


def check_bar(page, *, steps: int) -> None:
    seen = [int(value) for value in page.evaluate("sessionStorage.seen").split()]
    assert seen == sorted(seen)
    assert len(set(seen)) > steps
    page.evaluate("sessionStorage.removeItem('seen')")


def test_the_interface_speaks_english_too(sit_down):
    auditor = sit_down("auditor", DESKTOP)
    auditor.page.get_by_role("button", name="English").click()
    auditor.page.wait_for_load_state("networkidle")
    assert auditor.page.locator("html").get_attribute("lang") == "en"
    auditor.page.get_by_role("link", name="Sectors").first.wait_for()
    auditor.picture("english")


POLLED = """<div id="part" data-poll hx-get="/polled" hx-trigger="every 200ms" hx-swap="outerHTML"
 hx-request='{"timeout": 400}'><b>%s</b><p data-poll-lost hidden>lost</p></div>"""


def test_what_is_polled_outlives_a_restart_and_a_lost_connection(browser, address: str):
    """A page that stays open while the server is away says so, stays as it is and comes back."""
    page = Person(browser, address, "auditor", DESKTOP).page
    answers_now = {"status": 200}

    def answer(route) -> None:
        status = answers_now["status"]
        if status == 0:
            route.abort()
        elif status is not None:  # None: no answer ever comes
            route.fulfill(status=status, body=POLLED % status, content_type="text/html")

    page.route("**/polled", answer)
    page.evaluate(
        "html => { const at = document.querySelector('#content'); at.innerHTML = html;"
        " htmx.process(at); }",
        POLLED % "start",
    )
    lost = page.locator("[data-poll-lost]")
    for trouble in (0, 502, 500, None):
        answers_now["status"] = trouble
        lost.wait_for(state="visible")
        assert page.locator("#part b").count() == 1, "an error takes no part's place"
        answers_now["status"] = 200
        lost.wait_for(state="hidden")
        page.get_by_text("200", exact=True).wait_for()
    page.context.close()
