"""The adapters of public data sets, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from triptych.training.data.adapters.ave import ave
from triptych.training.data.adapters.crema_d import crema_d
from triptych.training.data.adapters.gathering import Gather
from triptych.training.data.adapters.hateful_memes import hateful_memes
from triptych.training.data.adapters.meld import meld
from triptych.training.data.adapters.mm_imdb import mm_imdb
from triptych.training.data.adapters.mmsa import mmsa
from triptych.training.data.adapters.msctd import msctd
from triptych.training.data.adapters.ravdess import ravdess
from triptych.training.data.adapters.vggsound import vggsound


@dataclass(frozen=True, slots=True)
class Adapter:
    """The function that gathers a data set, and a description of the layout that it reads."""

    gather: Gather
    layout: str


_MMSA: Final = "label.csv with Raw/VIDEO/CLIP.mp4, or a pickle of features"
_MELD: Final = "train_sent_emo.csv … with train_splits/dia0_utt0.mp4 …"

ADAPTERS: Final[Mapping[str, Adapter]] = {
    "mosi": Adapter(mmsa("mosi"), _MMSA),
    "mosei": Adapter(mmsa("mosei"), _MMSA),
    "ch-sims": Adapter(mmsa("ch-sims"), _MMSA),
    "meld": Adapter(meld("Emotion"), _MELD),
    "meld-sentiment": Adapter(meld("Sentiment"), _MELD),
    "crema-d": Adapter(crema_d, "VideoFlash/1001_DFA_ANG_XX.flv with AudioWAV/1001_DFA_ANG_XX.wav"),
    "ravdess": Adapter(ravdess, "Actor_01/01-01-06-01-02-01-12.mp4 …"),
    "ave": Adapter(ave, "trainSet.txt, valSet.txt, testSet.txt with AVE/ID.mp4"),
    "vggsound": Adapter(vggsound, "vggsound.csv with ID_000030.mp4 …"),
    "msctd": Adapter(msctd("english"), "ende/english_train.txt … with train_images/0.jpg …"),
    "msctd-german": Adapter(msctd("german"), "ende/german_train.txt … with train_images/0.jpg …"),
    "msctd-chinese": Adapter(msctd("chinese"), "enzh/chinese_train.txt … with train_images/0.jpg …"),
    "hateful-memes": Adapter(hateful_memes, "train.jsonl, dev_seen.jsonl … with img/42953.png …"),
    "mm-imdb": Adapter(mm_imdb, "split.json with dataset/ID.json and dataset/ID.jpeg"),
}
