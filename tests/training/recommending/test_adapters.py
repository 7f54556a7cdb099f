"""Interactions of public data sets, from small files of the same layouts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from triptych.schemas.errors import UsageError
from triptych.training.recommending.adapters.imported import ImportedEvent, ImportedItem, stream_name
from triptych.training.recommending.adapters.rating_sets import RATING_SETS
from triptych.units import NS_PER_MS, NS_PER_S

SECONDS = 881_250_949
TIME_NS = SECONDS * NS_PER_S


def read(name: str, path: Path) -> tuple[list[ImportedEvent], list[ImportedItem]]:
    """Return all events and items."""
    found = RATING_SETS[name](path)
    return list(found.events), list(found.items)


GENRES_100K = "|".join(["0", "0", "0", "1", "1", "1", *["0"] * 13])
MOVIELENS = {
    "100k": {
        "u.data": f"196\t242\t5\t{SECONDS}\n22\t377\t1\t{SECONDS}\n",
        "u.item": f"242|Usual Suspects, The (1995)|01-Jan-1995||http://x|{GENRES_100K}\n",
    },
    "1M": {
        "ratings.dat": f"196::242::5::{SECONDS}\n22::377::1::{SECONDS}\n",
        "movies.dat": "242::Usual Suspects, The (1995)::Animation|Children's|Comedy\n",
    },
    "25M": {
        "ratings.csv": f"userId,movieId,rating,timestamp\n196,242,4.5,{SECONDS}\n22,377,1.0,{SECONDS}\n",
        "movies.csv": 'movieId,title,genres\n242,"Usual Suspects, The (1995)",Animation|Children\'s|Comedy\n',
    },
    "recbole": {
        "ml-100k.inter": f"user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t5\t{SECONDS}\n"
        f"22\t377\t1\t{SECONDS}\n",
        "ml-100k.item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "242\tUsual Suspects, The (1995)\t1995\tAnimation Children's Comedy\n",
    },
}


@pytest.mark.parametrize("layout", MOVIELENS)
def test_movielens_in_each_of_its_layouts(tmp_path: Path, layout: str) -> None:
    """Ratings become actions; the article of a title stands in front."""
    for name, content in MOVIELENS[layout].items():
        (tmp_path / name).write_text(content)
    events, items = read("movielens", tmp_path)
    assert events == [
        ImportedEvent("196", "242", "liked", TIME_NS),
        ImportedEvent("22", "377", "skipped", TIME_NS),
    ]
    assert items == [ImportedItem("242", "The Usual Suspects (1995)", ("Animation", "Children's", "Comedy"))]


def test_microlens_as_table_and_as_lists(tmp_path: Path) -> None:
    """The table has times in milliseconds; the lists have the order only."""
    (tmp_path / "MicroLens-100k_pairs.tsv").write_text("7\t15 12\n8\t12\n")
    (tmp_path / "MicroLens-100k_title_en.csv").write_text('item,title\n15,"A cat, asleep"\n12,\n')
    events, items = read("microlens", tmp_path)
    assert events == [
        ImportedEvent("7", "15", "watched", 0),
        ImportedEvent("7", "12", "watched", NS_PER_S),
        ImportedEvent("8", "12", "watched", 0),
    ]
    assert items == [ImportedItem("15", "A cat, asleep")]
    (tmp_path / "MicroLens-100k_pairs.csv").write_text(f"user,item,timestamp\n7,15,{SECONDS}123\n")
    events, _ = read("microlens", tmp_path)
    assert events == [ImportedEvent("7", "15", "watched", TIME_NS + 123 * NS_PER_MS)]


AMAZON = {
    "2018.json.gz": [
        {"reviewerID": "A1", "asin": "B01", "overall": 5.0, "unixReviewTime": SECONDS},
        {"reviewerID": "A2", "asin": "B02", "overall": 3.0, "unixReviewTime": SECONDS},
    ],
    "2023.jsonl": [
        {"user_id": "A1", "parent_asin": "B01", "rating": 5.0, "timestamp": SECONDS * 1_000},
        {"user_id": "A2", "asin": "B02", "rating": 3.0, "timestamp": SECONDS * 1_000},
    ],
    "2018.csv": f"B01,A1,5.0,{SECONDS}\nB02,A2,3.0,{SECONDS}\n",
    "2023.csv": f"user_id,parent_asin,rating,timestamp\nA1,B01,5.0,{SECONDS}000\nA2,B02,3.0,{SECONDS}000\n",
}


@pytest.mark.parametrize("name", AMAZON)
def test_amazon_of_both_years(tmp_path: Path, name: str) -> None:
    """As JSON lines or CSV, compressed or not, with the metadata beside."""
    content = AMAZON[name]
    text = content if isinstance(content, str) else "".join(f"{json.dumps(row)}\n" for row in content)
    file = tmp_path / name
    if name.endswith(".gz"):
        file.write_bytes(gzip.compress(text.encode()))
    else:
        file.write_text(text)
    (tmp_path / "meta_toys.jsonl").write_text('{"parent_asin": "B01", "title": "A kite", "categories": ["Toys"]}\n')
    for path in (tmp_path, file):
        events, items = read("amazon", path)
        assert events == [
            ImportedEvent("A1", "B01", "liked", TIME_NS),
            ImportedEvent("A2", "B02", "watched", TIME_NS),
        ]
        assert items == [ImportedItem("B01", "A kite", ("Toys",))]


def test_amazon_of_several_categories(tmp_path: Path) -> None:
    """The titles are those of the category whose reviews are named. Of a folder with several, one must be named."""
    for category in ("Books", "Toys"):
        row = {"user_id": "A1", "parent_asin": "B01", "rating": 5, "timestamp": 1}
        (tmp_path / f"{category}.jsonl").write_text(json.dumps(row))
        (tmp_path / f"meta_{category}.jsonl").write_text(json.dumps({"parent_asin": "B01", "title": f"Of {category}"}))
    assert read("amazon", tmp_path / "Toys.jsonl")[1] == [ImportedItem("B01", "Of Toys")]
    with pytest.raises(UsageError, match=r"expected one file of reviews, found 2: Books.jsonl, Toys.jsonl"):
        read("amazon", tmp_path)
    (tmp_path / "Toys.jsonl").rename(tmp_path / "Toys_5.json")
    assert read("amazon", tmp_path / "Toys_5.json")[1] == [ImportedItem("B01", "Of Toys")]
    (tmp_path / "Toys_5.json").rename(tmp_path / "Other.json")
    assert read("amazon", tmp_path / "Other.json")[1] == []


def test_long_names_that_differ_at_their_end_are_different_streams() -> None:
    """A stream's name has a limit."""
    first, second = (stream_name("amazon", "x" * 200 + end) for end in "ab")
    assert first != second
    assert max(len(first), len(second)) <= 128
    assert stream_name("amazon", "B01") == "amazon-B01"


