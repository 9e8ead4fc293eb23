"""The first schema"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "calendar_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("is_workday", sa.Boolean(), nullable=False),
        sa.Column("note", sa.String(length=60), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_calendar_day")),
    )
    op.create_table(
        "campaign",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("goal_fen", sa.BigInteger(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "planned", "running", "closed", name="campaignstatus", native_enum=False, length=24
            ),
            nullable=False,
        ),
        sa.Column("previous_id", sa.Integer(), nullable=True),
        sa.Column("lag_margin_percent", sa.Integer(), nullable=False),
        sa.Column("follow_up_workdays", sa.Integer(), nullable=False),
        sa.Column("visits_per_day", sa.Integer(), nullable=False),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("ends_on >= starts_on", name=op.f("ck_campaign_period")),
        sa.CheckConstraint(
            "follow_up_workdays BETWEEN 1 AND 60", name=op.f("ck_campaign_follow_up")
        ),
        sa.CheckConstraint("goal_fen >= 0", name=op.f("ck_campaign_goal_not_negative")),
        sa.CheckConstraint(
            "lag_margin_percent BETWEEN 0 AND 100", name=op.f("ck_campaign_lag_margin")
        ),
        sa.CheckConstraint(
            "visits_per_day BETWEEN 1 AND 20", name=op.f("ck_campaign_visits_per_day")
        ),
        sa.ForeignKeyConstraint(
            ["previous_id"], ["campaign.id"], name=op.f("fk_campaign_previous_id_campaign")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign")),
        sa.UniqueConstraint("code", name=op.f("uq_campaign_code")),
    )
    op.create_table(
        "job_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job", sa.String(length=60), nullable=False),
        sa.Column("scheduled_for", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "result",
            sa.Enum("running", "done", "failed", name="jobresult", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("host", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_run")),
        sa.UniqueConstraint("job", "scheduled_for", name=op.f("uq_job_run_job_scheduled_for")),
    )
    op.create_table(
        "opt_out",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "channel",
            sa.Enum("email", "sms", name="channel", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("address_hash", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=60), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opt_out")),
        sa.UniqueConstraint(
            "channel", "address_hash", name=op.f("uq_opt_out_channel_address_hash")
        ),
    )
    op.create_table(
        "sending_window",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "days",
            sa.Enum("workdays", "every_day", name="windowdays", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("opens_at", sa.Time(), nullable=False),
        sa.Column("closes_at", sa.Time(), nullable=False),
        sa.Column("season_from", sa.String(length=5), nullable=False),
        sa.Column("season_to", sa.String(length=5), nullable=False),
        sa.CheckConstraint("closes_at > opens_at", name=op.f("ck_sending_window_period")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sending_window")),
    )
    op.create_table(
        "sign_in_attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_hash", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_attempt")),
    )
    with op.batch_alter_table("sign_in_attempt", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_sign_in_attempt_account_hash"), ["account_hash"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_sign_in_attempt_address"), ["address"], unique=False)

    op.create_table(
        "template",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column(
            "channel",
            sa.Enum("email", "sms", name="channel", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("is_archived", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template")),
        sa.UniqueConstraint("name", name=op.f("uq_template_name")),
    )
    op.create_table(
        "unit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("name_key", sa.String(length=120), nullable=False),
        sa.Column("initials", sa.String(length=120), nullable=False),
        sa.Column("short_name", sa.String(length=60), nullable=False),
        sa.Column("sms_name", sa.String(length=20), nullable=False),
        sa.Column("public_name", sa.String(length=120), nullable=False),
        sa.Column("credit_code", sa.String(length=18), nullable=True),
        sa.Column(
            "kind",
            sa.Enum(
                "organ",
                "institution",
                "company",
                "university",
                "army",
                "association",
                "party",
                "other",
                name="unitkind",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("head_count", sa.Integer(), nullable=True),
        sa.Column("district", sa.String(length=40), nullable=False),
        sa.Column("address", sa.String(length=200), nullable=False),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("head_count >= 0", name=op.f("ck_unit_head_count_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unit")),
        sa.UniqueConstraint("credit_code", name=op.f("uq_unit_credit_code")),
        sa.UniqueConstraint("name_key", name=op.f("uq_unit_name_key")),
    )
    with op.batch_alter_table("unit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_unit_initials"), ["initials"], unique=False)

    op.create_table(
        "user_account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("username", sa.String(length=60), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("mobile", sa.String(length=20), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "administrator",
                "secretary_general",
                "staff",
                "liaison",
                "auditor",
                name="role",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("invitation_hash", sa.String(length=64), nullable=True),
        sa.Column("invitation_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
        sa.UniqueConstraint("invitation_hash", name=op.f("uq_user_account_invitation_hash")),
        sa.UniqueConstraint("username", name=op.f("uq_user_account_username")),
    )
    op.create_table(
        "audit_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("user_name", sa.String(length=60), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=60), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_audit_event_user_id_user_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
        sa.UniqueConstraint("hash", name=op.f("uq_audit_event_hash")),
    )
    with op.batch_alter_table("audit_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_event_action"), ["action"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_event_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_event_subject"), ["subject"], unique=False)

    op.create_table(
        "calendar_year",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_by_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["confirmed_by_id"],
            ["user_account.id"],
            name=op.f("fk_calendar_year_confirmed_by_id_user_account"),
        ),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_calendar_year")),
    )
    op.create_table(
        "contact",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("unit_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("title", sa.String(length=60), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "coordinator", "leader", "finance", name="contactrole", native_enum=False, length=24
            ),
            nullable=False,
        ),
        sa.Column("mobile", sa.String(length=20), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "valid_to IS NULL OR valid_to >= valid_from", name=op.f("ck_contact_valid_period")
        ),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name=op.f("fk_contact_unit_id_unit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact")),
    )
    with op.batch_alter_table("contact", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_contact_unit_id"), ["unit_id"], unique=False)

    op.create_table(
        "digest",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("iso_year", sa.Integer(), nullable=False),
        sa.Column("iso_week", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("built_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_digest_campaign_id_campaign")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_digest")),
        sa.UniqueConstraint(
            "campaign_id",
            "iso_year",
            "iso_week",
            name=op.f("uq_digest_campaign_id_iso_year_iso_week"),
        ),
    )
    op.create_table(
        "import_batch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("units", "gifts", name="importkind", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_import_batch_campaign_id_campaign")
        ),
        sa.ForeignKeyConstraint(
            ["created_by_id"],
            ["user_account.id"],
            name=op.f("fk_import_batch_created_by_id_user_account"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_batch")),
        sa.UniqueConstraint(
            "kind", "campaign_id", "sha256", name=op.f("uq_import_batch_kind_campaign_id_sha256")
        ),
    )
    op.create_table(
        "login_session",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("user_agent", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_login_session_user_id_user_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_session")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_login_session_token_hash")),
    )
    with op.batch_alter_table("login_session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_login_session_user_id"), ["user_id"], unique=False)

    op.create_table(
        "meeting",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(length=80), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("place", sa.String(length=120), nullable=False),
        sa.Column("agenda", sa.Text(), nullable=False),
        sa.Column("minutes", sa.Text(), nullable=False),
        sa.Column("decisions", sa.Text(), nullable=False),
        sa.Column("cancel_reason", sa.String(length=200), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "planned", "held", "cancelled", name="meetingstatus", native_enum=False, length=24
            ),
            nullable=False,
        ),
        sa.Column("organizer_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_meeting_period")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_meeting_campaign_id_campaign")
        ),
        sa.ForeignKeyConstraint(
            ["organizer_id"], ["user_account.id"], name=op.f("fk_meeting_organizer_id_user_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meeting")),
        sa.UniqueConstraint("uid", name=op.f("uq_meeting_uid")),
    )
    with op.batch_alter_table("meeting", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_meeting_campaign_id"), ["campaign_id"], unique=False)

    op.create_table(
        "sector",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_sector_campaign_id_campaign")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sector")),
        sa.UniqueConstraint("campaign_id", "name", name=op.f("uq_sector_campaign_id_name")),
    )
    with op.batch_alter_table("sector", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sector_campaign_id"), ["campaign_id"], unique=False)

    op.create_table(
        "send_policy",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("contact_cap", sa.Integer(), nullable=False),
        sa.Column("contact_cap_days", sa.Integer(), nullable=False),
        sa.Column("unit_cap", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by_id", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "contact_cap >= 0 AND contact_cap_days > 0 AND unit_cap >= 0",
            name=op.f("ck_send_policy_caps"),
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_send_policy_one_row")),
        sa.ForeignKeyConstraint(
            ["changed_by_id"],
            ["user_account.id"],
            name=op.f("fk_send_policy_changed_by_id_user_account"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_send_policy")),
    )
    op.create_table(
        "template_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["created_by_id"],
            ["user_account.id"],
            name=op.f("fk_template_version_created_by_id_user_account"),
        ),
        sa.ForeignKeyConstraint(
            ["template_id"], ["template.id"], name=op.f("fk_template_version_template_id_template")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template_version")),
        sa.UniqueConstraint(
            "template_id", "number", name=op.f("uq_template_version_template_id_number")
        ),
    )
    op.create_table(
        "unit_alias",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("unit_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("name_key", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name=op.f("fk_unit_alias_unit_id_unit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unit_alias")),
        sa.UniqueConstraint("unit_id", "name_key", name=op.f("uq_unit_alias_unit_id_name_key")),
    )
    with op.batch_alter_table("unit_alias", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_unit_alias_name_key"), ["name_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_unit_alias_unit_id"), ["unit_id"], unique=False)

    op.create_table(
        "action_item",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meeting_id", sa.Integer(), nullable=False),
        sa.Column("unit_id", sa.Integer(), nullable=True),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(length=200), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["meeting_id"], ["meeting.id"], name=op.f("fk_action_item_meeting_id_meeting")
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["user_account.id"], name=op.f("fk_action_item_owner_id_user_account")
        ),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name=op.f("fk_action_item_unit_id_unit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_action_item")),
    )
    with op.batch_alter_table("action_item", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_action_item_meeting_id"), ["meeting_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_action_item_owner_id"), ["owner_id"], unique=False)

    op.create_table(
        "attendee",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meeting_id", sa.Integer(), nullable=False),
        sa.Column("contact_id", sa.Integer(), nullable=True),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column(
            "partstat",
            sa.Enum(
                "needs-action",
                "accepted",
                "declined",
                "tentative",
                name="partstat",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("invited_sequence", sa.Integer(), nullable=True),
        sa.Column("signed_in_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(contact_id IS NULL) <> (user_id IS NULL)", name=op.f("ck_attendee_contact_or_user")
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contact.id"], name=op.f("fk_attendee_contact_id_contact")
        ),
        sa.ForeignKeyConstraint(
            ["meeting_id"], ["meeting.id"], name=op.f("fk_attendee_meeting_id_meeting")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_attendee_user_id_user_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attendee")),
        sa.UniqueConstraint(
            "meeting_id", "contact_id", name=op.f("uq_attendee_meeting_id_contact_id")
        ),
        sa.UniqueConstraint("meeting_id", "user_id", name=op.f("uq_attendee_meeting_id_user_id")),
    )
    with op.batch_alter_table("attendee", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attendee_meeting_id"), ["meeting_id"], unique=False)

    op.create_table(
        "gift",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("unit_id", sa.Integer(), nullable=True),
        sa.Column("sector_id", sa.Integer(), nullable=True),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("unit", "individual", name="giftkind", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("donor_count", sa.Integer(), nullable=False),
        sa.Column(
            "basis",
            sa.Enum(
                "into_account", "outside_account", name="giftbasis", native_enum=False, length=24
            ),
            nullable=False,
        ),
        sa.Column(
            "channel",
            sa.Enum(
                "transfer",
                "cash",
                "box",
                "platform",
                name="giftchannel",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("received_on", sa.Date(), nullable=False),
        sa.Column("reference", sa.String(length=80), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("may_publish", sa.Boolean(), nullable=False),
        sa.Column("reversal_of_id", sa.Integer(), nullable=True),
        sa.Column("line_key", sa.String(length=80), nullable=True),
        sa.Column("import_batch_id", sa.Integer(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by_id", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "(amount_fen > 0 AND reversal_of_id IS NULL) OR (amount_fen < 0 AND reversal_of_id IS NOT NULL)",
            name=op.f("ck_gift_only_reversals_are_negative"),
        ),
        sa.CheckConstraint("donor_count >= 0", name=op.f("ck_gift_donor_count_not_negative")),
        sa.CheckConstraint(
            "unit_id IS NULL OR sector_id IS NOT NULL", name=op.f("ck_gift_unit_has_sector")
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_gift_campaign_id_campaign")
        ),
        sa.ForeignKeyConstraint(
            ["import_batch_id"],
            ["import_batch.id"],
            name=op.f("fk_gift_import_batch_id_import_batch"),
        ),
        sa.ForeignKeyConstraint(
            ["recorded_by_id"],
            ["user_account.id"],
            name=op.f("fk_gift_recorded_by_id_user_account"),
        ),
        sa.ForeignKeyConstraint(
            ["reversal_of_id"], ["gift.id"], name=op.f("fk_gift_reversal_of_id_gift")
        ),
        sa.ForeignKeyConstraint(
            ["sector_id"], ["sector.id"], name=op.f("fk_gift_sector_id_sector")
        ),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name=op.f("fk_gift_unit_id_unit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift")),
        sa.UniqueConstraint("campaign_id", "line_key", name=op.f("uq_gift_campaign_id_line_key")),
        sa.UniqueConstraint("reversal_of_id", name=op.f("uq_gift_reversal_of_id")),
    )
    with op.batch_alter_table("gift", schema=None) as batch_op:
        batch_op.create_index(
            "ix_gift_campaign_id_sector_id_unit_id",
            ["campaign_id", "sector_id", "unit_id"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_gift_received_on"), ["received_on"], unique=False)
        batch_op.create_index(batch_op.f("ix_gift_sector_id"), ["sector_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_gift_unit_id"), ["unit_id"], unique=False)

    op.create_table(
        "sector_lineage",
        sa.Column("sector_id", sa.Integer(), nullable=False),
        sa.Column("predecessor_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["predecessor_id"], ["sector.id"], name=op.f("fk_sector_lineage_predecessor_id_sector")
        ),
        sa.ForeignKeyConstraint(
            ["sector_id"], ["sector.id"], name=op.f("fk_sector_lineage_sector_id_sector")
        ),
        sa.PrimaryKeyConstraint("sector_id", "predecessor_id", name=op.f("pk_sector_lineage")),
    )
    op.create_table(
        "solicitation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("unit_id", sa.Integer(), nullable=False),
        sa.Column("sector_id", sa.Integer(), nullable=False),
        sa.Column("solicitor_id", sa.Integer(), nullable=True),
        sa.Column(
            "stage",
            sa.Enum(
                "not_contacted",
                "contacted",
                "visited",
                "pledged",
                "declined",
                name="stage",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "decline_reason",
            sa.Enum(
                "hard_times",
                "gave_elsewhere",
                "no_decision",
                "not_willing",
                "dissolved",
                "other",
                name="declinereason",
                native_enum=False,
                length=24,
            ),
            nullable=True,
        ),
        sa.Column("is_exempt", sa.Boolean(), nullable=False),
        sa.Column("next_action", sa.String(length=120), nullable=False),
        sa.Column("next_action_on", sa.Date(), nullable=True),
        sa.Column("snoozed_until", sa.Date(), nullable=True),
        sa.Column("last_contact_on", sa.Date(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "(stage = 'declined') = (decline_reason IS NOT NULL)",
            name=op.f("ck_solicitation_decline_has_reason"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_solicitation_campaign_id_campaign")
        ),
        sa.ForeignKeyConstraint(
            ["sector_id"], ["sector.id"], name=op.f("fk_solicitation_sector_id_sector")
        ),
        sa.ForeignKeyConstraint(
            ["solicitor_id"],
            ["user_account.id"],
            name=op.f("fk_solicitation_solicitor_id_user_account"),
        ),
        sa.ForeignKeyConstraint(
            ["unit_id"], ["unit.id"], name=op.f("fk_solicitation_unit_id_unit")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_solicitation")),
        sa.UniqueConstraint(
            "campaign_id", "unit_id", name=op.f("uq_solicitation_campaign_id_unit_id")
        ),
    )
    with op.batch_alter_table("solicitation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_solicitation_sector_id"), ["sector_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_solicitation_solicitor_id"), ["solicitor_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_solicitation_unit_id"), ["unit_id"], unique=False)

    op.create_table(
        "user_sector",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("sector_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sector_id"], ["sector.id"], name=op.f("fk_user_sector_sector_id_sector")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_user_sector_user_id_user_account")
        ),
        sa.PrimaryKeyConstraint("user_id", "sector_id", name=op.f("pk_user_sector")),
    )
    op.create_table(
        "wave",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("template_version_id", sa.Integer(), nullable=False),
        sa.Column("audience", sa.JSON(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "draft",
                "in_review",
                "approved",
                "running",
                "paused",
                "held",
                "finished",
                "cancelled",
                name="wavestatus",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("paused_because", sa.String(length=200), nullable=False),
        sa.Column("author_id", sa.Integer(), nullable=False),
        sa.Column("approver_id", sa.Integer(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approval_hash", sa.String(length=64), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "approver_id IS NULL OR approver_id <> author_id", name=op.f("ck_wave_second_person")
        ),
        sa.CheckConstraint("not_after > starts_at", name=op.f("ck_wave_period")),
        sa.ForeignKeyConstraint(
            ["approver_id"], ["user_account.id"], name=op.f("fk_wave_approver_id_user_account")
        ),
        sa.ForeignKeyConstraint(
            ["author_id"], ["user_account.id"], name=op.f("fk_wave_author_id_user_account")
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_wave_campaign_id_campaign")
        ),
        sa.ForeignKeyConstraint(
            ["template_version_id"],
            ["template_version.id"],
            name=op.f("fk_wave_template_version_id_template_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wave")),
    )
    with op.batch_alter_table("wave", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_wave_campaign_id"), ["campaign_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_wave_status"), ["status"], unique=False)

    op.create_table(
        "message",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "purpose",
            sa.Enum(
                "reminder",
                "invitation",
                "digest",
                "test",
                "account",
                name="purpose",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "channel",
            sa.Enum("email", "sms", name="channel", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("campaign_id", sa.Integer(), nullable=True),
        sa.Column("wave_id", sa.Integer(), nullable=True),
        sa.Column("contact_id", sa.Integer(), nullable=True),
        sa.Column("occurrence", sa.String(length=120), nullable=True),
        sa.Column("recipient_name", sa.String(length=60), nullable=False),
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("address_hash", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("body_text", sa.Text(), nullable=False),
        sa.Column("body_html", sa.Text(), nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("reply_to", sa.String(length=254), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "queued",
                "sending",
                "sent",
                "delivered",
                "unknown",
                "failed",
                "withheld",
                "expired",
                "cancelled",
                name="messagestatus",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "withheld_reason",
            sa.Enum(
                "already_given",
                "partly_given",
                "pledge_not_due",
                "declined",
                "exempt",
                "snoozed",
                "opted_out",
                "no_address",
                "contact_left",
                "contact_cap",
                "unit_cap",
                "not_in_audience",
                "duplicate_address",
                "campaign_closed",
                name="withheldreason",
                native_enum=False,
                length=24,
            ),
            nullable=True,
        ),
        sa.Column(
            "failure",
            sa.Enum(
                "rejected", "bounced", "exhausted", name="failurekind", native_enum=False, length=24
            ),
            nullable=True,
        ),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("resend_no", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("provider_id", sa.String(length=120), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(status = 'failed') = (failure IS NOT NULL)", name=op.f("ck_message_failed_has_kind")
        ),
        sa.CheckConstraint(
            "(status = 'withheld') = (withheld_reason IS NOT NULL)",
            name=op.f("ck_message_withheld_has_reason"),
        ),
        sa.CheckConstraint(
            "(token IS NULL) = (lease_until IS NULL)", name=op.f("ck_message_token_has_lease")
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_message_campaign_id_campaign")
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contact.id"], name=op.f("fk_message_contact_id_contact")
        ),
        sa.ForeignKeyConstraint(["wave_id"], ["wave.id"], name=op.f("fk_message_wave_id_wave")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sa.UniqueConstraint("occurrence", name=op.f("uq_message_occurrence")),
        sa.UniqueConstraint(
            "wave_id",
            "channel",
            "address_hash",
            name=op.f("uq_message_wave_id_channel_address_hash"),
        ),
        sa.UniqueConstraint(
            "wave_id", "contact_id", "channel", name=op.f("uq_message_wave_id_contact_id_channel")
        ),
    )
    with op.batch_alter_table("message", schema=None) as batch_op:
        batch_op.create_index(
            "ix_message_address_hash_sent_at", ["address_hash", "sent_at"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_message_contact_id"), ["contact_id"], unique=False)
        batch_op.create_index("ix_message_status_next_at", ["status", "next_at"], unique=False)
        batch_op.create_index("ix_message_wave_id_status", ["wave_id", "status"], unique=False)

    op.create_table(
        "pledge",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("solicitation_id", sa.Integer(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("pledged_on", sa.Date(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by_id", sa.Integer(), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_pledge_amount_positive")),
        sa.ForeignKeyConstraint(
            ["recorded_by_id"],
            ["user_account.id"],
            name=op.f("fk_pledge_recorded_by_id_user_account"),
        ),
        sa.ForeignKeyConstraint(
            ["solicitation_id"],
            ["solicitation.id"],
            name=op.f("fk_pledge_solicitation_id_solicitation"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pledge")),
    )
    with op.batch_alter_table("pledge", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_pledge_solicitation_id"), ["solicitation_id"], unique=False
        )

    op.create_table(
        "stage_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("solicitation_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by_id", sa.Integer(), nullable=True),
        sa.Column(
            "from_stage",
            sa.Enum(
                "not_contacted",
                "contacted",
                "visited",
                "pledged",
                "declined",
                name="stage",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "to_stage",
            sa.Enum(
                "not_contacted",
                "contacted",
                "visited",
                "pledged",
                "declined",
                name="stage",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "cause",
            sa.Enum(
                "person",
                "visit",
                "pledge",
                "message",
                "meeting",
                "demo",
                name="stagecause",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["by_id"], ["user_account.id"], name=op.f("fk_stage_change_by_id_user_account")
        ),
        sa.ForeignKeyConstraint(
            ["solicitation_id"],
            ["solicitation.id"],
            name=op.f("fk_stage_change_solicitation_id_solicitation"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stage_change")),
    )
    with op.batch_alter_table("stage_change", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_stage_change_solicitation_id"), ["solicitation_id"], unique=False
        )

    op.create_table(
        "visit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("solicitation_id", sa.Integer(), nullable=False),
        sa.Column("visitor_id", sa.Integer(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "proposed",
                "planned",
                "logged",
                "dropped",
                name="visitstatus",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("planned_on", sa.Date(), nullable=False),
        sa.Column("planned_time", sa.Time(), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("proposal_key", sa.String(length=80), nullable=True),
        sa.Column("client_key", sa.String(length=36), nullable=True),
        sa.Column(
            "outcome",
            sa.Enum(
                "pledged",
                "will_discuss",
                "come_again",
                "not_in",
                "declined",
                name="visitoutcome",
                native_enum=False,
                length=24,
            ),
            nullable=True,
        ),
        sa.Column("note", sa.String(length=1000), nullable=False),
        sa.Column("next_on", sa.Date(), nullable=True),
        sa.Column("logged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "(status = 'logged') = (outcome IS NOT NULL)", name=op.f("ck_visit_logged_has_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["solicitation_id"],
            ["solicitation.id"],
            name=op.f("fk_visit_solicitation_id_solicitation"),
        ),
        sa.ForeignKeyConstraint(
            ["visitor_id"], ["user_account.id"], name=op.f("fk_visit_visitor_id_user_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visit")),
        sa.UniqueConstraint("client_key", name=op.f("uq_visit_client_key")),
        sa.UniqueConstraint("proposal_key", name=op.f("uq_visit_proposal_key")),
    )
    with op.batch_alter_table("visit", schema=None) as batch_op:
        batch_op.create_index("ix_visit_planned_on", ["planned_on"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_visit_solicitation_id"), ["solicitation_id"], unique=False
        )
        batch_op.create_index(
            "ix_visit_visitor_id_planned_on", ["visitor_id", "planned_on"], unique=False
        )
        batch_op.create_index(
            "uq_visit_open_solicitation_id",
            ["solicitation_id"],
            unique=True,
            sqlite_where=sa.text("status IN ('proposed', 'planned')"),
            postgresql_where=sa.text("status IN ('proposed', 'planned')"),
        )

    op.create_table(
        "wave_member",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("wave_id", sa.Integer(), nullable=False),
        sa.Column("solicitation_id", sa.Integer(), nullable=False),
        sa.Column("contact_id", sa.Integer(), nullable=True),
        sa.Column("address_hash", sa.String(length=64), nullable=False),
        sa.Column(
            "withheld_reason",
            sa.Enum(
                "already_given",
                "partly_given",
                "pledge_not_due",
                "declined",
                "exempt",
                "snoozed",
                "opted_out",
                "no_address",
                "contact_left",
                "contact_cap",
                "unit_cap",
                "not_in_audience",
                "duplicate_address",
                "campaign_closed",
                name="withheldreason",
                native_enum=False,
                length=24,
            ),
            nullable=True,
        ),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contact.id"], name=op.f("fk_wave_member_contact_id_contact")
        ),
        sa.ForeignKeyConstraint(
            ["solicitation_id"],
            ["solicitation.id"],
            name=op.f("fk_wave_member_solicitation_id_solicitation"),
        ),
        sa.ForeignKeyConstraint(["wave_id"], ["wave.id"], name=op.f("fk_wave_member_wave_id_wave")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wave_member")),
        sa.UniqueConstraint(
            "wave_id", "solicitation_id", name=op.f("uq_wave_member_wave_id_solicitation_id")
        ),
    )
    op.create_table(
        "message_solicitation",
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("solicitation_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"], ["message.id"], name=op.f("fk_message_solicitation_message_id_message")
        ),
        sa.ForeignKeyConstraint(
            ["solicitation_id"],
            ["solicitation.id"],
            name=op.f("fk_message_solicitation_solicitation_id_solicitation"),
        ),
        sa.PrimaryKeyConstraint(
            "message_id", "solicitation_id", name=op.f("pk_message_solicitation")
        ),
    )
    with op.batch_alter_table("message_solicitation", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_message_solicitation_solicitation_id"), ["solicitation_id"], unique=False
        )



def downgrade():
    with op.batch_alter_table("message_solicitation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_message_solicitation_solicitation_id"))

    op.drop_table("message_solicitation")
    op.drop_table("wave_member")
    with op.batch_alter_table("visit", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_visit_open_solicitation_id",
            sqlite_where=sa.text("status IN ('proposed', 'planned')"),
            postgresql_where=sa.text("status IN ('proposed', 'planned')"),
        )
        batch_op.drop_index("ix_visit_visitor_id_planned_on")
        batch_op.drop_index(batch_op.f("ix_visit_solicitation_id"))
        batch_op.drop_index("ix_visit_planned_on")

    op.drop_table("visit")
    with op.batch_alter_table("stage_change", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_stage_change_solicitation_id"))

    op.drop_table("stage_change")
    with op.batch_alter_table("pledge", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_pledge_solicitation_id"))

    op.drop_table("pledge")
    with op.batch_alter_table("message", schema=None) as batch_op:
        batch_op.drop_index("ix_message_wave_id_status")
        batch_op.drop_index("ix_message_status_next_at")
        batch_op.drop_index(batch_op.f("ix_message_contact_id"))
        batch_op.drop_index("ix_message_address_hash_sent_at")

    op.drop_table("message")
    with op.batch_alter_table("wave", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_wave_status"))
        batch_op.drop_index(batch_op.f("ix_wave_campaign_id"))

    op.drop_table("wave")
    op.drop_table("user_sector")
    with op.batch_alter_table("solicitation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_solicitation_unit_id"))
        batch_op.drop_index(batch_op.f("ix_solicitation_solicitor_id"))
        batch_op.drop_index(batch_op.f("ix_solicitation_sector_id"))

    op.drop_table("solicitation")
    op.drop_table("sector_lineage")
    with op.batch_alter_table("gift", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gift_unit_id"))
        batch_op.drop_index(batch_op.f("ix_gift_sector_id"))
        batch_op.drop_index(batch_op.f("ix_gift_received_on"))
        batch_op.drop_index("ix_gift_campaign_id_sector_id_unit_id")

    op.drop_table("gift")
    with op.batch_alter_table("attendee", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attendee_meeting_id"))

    op.drop_table("attendee")
    with op.batch_alter_table("action_item", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_action_item_owner_id"))
        batch_op.drop_index(batch_op.f("ix_action_item_meeting_id"))

    op.drop_table("action_item")
    with op.batch_alter_table("unit_alias", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_unit_alias_unit_id"))
        batch_op.drop_index(batch_op.f("ix_unit_alias_name_key"))

    op.drop_table("unit_alias")
    op.drop_table("template_version")
    op.drop_table("send_policy")
    with op.batch_alter_table("sector", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sector_campaign_id"))

    op.drop_table("sector")
    with op.batch_alter_table("meeting", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_meeting_campaign_id"))

    op.drop_table("meeting")
    with op.batch_alter_table("login_session", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_login_session_user_id"))

    op.drop_table("login_session")
    op.drop_table("import_batch")
    op.drop_table("digest")
    with op.batch_alter_table("contact", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_contact_unit_id"))

    op.drop_table("contact")
    op.drop_table("calendar_year")
    with op.batch_alter_table("audit_event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_event_subject"))
        batch_op.drop_index(batch_op.f("ix_audit_event_at"))
        batch_op.drop_index(batch_op.f("ix_audit_event_action"))

    op.drop_table("audit_event")
    op.drop_table("user_account")
    with op.batch_alter_table("unit", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_unit_initials"))

    op.drop_table("unit")
    op.drop_table("template")
    with op.batch_alter_table("sign_in_attempt", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sign_in_attempt_address"))
        batch_op.drop_index(batch_op.f("ix_sign_in_attempt_account_hash"))

    op.drop_table("sign_in_attempt")
    op.drop_table("sending_window")
    op.drop_table("opt_out")
    op.drop_table("job_run")
    op.drop_table("campaign")
    op.drop_table("calendar_day")
