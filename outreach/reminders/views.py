from outreach.campaigns.scope import campaign_blueprint

bp = campaign_blueprint("reminders", __name__)
