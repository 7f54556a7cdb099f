"""Each public data set, in its own layout, becomes a valid manifest with usable items."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from triptych.models.model import InputSpec
from triptych.schemas.errors import UsageError
from triptych.training.data.adapters.conversion import Conversion, convert
from triptych.training.data.adapters.registry import ADAPTERS
from triptych.training.data.clip_records import clip_records
from triptych.training.data.labelled_windows import labelled_windows, task_of
from triptych.training.data.manifest import Item, read_manifest, write_manifest

Lay = Callable[..., None]
SPEC = InputSpec(frames=2, height=16, width=16, sample_rate_hz=16_000, text_tokens=8)


def by_id(conversion: Conversion) -> dict[str, Item]:
    """Return the items after a round trip of the manifest."""
    write_manifest(conversion.manifest)
    read = read_manifest(conversion.manifest.folder)
    assert read == conversion.manifest
    return {item.id: item for item in read.items}


def label_of(conversion: Conversion, item: Item) -> str:
    """Return the name of an item's label."""
    assert isinstance(item.label, int)
    return conversion.manifest.labels.labels[item.label]


def sees(conversion: Conversion, item: Item) -> tuple[int, bool, list[str]]:
    """Return the number of frames, whether there is audio, and the text of an item's first window."""
    task = task_of(conversion.manifest, SPEC, 2_000_000_000)
    window = labelled_windows(item, conversion.manifest.folder, task, clip_records).examples[0].window
    return len(window.frames_hwc_u8), bool(window.audio_present), [cue.text for cue in window.cues]


def test_meld(root: Path, to: Path, lay: Lay) -> None:
    """Dialogue numbers that restart in each split, Windows quotes, a missing clip and a broken one."""
    header = b"Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
    times = b'1,1,"00:16:16,059","00:16:21,731"\n'
    lay(
        ["train_splits/dia0_utt0.mp4", "dev_splits_complete/dia0_utt0.mp4"],
        broken=["output_repeated_splits_test/dia0_utt0.mp4"],
    )
    for split, lines in {
        "train": [b"1,I don\x92t know,Joey,surprise,positive,0,0," + times, b"2,So?,Ross,joy,positive,0,1," + times],
        "dev": [
            "1,\u201cOh\u201d \u2013 no,Joey,anger,negative,0,0,".encode() + times,
            b"2,Hm,Ross,bored,positive,0,1," + times,
        ],
        "test": [b"1,Yes,Joey,neutral,neutral,0,0," + times],
    }.items():
        (root / f"{split}_sent_emo.csv").write_bytes(header + b"".join(lines))
    conversion = convert("meld", root, to)
    items = by_id(conversion)
    assert {name: (item.split, item.group, label_of(conversion, item)) for name, item in items.items()} == {
        "train/dia0_utt0": ("train", "train/dia0", "surprise"),
        "train/dia0_utt1": ("train", "train/dia0", "joy"),
        "dev/dia0_utt0": ("validation", "dev/dia0", "anger"),
        "test/dia0_utt0": ("test", "test/dia0", "neutral"),
    }
    assert [sees(conversion, items[name]) for name in ("train/dia0_utt0", "train/dia0_utt1", "dev/dia0_utt0")] == [
        (2, True, ["I don\u2019t know"]),
        (0, False, ["So?"]),
        (2, True, ["\u201cOh\u201d \u2013 no"]),
    ]
    assert items["train/dia0_utt0"].video == "../root/train_splits/dia0_utt0.mp4"
    assert items["test/dia0_utt0"].video is None
    said = "\n".join(conversion.problems)
    for problem in ("train/dia0_utt1: clip is missing", "dev/dia0_utt1: expected one of", "test/dia0_utt0: "):
        assert problem in said
    of_sentiment = convert("meld-sentiment", root, to)
    assert label_of(of_sentiment, of_sentiment.manifest.items[0]) == "positive"


