FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 FLASK_APP=app
WORKDIR /app

COPY requirements.txt .
RUN pip install --require-hashes -r requirements.txt

COPY . .
RUN useradd --system --uid 1000 outreach && mkdir /data && chown outreach /data
USER outreach
ENV OUTREACH_DATA_DIR=/data
VOLUME /data
