# One image, two commands: the studio's pages ("app") and a worker ("worker <queue>"); "up" is both
# with a Redis of its own in one container. docs/deploy.md has the whole command lines.
#   docker build -t palate .
FROM python:3.12-slim

RUN useradd --create-home palate && mkdir -p /data && chown palate /data
WORKDIR /palate
COPY pyproject.toml requirements.lock constraints.txt ./
# Extra index or links for another torch build: --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL=""
RUN pip install --no-cache-dir -r constraints.txt \
 && pip install --no-cache-dir --require-hashes --no-deps -r requirements.lock
COPY . .
RUN pip install --no-cache-dir --no-deps -e .

USER palate
ENV PALATE_HOME=/data PALATE_HOST=0.0.0.0 PALATE_PORT=7860 PYTHONUNBUFFERED=1
EXPOSE 7860
VOLUME /data
HEALTHCHECK --interval=15s --timeout=3s --start-period=30s \
  CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/healthz', timeout=2)"
ENTRYPOINT ["./scripts/container.sh"]
CMD ["app"]