def test_crema_d(root: Path, to: Path, lay: Lay) -> None:
    """Flash films with separate audio, and raters' votes. Actors are in one split. Unreadable films are left out."""
    stems = [f"{actor}_DFA_{emotion}_XX" for actor in range(1001, 1011) for emotion in ("ANG", "HAP")]
    lay(
        [f"VideoFlash/{stem}.flv" for stem in stems[1:]] + [f"AudioWAV/{stem}.wav" for stem in [*stems, "notes"]],
        broken=[f"VideoFlash/{stems[0]}.flv"],
    )
    (root / "processedResults").mkdir()
    (root / "processedResults" / "summaryTable.csv").write_text(
        '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"\n'
        f'"1","{stems[1]}","N","50","H","60","H","60"\n"2","{stems[2]}","A:N","50","D","60","A","60"\n'
    )
    conversion = convert("crema-d", root, to)
    items = by_id(conversion)
    assert len(items) == 20
    assert sees(conversion, items[stems[1]]) == (2, True, ["Don't forget a jacket."])
    assert label_of(conversion, items[stems[1]]) == "happiness"
    labels = conversion.manifest.labels.labels
    assert items[stems[1]].label_per_modality == {"audio": labels.index("neutral"), "video": labels.index("happiness")}
    assert items[stems[2]].label_per_modality == {"video": labels.index("disgust")}
    assert items[stems[0]].video is None
    assert items[stems[0]].audio is not None
    assert [problem.partition(":")[0] for problem in conversion.problems] == ["notes", stems[0]]
    splits = {item.group: item.split for item in items.values()}
    assert [list(splits.values()).count(split) for split in ("train", "validation", "test")] == [6, 2, 2]


def test_ravdess(root: Path, to: Path, lay: Lay) -> None:
    """Three files of one performance are one item. Without the film, the silent film and the audio file make it."""
    performance = "01-06-01-02-01-{actor:02}"
    names = [f"Actor_{actor:02}/01-{performance.format(actor=actor)}.mp4" for actor in range(1, 8)]
    others = [
        "Actor_01/02-01-06-01-02-01-01.mp4", "Actor_01/03-01-06-01-02-01-01.wav",
        "Actor_08/02-01-08-01-01-01-08.mp4", "Actor_08/03-01-08-01-01-01-08.wav", "Actor_08/readme.wav",
    ]  # fmt: skip
    lay(names + others)
    conversion = convert("ravdess", root, to)
    items = by_id(conversion)
    assert len(items) == 8
    first, last = items["01-06-01-02-01-01"], items["01-08-01-01-01-08"]
    assert (first.video, first.audio) == (f"../root/{names[0]}", f"../root/{names[0]}")
    assert (last.video, last.audio) == (f"../root/{others[2]}", f"../root/{others[3]}")
    assert (label_of(conversion, first), label_of(conversion, last)) == ("fearful", "surprised")
    assert sees(conversion, last) == (2, True, ["Kids are talking by the door."])
    assert first.group == "01"
    assert conversion.problems == ("readme: expected a name like 01-01-06-01-02-01-12, and .mp4 or .wav",)


def test_ave(root: Path, to: Path, lay: Lay) -> None:
    """An event in its film and the background around it, all in the film's split."""
    lay(["AVE/-pyreSm_sQs.mp4", "AVE/abc.mp4", "AVE/def.mp4"])
    (root / "trainSet.txt").write_text("Church bell&-pyreSm_sQs&good&3&9\nBark&gone&good&0&10\nBark&odd\n")
    (root / "valSet.txt").write_text("Bark&abc&good&0&10\n")
    (root / "testSet.txt").write_text("Category&VideoID&Quality&StartTime&EndTime\nBark&def&good&0&0\n")
    conversion = convert("ave", root, to)
    items = by_id(conversion)
    assert {name: (item.t0, item.t1, label_of(conversion, item), item.split) for name, item in items.items()} == {
        "-pyreSm_sQs@0": (0, 3, "background", "train"),
        "-pyreSm_sQs@3": (3, 9, "Church bell", "train"),
        "-pyreSm_sQs@9": (9, 10, "background", "train"),
        "abc@0": (0, 10, "Bark", "validation"),
        "def@0": (0, 10, "background", "test"),
    }
    assert sees(conversion, items["abc@0"]) == (2, True, [])
    assert [problem.partition(":")[0] for problem in conversion.problems] == ["trainSet.txt, line 3", "gone"]


