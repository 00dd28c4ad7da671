# The receiver with Kubernetes and PostgreSQL support; other extras: --build-arg EXTRAS="kubernetes postgres slack".
# Runs as uid 10001 with a read-only root file system; what it writes goes to its working directory, /var/lib/receiver.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG EXTRAS="kubernetes postgres"
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src

# The build tools live in a venv of their own; /opt/receiver gets neither them nor pip.
COPY requirements/ requirements/
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt \
    && python -m venv --without-pip /opt/receiver \
    && set -- -r requirements/runtime.txt \
    && for extra in ${EXTRAS}; do set -- "$@" -r "requirements/${extra}.txt"; done \
    && /opt/build/bin/pip --python /opt/receiver/bin/python install --no-cache-dir --no-compile --require-hashes "$@"

COPY pyproject.toml README.md LICENSE ./
COPY rules/ rules/
COPY receiver/ receiver/
# Compiled here, because nothing can be written later; by hash, because a copied file's time means nothing.
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/build/bin/pip --python /opt/receiver/bin/python install --no-cache-dir --no-compile --no-deps /dist/*.whl \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/receiver/lib

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 receiver \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/receiver --shell /usr/sbin/nologin receiver \
    && install -d -o 10001 -g 10001 -m 0750 /var/lib/receiver
COPY --from=build /opt/receiver /opt/receiver
COPY rules/ /usr/share/alert-receiver/rules/
ENV PATH=/opt/receiver/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/receiver
EXPOSE 8080
ENTRYPOINT ["receiver"]
CMD ["serve", "--config", "/etc/receiver/config.yaml"]
