"""The names of sidecar files, as other programs write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.producers.subtitles.sidecar import find_sidecars, language_in_name


def touch(folder: Path, *names: str) -> Path:
    """Make files, and return the first."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder / names[0]


def found(media: Path, wanted: str = "eng") -> list[str]:
    """Return the names of the sidecars, the best first."""
    return [sidecar.path.name for sidecar in find_sidecars(media, wanted).found]


@pytest.mark.parametrize(
    ("name", "language", "flags"),
    [
        ("film.srt", None, set()),
        ("film.en.srt", "en", set()),
        ("film.en.hi.srt", "en", {"hi"}),
        ("film.hi.en.srt", "en", {"hi"}),
        ("film.hi.srt", "hi", set()),
        ("film.hi.hi.srt", "hi", set()),
        ("film.en.sdh.srt", "en", {"sdh"}),
        ("film.sdh.srt", None, {"sdh"}),
        ("film.eng.cc.vtt", "eng", {"cc"}),
        ("film.cc.vtt", None, {"cc"}),
        ("film.en.forced.srt", "en", {"forced"}),
        ("film.en.foreign.srt", "en", {"forced"}),
        ("film.default.en.forced.ass", "en", {"default", "forced"}),
        ("film.English.srt", "en", set()),
        ("film.english-sdh.srt", "en", {"sdh"}),
        ("film.und.srt", None, set()),
        ("film.und.forced.srt", None, {"forced"}),
        ("film.pt-BR.srt", "pt-BR", set()),
        ("film.zh-Hant.srt", "zh-Hant", set()),
        ("film.pob.srt", "pt-BR", set()),
        ("film.en.1.srt", "en", set()),
        ("film.1.en.hi.srt", "en", {"hi"}),
        ("film_en.srt", "en", set()),
        ("film.[English] (SDH).srt", "en", {"sdh"}),
        ("FILM.EN.SRT", "EN", set()),
        ("Subs/film.en.srt", "en", set()),
        ("Subs/English.srt", "en", set()),
        ("subs/2_English.srt", "en", set()),
        ("Subtitles/film/3_French.srt", "fr", set()),
        ("film.en.ttml", "en", set()),
        ("film.en.smi", "en", set()),
    ],
)
def test_language_and_flags_are_in_the_name(tmp_path: Path, name: str, language: str | None, flags: set[str]) -> None:
    """Flags are no languages."""
    media = touch(tmp_path, "film.mkv", name)

    sidecars = find_sidecars(media, "eng")

    assert [(each.language, set(each.flags)) for each in sidecars.found] == [(language, flags)]
    assert sidecars.near_misses == ()


def test_the_wanted_language_comes_first_and_forced_subtitles_last(tmp_path: Path) -> None:
    """Then those without a language; default ones before others; those for the hard of hearing after others."""
    names = ["film.en.srt", "film.en.hi.srt", "film.en.forced.srt", "film.srt", "film.de.default.srt", "film.de.srt"]
    media = touch(tmp_path, "film.mkv", *reversed(names))

    assert found(media) == names
    assert found(media, "ger")[:3] == ["film.de.default.srt", "film.de.srt", "film.srt"]


def test_a_name_composes_letters_as_the_system_likes(tmp_path: Path) -> None:
    """MacOS writes an accent as a character of its own."""
    media = touch(tmp_path, "Ame\u0301lie.mkv", "Am\u00e9lie.fr.srt")

    assert found(media) == ["Am\u00e9lie.fr.srt"]


def test_the_subtitles_of_another_film_are_not_taken(tmp_path: Path) -> None:
    """Nor do they count as near misses."""
    media = touch(tmp_path, "film.mkv", "film.2.mkv", "film.2.en.srt", "film 3.mkv", "film 3.srt", "Subs/English.srt")

    sidecars = find_sidecars(media, "eng")

    assert sidecars.found == ()
    assert sidecars.near_misses == ()


@pytest.mark.parametrize(
    "name", ["film.2024.srt", "film2.srt", "film.directors_cut.srt", "fil.en.srt.srt", "other.srt"]
)
def test_near_misses_have_a_reason(tmp_path: Path, name: str) -> None:
    """Names that were probably meant."""
    media = touch(tmp_path, "film.mkv", name)

    sidecars = find_sidecars(media, "eng")

    assert sidecars.found == ()
    assert [(path.name, reason.partition(",")[0].split(" ")[0]) for path, reason in sidecars.near_misses] == [
        (name, "expected")
    ]


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("film.en.srt", "en"),
        ("film.srt", None),
        ("film.2024.srt", None),
        ("film.en.hi.srt", "en"),
        ("film.hi.srt", "hi"),
        ("film.German.forced.srt", "de"),
        ("film.sdh.srt", None),
        ("film.en.2.srt", "en"),
    ],
)
def test_the_name_of_a_stated_file_states_its_language(name: str, language: str | None) -> None:
    """Whatever the media file is called."""
    assert language_in_name(Path(name)) == language