def test_vggsound(root: Path, to: Path, lay: Lay) -> None:
    """Labels with commas, films and audio files, no validation split, and a video whose clips are in two splits."""
    videos = [f"v{number}" for number in range(12)]
    lay([f"video/{video}_000030.mp4" for video in videos] + ["audio/torn_000010.wav", "audio/torn_000020.wav"])
    lines = [f'{video},30,"dog barking, far",{"test" if video == "v0" else "train"}' for video in videos]
    lines += ["torn,10,train horning,train", "torn,20,train horning,test", "lost,1,train horning,train", "odd,x"]
    (root / "vggsound.csv").write_text("\n".join(lines) + "\n")
    conversion = convert("vggsound", root, to)
    items = by_id(conversion)
    assert conversion.manifest.labels.labels == ("dog barking, far", "train horning")
    assert {name for name, item in items.items() if item.split == "test"} == {"v0_000030", "torn_000020"}
    assert sum(item.split == "validation" for item in items.values()) == 1
    assert "torn_000010" not in items
    assert items["torn_000020"].video is None
    assert sees(conversion, items["v0_000030"]) == (2, True, [])
    said = "\n".join(conversion.problems)
    for problem in (
        "1 of 14 items left out, because their groups",
        "lost_000001: clip is missing",
        "1 lines are not id",
    ):
        assert problem in said
    regrouped = convert("vggsound", root, to, regroup=True).manifest.items
    assert {"torn_000010", "torn_000020"} <= {item.id for item in regrouped}


@pytest.mark.parametrize(("name", "language"), [("msctd", "english"), ("msctd-chinese", "chinese")])
def test_msctd(root: Path, to: Path, lay: Lay, name: str, language: str) -> None:
    """An image and a line each. The index, with or without line numbers, defines the dialogues."""
    folder = root / ("ende" if language == "english" else "enzh")
    folder.mkdir()
    for split in ("train", "dev", "test"):
        (folder / f"{language}_{split}.txt").write_text("你好\nSo what?\nGo.\n", encoding="utf-8")
        (folder / f"sentiment_{split}.txt").write_text("0\n1\n2\n")
        (folder / f"image_index_{split}.txt").write_text("[0, 1]\n[2]\n" if split == "train" else "0\t[0]\n1\t[1]\n")
        lay([f"{split}_images/{number}.jpg" for number in range(2)])
    conversion = convert(name, root, to)
    items = by_id(conversion)
    assert [items[f"train/{number}"].group for number in range(3)] == ["train/0", "train/0", "train/1"]
    assert [label_of(conversion, items[f"train/{number}"]) for number in range(3)] == _SENTIMENTS
    assert sees(conversion, items["train/0"]) == (1, False, ["你好"])
    assert items["train/2"].video is None
    assert "dev/2" not in items
    assert "train/2: picture is missing" in conversion.problems


_SENTIMENTS = ["neutral", "negative", "positive"]