@pytest.mark.parametrize(
    ("name", "file", "content", "expected"),
    [
        ("movielens", "u.data", "1\t2\t3\n", "line 1: expected 4 columns, got 3"),
        ("movielens", "u.data", "1\t2\tgood\t4\n", "line 1: expected a rating from 0 to 5, got 'good'"),
        ("movielens", "u.data", "1\t2\t9\t4\n", "line 1: expected a rating from 0 to 5, got '9'"),
        ("movielens", "u.data", "1\t \t3\t4\n", "line 1: expected the names of a user and of an item, got '1' and ''"),
        ("microlens", "x_pairs.csv", ",2,3\n", "line 1: expected the names of a user and of an item"),
        ("amazon", "x.csv", "1,,5,3\n", "line 1: expected the names of a user and of an item"),
        ("movielens", "u.data", "1\t2\tnan\t4\n", "line 1: expected a rating from 0 to 5, got 'nan'"),
        ("movielens", "u.data", "1\t2\t3\tinf\n", "line 1: expected a time in seconds, got 'inf'"),
        ("movielens", "u.data", "1\t2\t3\t-4\n", "line 1: expected a time in seconds, got '-4'"),
        ("movielens", "u.data", "1\t2\t3\t881250949000\n", "line 1: expected a time in seconds, got '881250949000'"),
        ("microlens", "x_pairs.csv", "1,2,now\n", "line 1: expected a time in milliseconds"),
        ("microlens", "x_pairs.tsv", "1 2\n", "line 1: expected 2 columns"),
        ("amazon", "x.jsonl", "{}\n", "line 1: expected user_id"),
        ("amazon", "x.jsonl", "[]\n", "line 1: expected a JSON object"),
        ("amazon", "x.jsonl", "{\n", "line 1: expected a JSON object"),
        ("amazon", "x.csv", "1,2\n", "line 1: expected 4 columns"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, name: str, file: str, content: str, expected: str) -> None:
    """With the file, the line, what was expected and what came."""
    (tmp_path / file).write_text(content)
    with pytest.raises(UsageError, match=expected):
        read(name, tmp_path)


@pytest.mark.parametrize("name", RATING_SETS)
def test_a_folder_without_the_layout_is_named(tmp_path: Path, name: str) -> None:
    """With the files that were expected."""
    with pytest.raises(UsageError, match="expected"):
        read(name, tmp_path)
