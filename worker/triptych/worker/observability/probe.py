"""The health check of a worker, under the name that earlier deployments call: see `triptych.service.probe`."""

from __future__ import annotations

import sys

from triptych.service.probe import main

if __name__ == "__main__":
    sys.exit(main())
