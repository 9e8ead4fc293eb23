"""django-post-office at the same task: queue, then its own workers. Runs in an environment of its
own (benchmarks/requirements.txt) and prints the seconds that sending took."""

import json
import sys
import time
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings
from django.core.management import call_command

TEXT = (
    "联络{{ number }}，您好：衡阳市第{{ number }}单位如有意参加，请回复本邮件。捐赠完全自愿。\n"
    * 12
)
HTML = "<p>联络{{ number }}，您好：衡阳市第{{ number }}单位如有意参加，请回复。</p>\n" * 14


def main(url: str, port: int, count: int) -> None:
    parts = urlsplit(url)
    settings.configure(
        SECRET_KEY="benchmark",
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts.path.lstrip("/"),
                "USER": parts.username or "postgres",
                "HOST": parse_qs(parts.query)["host"][0],
            }
        },
        EMAIL_BACKEND="post_office.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        TEMPLATES=[
            {
                "BACKEND": "post_office.template.backends.post_office.PostOfficeTemplates",
                "APP_DIRS": True,
                "NAME": "post_office",
                "OPTIONS": {"context_processors": []},
            },
            {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True},
        ],
        POST_OFFICE={"BATCH_SIZE": 500, "THREADS_PER_PROCESS": 4},
    )
    django.setup()
    from post_office import mail
    from post_office.mail import send_queued
    from post_office.models import Email, EmailTemplate

    call_command("migrate", verbosity=0)
    template = EmailTemplate.objects.create(
        name="reminder", subject="关于慈善一日捐的工作联系", content=TEXT, html_content=HTML
    )
    for start in range(0, count, 500):
        mail.send_many(
            {
                "sender": "office@charity.example",
                "recipients": [f"contact{number}@unit.example"],
                "template": template,
                "context": {"number": number},
            }
            for number in range(start, min(start + 500, count))
        )
    began = time.perf_counter()
    while Email.objects.filter(status=2).exists():
        send_queued(processes=1)
    seconds = time.perf_counter() - began
    sent = Email.objects.filter(status=0).count()
    if sent != count:
        raise SystemExit(f"{sent} of {count} were sent")
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
