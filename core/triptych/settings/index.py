"""Settings of the index of the search."""

from __future__ import annotations

from pathlib import Path

from triptych.settings.section import Section, read_secret


class IndexSettings(Section):
    """The index that `triptych index` writes. Where it is, a flag of each command says."""

    password_file: Path | None = None
    """File that holds the password of the user in the URL of an index on PostgreSQL, read when the index is opened.
    Without it, PostgreSQL's own places count: `PGPASSWORD`, `~/.pgpass`."""

    def password(self) -> str | None:
        """Return the password; None if no file is set.

        Raises:
            SettingsError: the file cannot be read.
        """
        return None if self.password_file is None else read_secret(self.password_file, "index.password_file")
