"""Settings of the recommender."""

from __future__ import annotations

from triptych.settings.section import Section


class RecommendSettings(Section):
    """What `triptych recommend`, `interact` and `recommender` use (docs/recommending.md)."""

    secret_file: str = ""
    """File with the secret of the pseudonyms, 16 bytes or more. All programs that name users need the same one.
    Without it, nobody can tell which pseudonym a user has; whoever has it can."""

    model: str = ""
    """File that `triptych recommender train` writes and `triptych recommend` reads. By default
    triptych/recommend/PIPELINE.safetensors in $XDG_DATA_HOME or ~/.local/share."""
