# Triptych with everything: producers, worker, consumers and the model's weights.
#
# PyTorch comes from pip's configured index. Its x86-64 build on PyPI includes CUDA and makes an image of several
# gigabytes. For an image without GPU support, add PyTorch's CPU index:
#   docker build --build-arg PIP_EXTRA_INDEX_URL=... .

FROM python:3.11-slim-bookworm AS build
ARG PIP_EXTRA_INDEX_URL=""
ENV PIP_EXTRA_INDEX_URL=$PIP_EXTRA_INDEX_URL PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/triptych
WORKDIR /build
COPY . .
# The weights are part of the image, so a worker needs no network but that of Kafka and Redis. The training code is not:
# the wheel holds it, but nothing that serves imports it.
RUN /opt/triptych/bin/pip install ".[producers,transcribe,worker,consumers]" \
    && rm -r /opt/triptych/lib/python3.11/site-packages/triptych/training \
        /opt/triptych/lib/python3.11/site-packages/triptych/explaining \
    && TRIPTYCH_CACHE=/opt/triptych/cache /opt/triptych/bin/triptych models pull \
    && /opt/triptych/bin/pip uninstall --yes setuptools pip

FROM python:3.11-slim-bookworm
RUN python -m pip uninstall --yes wheel setuptools pip \
    && useradd --system --uid 10001 --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin triptych
COPY --from=build /opt/triptych /opt/triptych
ENV PATH=/opt/triptych/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    TRIPTYCH_CACHE=/opt/triptych/cache \
    TRIPTYCH_HTTP_HOST=0.0.0.0
USER 10001
EXPOSE 9464
STOPSIGNAL SIGTERM
ENTRYPOINT ["triptych"]
CMD ["--help"]
