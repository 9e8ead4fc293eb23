"""Thin Celery tasks, the timetable, and the entry points of worker and clock."""
