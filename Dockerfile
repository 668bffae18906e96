# Container image of easytracking-sync: dependencies pinned by hash, runs without root on a read-only root file system.
#   docker build -t easytracking-sync .
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges -v archive:/data easytracking-sync
# To configure an account and its password, see docs/operations.md or deploy/docker/compose.yaml.
ARG BASE=docker.io/library/python:3.12-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY deploy/pins.py deploy/
# The final environment has no pip and contains only what the lock pins.
RUN python3 -m venv /tmp/tools \
 && python3 -m venv --without-pip /opt/easytracking-sync \
 && python3 deploy/pins.py --package hatchling > /tmp/tools.txt \
 && python3 deploy/pins.py --extra postgresql --extra alerts > /tmp/run.txt \
 && /tmp/tools/bin/pip install --no-cache-dir --require-hashes --no-deps -r /tmp/tools.txt \
 && /tmp/tools/bin/pip --python /opt/easytracking-sync/bin/python \
      install --no-cache-dir --require-hashes --no-deps -r /tmp/run.txt
COPY daemon daemon
COPY migrations migrations
COPY config config
RUN /tmp/tools/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
 && /tmp/tools/bin/pip --python /opt/easytracking-sync/bin/python \
      install --no-cache-dir --no-deps --no-index /tmp/wheel/*.whl \
 && /opt/easytracking-sync/bin/easytracking-sync version

FROM ${BASE}
LABEL org.opencontainers.image.title="easytracking-sync" \
      org.opencontainers.image.description="Downloads every invoice from Easy Tracking, once, and proves it" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/easytracking-sync /opt/easytracking-sync
COPY config/container.toml /etc/easytracking-sync/config.toml
COPY deploy/docker/healthcheck.py /opt/easytracking-sync/healthcheck.py
RUN mkdir -m 0700 /data && chown 10001:10001 /data
ENV PATH=/opt/easytracking-sync/bin:/usr/local/bin:/usr/bin:/bin \
    EASYTRACKING_CONFIG=/etc/easytracking-sync/config.toml \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /data
VOLUME /data
# Checks that the main loop and the threads of `run` do not hang. A migration at the start may take long.
HEALTHCHECK --interval=30s --timeout=10s --start-period=5m --retries=4 \
  CMD ["/opt/easytracking-sync/bin/python", "-I", "/opt/easytracking-sync/healthcheck.py"]
ENTRYPOINT ["/opt/easytracking-sync/bin/easytracking-sync"]
CMD ["run"]