def test_hateful_memes(root: Path, to: Path, lay: Lay) -> None:
    """An image and its text. Test files without labels are reported, and memes in two files are used once."""
    lay(["img/00001.png", "img/00002.png"], broken=["img/00003.png"])
    files = {
        "train": [{"id": 1, "img": "img/00001.png", "label": 1, "text": "look"}],
        "dev_seen": [{"id": 2, "img": "img/00002.png", "label": 0, "text": "a cat"}],
        "dev_unseen": [{"id": 2, "img": "img/00002.png", "label": 0, "text": "a cat"}],
        "test_seen": [{"id": 4, "img": "img/00004.png", "text": "who"}],
        "test_unseen": [{"id": 3, "img": "img/00003.png", "label": 0, "text": "b"}],
    }
    for name, memes in files.items():
        (root / f"{name}.jsonl").write_text("".join(json.dumps(meme) + "\n" for meme in memes) + "{\n")
    conversion = convert("hateful-memes", root, to)
    items = by_id(conversion)
    assert [(item.id, item.split, label_of(conversion, item)) for item in items.values()] == [
        ("1", "train", "hateful"), ("2", "validation", "not hateful"), ("3", "test", "not hateful"),
    ]  # fmt: skip
    assert sees(conversion, items["1"]) == (1, False, ["look"])
    assert items["3"].video is None
    said = "\n".join(conversion.problems)
    assert "test_seen.jsonl: 1 memes without a label left out" in said
    assert "train.jsonl, line 2: expected an object" in said


def test_mm_imdb(root: Path, to: Path, lay: Lay) -> None:
    """Several genres, the longest plot, a film with a broken file, and one with an unused genre only."""
    lay([f"dataset/000000{number}.jpeg" for number in (1, 2)])
    films = {1: (["Drama", "War", "Adult"], ["short", "much longer"]), 2: (["Western"], []), 3: (["Adult"], ["x"])}
    for number, (genres, plots) in films.items():
        (root / "dataset" / f"000000{number}.json").write_text(json.dumps({"genres": genres, "plot": plots}))
    (root / "dataset" / "0000004.json").write_text("{")
    splits = {"train": ["0000001", "0000003", "0000004", "0000005"], "dev": ["0000002"], "test": []}
    (root / "split.json").write_text(json.dumps(splits))
    conversion = convert("mm-imdb", root, to)
    items = by_id(conversion)
    labels = conversion.manifest.labels.labels
    assert [[labels[index] for index in item.label] for item in items.values()] == [["Drama", "War"], ["Western"]]  # type: ignore[union-attr]
    assert sees(conversion, items["0000001"]) == (1, False, ["much longer"])
    assert items["0000002"].text is None
    assert [problem.partition(":")[0] for problem in conversion.problems] == ["0000003", "0000004", "0000005"]


def test_sentiment_clips(root: Path, to: Path, lay: Lay) -> None:
    """Numeric labels, also for each modality, and clip names whose leading zeros were removed by a spreadsheet."""
    lay(["Raw/video_0001/0001.mp4", "Raw/-t217m3on-s/7.mp4"])
    (root / "label.csv").write_text(
        "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode\n"
        "video_0001,1,真好,0.8,0.6,,1.0,Positive,train\n-t217m3on-s,7,BUT NO,-1.5,,,,Negative,test\n"
        "video_0009,1,gone,0.0,,,,Neutral,valid\nvideo_0009,2,odd,x,,,,Neutral,valid\n"
    )
    conversion = convert("ch-sims", root, to)
    items = by_id(conversion)
    assert [(item.label, item.split, item.group) for item in items.values()] == [
        (0.8, "train", "video_0001"), (-1.5, "test", "-t217m3on-s"), (0.0, "validation", "video_0009"),
    ]  # fmt: skip
    assert items["video_0001/1"].label_per_modality == {"text": 0.6, "video": 1.0}
    assert sees(conversion, items["video_0001/1"]) == (2, True, ["真好"])
    assert conversion.problems[0] == "video_0009/1: clip is missing"
    assert conversion.problems[1].startswith("video_0009/2: expected a number")


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_folder_with_another_layout_is_rejected(name: str, root: Path, to: Path) -> None:
    """The message says what was expected."""
    (root / "notes.txt").write_text("nothing")
    with pytest.raises(UsageError, match="expected"):
        convert(name, root, to)


def test_an_unknown_data_set_is_rejected(root: Path, to: Path) -> None:
    """The message lists the known ones."""
    with pytest.raises(UsageError, match="there are: mosi, mosei"):
        convert("imagenet", root, to)
    with pytest.raises(UsageError, match="expected the data set meld, got nothing"):
        convert("meld", root / "away", to)
