# The images of Triptych, one target for each purpose:
#
#   docker build --target worker --tag triptych-worker:0.1.0 .
#
#   consumer     watch, alert, evidence, diff, dead, doctor, topics
#   describe     describe
#   page         page and index, with the front end
#   producer     produce, with speech to text
#   models       `triptych models pull`: the producer's image, and pip
#   worker       work, with CUDA, and the weights of the encoders; also all of the consumer's commands
#   worker-cpu   the same with PyTorch's CPU build, from the index that pip is given besides (PIP_EXTRA_INDEX_URL)
#
# BuildKit builds only the stages that a target needs. The classic builder builds all that stand above it.
# The packages are locked with checksums in docker/ (`make lock`). pip takes them from its configured index.

FROM python:3.11-slim-bookworm AS tools
# The front end of the page needs npm to build. It is a stage of its own, so that the other images do without.
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore TRIPTYCH_BUILD_WITHOUT_PAGE=1
COPY docker/build.txt /locks/
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --no-deps --requirement /locks/build.txt \
    && python -m venv --without-pip /opt/triptych
ENV PIP_PYTHON=/opt/triptych/bin/python
WORKDIR /build

# What pip knows about the project, without its code: what depends on it only is not built again when the code changes.
FROM tools AS metadata
COPY pyproject.toml hatch_build.py ./
RUN touch README.md LICENSE \
    && PIP_PYTHON="" /opt/build/bin/pip wheel --no-build-isolation --no-deps --wheel-dir /wheels . \
    && /opt/build/bin/pip install --no-deps --no-index --no-compile --target /metadata/lib/python3.11/site-packages /wheels/*.whl \
    && rm -r /metadata/lib/python3.11/site-packages/bin

# The programs without their packages. The wheel holds the training too, but nothing that serves imports it.
FROM tools AS code
COPY . .
RUN PIP_PYTHON="" /opt/build/bin/pip wheel --no-build-isolation --no-deps --wheel-dir /wheels . \
    && /opt/build/bin/pip install --no-deps --no-index /wheels/*.whl
WORKDIR /opt/triptych/lib/python3.11/site-packages
RUN rm -r triptych/training triptych/explaining \
    && mkdir -p /code/bin /code/lib/python3.11/site-packages \
    && mv /opt/triptych/bin/triptych /code/bin/ \
    && mv triptych triptych-*.dist-info /code/lib/python3.11/site-packages/

FROM python:3.11-slim-bookworm AS runtime
# An image runs as any user: /var/lib/triptych, for weights that are downloaded later, belongs to group 0 as well.
RUN python -m pip uninstall --yes wheel setuptools pip \
    && useradd --system --uid 10001 --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin triptych \
    && install --directory --owner=10001 --group=0 --mode=0775 /var/lib/triptych
ENV PATH=/opt/triptych/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    TRIPTYCH_CACHE=/var/lib/triptych:/opt/triptych/cache \
    TRIPTYCH_HTTP_HOST=0.0.0.0 \
    TRIPTYCH_PRODUCE_HTTP_HOST=0.0.0.0
USER 10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["triptych"]
CMD ["--help"]
LABEL org.opencontainers.image.title="Triptych" \
    org.opencontainers.image.description="Joins video, audio and subtitles of many live feeds in event time and runs a multimodal model on every window" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.authors="The Triptych authors" \
    org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm"

# --- consumer ------------------------------------------------------------------------------------------------------

FROM tools AS consumer-packages
COPY docker/consumer.txt /locks/
RUN /opt/build/bin/pip install --require-hashes --no-deps --requirement /locks/consumer.txt

FROM consumer-packages AS consumer-checked
COPY --from=metadata /metadata /opt/triptych
RUN /opt/build/bin/pip check \
    && /opt/build/bin/cyclonedx-py environment --output-reproducible --output-file /sbom.cdx.json /opt/triptych/bin/python

FROM runtime AS consumer
COPY --from=consumer-packages /opt/triptych /opt/triptych
COPY --from=consumer-checked /sbom.cdx.json /opt/triptych/
COPY --from=code /code /opt/triptych
ARG REVISION=""
LABEL org.opencontainers.image.revision=$REVISION

# --- describe ------------------------------------------------------------------------------------------------------

FROM tools AS describe-packages
COPY docker/describe.txt /locks/
RUN /opt/build/bin/pip install --require-hashes --no-deps --requirement /locks/describe.txt

FROM describe-packages AS describe-checked
COPY --from=metadata /metadata /opt/triptych
RUN /opt/build/bin/pip check \
    && /opt/build/bin/cyclonedx-py environment --output-reproducible --output-file /sbom.cdx.json /opt/triptych/bin/python

FROM runtime AS describe
COPY --from=describe-packages /opt/triptych /opt/triptych
COPY --from=describe-checked /sbom.cdx.json /opt/triptych/
COPY --from=code /code /opt/triptych
EXPOSE 9466
ARG REVISION=""
LABEL org.opencontainers.image.revision=$REVISION

# --- page ----------------------------------------------------------------------------------------------------------

FROM tools AS page-packages
COPY docker/page.txt /locks/
RUN /opt/build/bin/pip install --require-hashes --no-deps --requirement /locks/page.txt

FROM page-packages AS page-checked
COPY --from=metadata /metadata /opt/triptych
RUN /opt/build/bin/pip check \
    && /opt/build/bin/cyclonedx-py environment --output-reproducible --output-file /sbom.cdx.json /opt/triptych/bin/python

FROM tools AS page-front
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --no-install-recommends --yes nodejs npm && rm -rf /var/lib/apt/lists/*
COPY page page
COPY tools/build_page.py tools/
RUN python tools/build_page.py

FROM runtime AS page
ENV TRIPTYCH_PAGE_HTTP_HOST=0.0.0.0
COPY --from=page-packages /opt/triptych /opt/triptych
COPY --from=page-checked /sbom.cdx.json /opt/triptych/
COPY --from=code /code /opt/triptych
COPY --from=page-front /build/consumers/triptych/consumers/page/static /opt/triptych/lib/python3.11/site-packages/triptych/consumers/page/static
EXPOSE 8780 9467
ARG REVISION=""
LABEL org.opencontainers.image.revision=$REVISION

# --- producer ------------------------------------------------------------------------------------------------------

FROM tools AS producer-packages
COPY docker/producer.txt /locks/
RUN /opt/build/bin/pip install --require-hashes --no-deps --requirement /locks/producer.txt

FROM producer-packages AS producer-checked
COPY --from=metadata /metadata /opt/triptych
RUN /opt/build/bin/pip check \
    && /opt/build/bin/cyclonedx-py environment --output-reproducible --output-file /sbom.cdx.json /opt/triptych/bin/python

FROM runtime AS producer
COPY --from=producer-packages /opt/triptych /opt/triptych
COPY --from=producer-checked /sbom.cdx.json /opt/triptych/
COPY --from=code /code /opt/triptych
EXPOSE 9465
ARG REVISION=""
LABEL org.opencontainers.image.revision=$REVISION

# --- models --------------------------------------------------------------------------------------------------------

FROM producer AS models
COPY --from=tools /opt/build/lib/python3.11/site-packages/pip /opt/triptych/lib/python3.11/site-packages/pip
ENTRYPOINT ["triptych", "models"]
CMD ["list"]

# --- worker --------------------------------------------------------------------------------------------------------

FROM tools AS worker-packages
COPY docker/worker.txt /locks/
RUN /opt/build/bin/pip install --require-hashes --no-deps --requirement /locks/worker.txt

# Only the modules that download the weights, so that a change of another one does not download them again.
FROM worker-packages AS weights
COPY core/triptych/files.py /pull/triptych/
COPY schemas/triptych/schemas/__init__.py schemas/triptych/schemas/errors.py schemas/triptych/schemas/reasons.py /pull/triptych/schemas/
COPY models/triptych/models/pretrained /pull/triptych/models/pretrained
RUN PYTHONPATH=/pull:/opt/build/lib/python3.11/site-packages \
    /opt/triptych/bin/python -m triptych.models.pretrained.pull /opt/triptych/cache/models

FROM worker-packages AS worker-checked
COPY --from=metadata /metadata /opt/triptych
RUN /opt/build/bin/pip check \
    && /opt/build/bin/cyclonedx-py environment --output-reproducible --output-file /sbom.cdx.json /opt/triptych/bin/python

FROM runtime AS worker
COPY --from=worker-packages /opt/triptych /opt/triptych
COPY --from=weights /opt/triptych/cache /opt/triptych/cache
COPY --from=worker-checked /sbom.cdx.json /opt/triptych/
COPY --from=code /code /opt/triptych
EXPOSE 9464
ARG REVISION=""
LABEL org.opencontainers.image.revision=$REVISION

# --- worker-cpu ----------------------------------------------------------------------------------------------------

FROM tools AS worker-cpu-packages
ARG PIP_EXTRA_INDEX_URL=""
COPY docker/worker.txt docker/worker-cpu.txt /locks/
RUN /opt/build/bin/pip install --require-hashes --no-deps --requirement /locks/worker-cpu.txt \
    && sed -nE 's/^(torch[a-z]*==[0-9.]+).*/\1+cpu/p' /locks/worker.txt >/locks/torch.txt \
    && { /opt/build/bin/pip install --no-deps --requirement /locks/torch.txt \
        || { echo "worker-cpu needs PyTorch's CPU index: --build-arg PIP_EXTRA_INDEX_URL=URL" >&2; exit 1; }; }

FROM worker-cpu-packages AS weights-cpu
COPY core/triptych/files.py /pull/triptych/
COPY schemas/triptych/schemas/__init__.py schemas/triptych/schemas/errors.py schemas/triptych/schemas/reasons.py /pull/triptych/schemas/
COPY models/triptych/models/pretrained /pull/triptych/models/pretrained
RUN PYTHONPATH=/pull:/opt/build/lib/python3.11/site-packages \
    /opt/triptych/bin/python -m triptych.models.pretrained.pull /opt/triptych/cache/models

FROM worker-cpu-packages AS worker-cpu-checked
COPY --from=metadata /metadata /opt/triptych
RUN /opt/build/bin/pip check \
    && /opt/build/bin/cyclonedx-py environment --output-reproducible --output-file /sbom.cdx.json /opt/triptych/bin/python

FROM runtime AS worker-cpu
COPY --from=worker-cpu-packages /opt/triptych /opt/triptych
COPY --from=weights-cpu /opt/triptych/cache /opt/triptych/cache
COPY --from=worker-cpu-checked /sbom.cdx.json /opt/triptych/
COPY --from=code /code /opt/triptych
EXPOSE 9464
ARG REVISION=""
LABEL org.opencontainers.image.revision=$REVISION
