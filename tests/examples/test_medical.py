"""The example with images and records: reading, removal of identity, ceilings, masks, rules, layouts, and a stream."""

from __future__ import annotations

import csv
import json
import re
import sys
import warnings
from itertools import pairwise
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from examples.medical import run, stream
from examples.medical.dicom import deidentified, displayed, pseudonym, read_dicom
from examples.medical.expert_rules import cited_rules
from examples.medical.loaders import LabelledStudy, read_medmnist, read_mimic_cxr, read_nih
from examples.medical.model import FitOptions, RecordsModel
from examples.medical.notice import NOTICE
from examples.medical.phantoms import FINDINGS, RATES, SOURCES, Scanner, draw_phantom, phantom_ceiling, write_study
from examples.medical.records import FIELDS, read_record
from examples.medical.scoring import detection_scores
from examples.medical.studies import Study, read_study
from triptych.schemas.errors import UsageError

QUIET = Scanner("quiet", noise=0.0)


LOINC = "http://loinc.org"


@pytest.fixture
def study_folder(tmp_path: Path) -> Path:
    """A phantom's files."""
    write_study(draw_phantom("test/1"), tmp_path / "study", QUIET)
    return tmp_path / "study"


def change(file: Path, **attributes: object) -> Path:
    """Change attributes of a DICOM file; None removes one."""
    image = pydicom.dcmread(file)
    for keyword, value in attributes.items():
        if value is None:
            delattr(image, keyword)
        else:
            setattr(image, keyword, value)
    image.save_as(file)
    return file


# --- DICOM ------------------------------------------------------------------------------------------------------------


def test_an_inverted_and_mirrored_image_is_displayed_like_the_usual_one(tmp_path: Path) -> None:
    """Polarity and orientation are applied, whatever the scanner stored."""
    phantom = draw_phantom("test/2")
    shown = []
    for scanner in (QUIET, Scanner("quiet", noise=0.0, inverted=True, mirrored=True)):
        folder = tmp_path / str(scanner.inverted)
        write_study(phantom, folder, scanner)
        shown.append(read_dicom(folder / "image.dcm"))

    assert all(image.is_oriented for image in shown)
    assert np.abs(shown[0].frames.astype(int) - shown[1].frames.astype(int)).max() <= 1
    assert shown[0].frames.std() > 20
    assert not np.array_equal(shown[0].frames, shown[0].frames[:, :, ::-1])


def test_the_window_of_the_file_is_applied(study_folder: Path) -> None:
    """Values above the window are white, values below it black."""
    file = change(study_folder / "image.dcm", WindowCenter=1_500, WindowWidth=200)

    frame, stored = read_dicom(file).frames[0], pydicom.dcmread(file).pixel_array

    assert set(frame[stored > 1_600]) == {255}
    assert set(frame[stored < 1_400]) == {0}


def test_the_lookup_table_of_the_file_is_applied(study_folder: Path) -> None:
    """A VOI LUT that turns all values below 2,048 into the darkest grey."""
    table = Dataset()
    table.LUTDescriptor = [4_096, 0, 8]
    table.LUTData = [0] * 2_048 + [255] * 2_048
    file = study_folder / "image.dcm"
    image = pydicom.dcmread(file)
    del image.WindowCenter, image.WindowWidth
    table.LUTExplanation = "for Mr Somebody"
    image.VOILUTSequence = Sequence([table])

    assert "Somebody" not in str(deidentified(image, "image"))
    frame = displayed(deidentified(image, "image"), "image").frames[0]

    assert set(frame[image.pixel_array < 2_048]) == {0}
    assert set(frame[image.pixel_array >= 2_048]) == {255}


def test_nothing_that_identifies_a_person_is_kept(study_folder: Path) -> None:
    """Neither names, dates and institutions, nor private attributes, nor the UID."""
    image = pydicom.dcmread(study_folder / "image.dcm")
    image.OperatorsName = "Somebody"  # an attribute that the phantoms do not have

    kept = deidentified(image, "image")

    text = str(kept)
    assert not any(word in text for word in ("Invented", "PHANTOM", "19500101", "20260101", "private", "Somebody"))
    assert not any(element.tag.is_private for element in kept)
    assert kept.SOPInstanceUID != image.SOPInstanceUID
    assert kept.PatientIdentityRemoved == "YES"
    assert "Invented" in str(image)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"BurnedInAnnotation": "YES"}, "states that text is burned"),
        ({"BurnedInAnnotation": None, "Modality": "US"}, "expected BurnedInAnnotation NO"),
        ({"PixelData": None}, "without pixels"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "expected grey pixels or 8-bit colour"),
    ],
)
def test_an_image_that_may_have_burned_in_text_is_refused(
    study_folder: Path, changes: dict[str, object], message: str
) -> None:
    """And so is a file without an image; the message names the file."""
    file = change(study_folder / "image.dcm", **changes)

    with pytest.raises(UsageError, match=message) as raised:
        read_dicom(file)

    assert str(file) in str(raised.value)


def test_other_files_are_refused_and_chest_images_need_no_statement(study_folder: Path) -> None:
    """A report is no image."""
    assert read_dicom(change(study_folder / "image.dcm", BurnedInAnnotation=None)).modality == "CR"
    with pytest.raises(UsageError, match="expected a DICOM file"):
        read_dicom(study_folder / "report.txt")


@pytest.mark.parametrize(
    "changes",
    [
        {"NumberOfFrames": 2},
        {"Rows": 7},
        {"SamplesPerPixel": 1, "PhotometricInterpretation": "RGB", "BitsStored": 8},
        {"WindowWidth": 0, "WindowCenter": 10},
        {"RescaleSlope": "", "RescaleIntercept": ""},
        {"VOILUTSequence": Sequence()},
        {"VOILUTSequence": Sequence([Dataset()])},
        {"PixelData": b""},
    ],
)
def test_an_image_that_contradicts_itself_is_refused(study_folder: Path, changes: dict[str, object]) -> None:
    """As a mistake of the file, which is named."""
    file = change(study_folder / "image.dcm", **changes)
    with warnings.catch_warnings(action="ignore"), pytest.raises(UsageError, match=re.escape(str(file))):
        read_dicom(file)


def test_a_damaged_file_is_read_or_refused(study_folder: Path) -> None:
    """Whichever bytes are wrong."""
    file, chance = study_folder / "image.dcm", Random(7)  # noqa: S311 - no secret
    whole = file.read_bytes()
    outcomes: set[str] = set()
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 5)):
            damaged[chance.randrange(128, 2_000)] = chance.randrange(256)
        file.write_bytes(damaged)
        with warnings.catch_warnings(action="ignore"):  # pydicom's, about the damage
            try:
                outcomes.add(str(read_dicom(file).frames.dtype))
            except UsageError:
                outcomes.add("refused")
    assert outcomes == {"uint8", "refused"}


def test_a_negative_slope_turns_the_window(study_folder: Path) -> None:
    """The image is not black. A time between frames that cannot be is not stated."""
    slope = {"RescaleSlope": -1, "RescaleIntercept": 0, "WindowCenter": -2_000, "WindowWidth": 4_000, "FrameTime": -5}
    turned = read_dicom(change(study_folder / "image.dcm", **slope))
    assert turned.frames.min() < turned.frames.max()
    assert turned.frame_ms is None


def test_pseudonyms_depend_on_the_key() -> None:
    """Without the key, nobody can compute them from a list of ids."""
    assert pseudonym("1234", b"a") == pseudonym("1234", b"a")
    assert len({pseudonym("1234", b"a"), pseudonym("1234", b"b"), pseudonym("1235", b"a")}) == 3


# --- records and rules ------------------------------------------------------------------------------------------------


def test_a_missing_value_is_no_zero(study_folder: Path) -> None:
    """The second half of the vector says what is there."""
    file = study_folder / "record.json"
    whole = read_record(file)
    bundle = json.loads(file.read_text())
    bundle["entry"] = bundle["entry"][:2]  # the patient and one observation
    file.write_text(json.dumps(bundle))

    partial = read_record(file)

    assert set(whole.values) == set(FIELDS)
    assert set(partial.values) == {"pack_years", "is_female", "age_decade"}
    assert partial.vector()[0, len(FIELDS) :].tolist() == [float(name in partial.values) for name in FIELDS]
    assert partial.values["age_decade"] in range(10)
    file.write_text("[]")
    with pytest.raises(UsageError, match="Bundle"):
        read_record(file)


def crp(value: object, **changes: object) -> dict[str, object]:
    """Return an observation of C reactive protein."""
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "1988-5"}]},
        "effectiveDateTime": "2020-01-01",
        "valueQuantity": {"value": value, "unit": "mg/L"},
    } | changes


def bundle_of(*resources: object) -> str:
    """Return a FHIR bundle."""
    return json.dumps({"resourceType": "Bundle", "entry": [{"resource": resource} for resource in resources]})


def test_the_latest_valid_observation_counts(tmp_path: Path) -> None:
    """Wherever it stands. What was entered in error, or is of another kind, does not."""
    file = tmp_path / "record.json"
    file.write_text(
        bundle_of(
            crp(3.0),
            crp(9.0, effectiveDateTime="2010-01-01"),
            crp(99.0, status="entered-in-error", effectiveDateTime="2026-01-01"),
            {"resourceType": "Observation", "status": "final", "code": {"text": "something else"}},
            {"resourceType": "Encounter", "status": ["anything"]},
        )
    )
    assert dict(read_record(file).values) == {"crp_mg_per_l": 3.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bundle_of(crp(-5)), "greater than or equal to 0"),
        (bundle_of(crp(value=True)), "valid number"),
        (bundle_of(crp(3, valueQuantity={"value": 3, "unit": "mg/dL"})), "expected a value in mg/L, got one in mg/dL"),
        (bundle_of(crp(3, valueQuantity={"value": 3})), "got one in no unit"),
        (bundle_of(crp(3), {"resourceType": "Patient", "birthDate": "2030-01-01"}), "birthDate before"),
        (bundle_of({"resourceType": "Patient", "gender": ["female"]}), "gender: "),
        (bundle_of(None), "resourceType"),
        (bundle_of(crp(3, code=None)), "code: "),
        (bundle_of(crp(3, code={"coding": ["x"]})), "code.coding.0: "),
        (bundle_of(crp(3, valueQuantity=None)), "valueQuantity: "),
        (bundle_of(crp(10**400)), "value"),
        (bundle_of(crp(float("nan"))), "NaN, which is no number of JSON"),
        ('{"resourceType": "Bundle", "entry": null}', "entry: "),
        ("[" * 100_000, "FHIR bundle"),
    ],
    ids=[f"record-{number}" for number in range(14)],
)
def test_a_value_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """Rather than given to a model as a measurement."""
    file = tmp_path / "record.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=re.escape(message)):
        read_record(file)


def test_a_rule_cites_only_where_all_its_clauses_hold() -> None:
    """A finding without the fact, or the fact without the finding, cites nothing."""
    facts = {"pack_years": 30.0, "crp_mg_per_l": 10.0}

    cited = cited_rules({"nodule": 0.9, "effusion": 0.9}, facts)

    assert [rule.rule for rule in cited] == ["nodule in a smoker"]
    assert "Radiology 2017" in cited[0].citation
    assert cited_rules({}, facts) == []
    assert cited_rules({"nodule": 0.9}, {}) == []


# --- ceilings, scores, model ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("finding", FINDINGS)
def test_the_ceiling_of_one_source_is_that_of_a_yes_or_no(source: str, finding: str) -> None:
    """AUROC (1 + p - q) / 2; further sources never lower a ceiling."""
    rates = RATES[source][finding]

    assert phantom_ceiling(finding, (source,)).auroc == pytest.approx((1 + rates.present - rates.absent) / 2)
    nested = [phantom_ceiling(finding, SOURCES[: count + 1]) for count in range(3)]
    assert all(a.auroc <= b.auroc and a.sensitivity <= b.sensitivity for a, b in pairwise(nested))


def test_the_phantoms_show_signs_as_often_as_the_rates_say() -> None:
    """So the ceilings are those of the phantoms: the likelihood ratio of the signs reaches them."""
    phantoms = [draw_phantom(f"many/{number}") for number in range(4_000)]
    truth = np.array([phantom.findings[0] for phantom in phantoms])
    ratio = np.zeros(len(phantoms))
    for source in SOURCES:
        rates = RATES[source]["nodule"]
        sign = np.array([phantom.signs[source][0] for phantom in phantoms])
        ratio += np.where(sign, np.log(rates.present / rates.absent), np.log((1 - rates.present) / (1 - rates.absent)))

    ceiling, found = phantom_ceiling("nodule", SOURCES), detection_scores(truth, ratio)

    assert found.auroc.low <= ceiling.auroc <= found.auroc.high
    assert found.sensitivity.value == pytest.approx(ceiling.sensitivity, abs=0.03)


def test_scores_agree_with_scikit_learn() -> None:
    """With ties, too."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.3
    scores = np.round(truth + rng.normal(size=300), 1)

    found = detection_scores(truth, scores)

    assert found.auroc.value == pytest.approx(roc_auc_score(truth, scores))
    assert found.auroc.low < found.auroc.value < found.auroc.high
    with pytest.raises(ValueError, match="with the finding and without"):
        detection_scores(np.ones(3, bool), scores[:3])


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[RecordsModel, run.Labelled]:
    """A model of a few steps, and test studies."""
    folder = tmp_path_factory.mktemp("studies")
    train, validation = (run.labelled_studies(*split, folder) for split in (("train", 96), ("validation", 48)))
    model = RecordsModel()
    model.fit(train, validation, FitOptions(steps=40, batch=16))
    return model, run.labelled_studies("test", 120, folder)


def test_the_model_learns_from_each_source_and_passes_no_ceiling(fitted: tuple[RecordsModel, run.Labelled]) -> None:
    """Reports and records are learned in some steps; a score above its ceiling would be a leak."""
    model, (studies, truth) = fitted
    for sources in (("report",), ("record",), SOURCES):
        logits = model.logits([study.only(sources) for study in studies])
        for index, finding in enumerate(FINDINGS):
            found = detection_scores(truth[:, index], logits[:, index])
            assert found.auroc.low <= phantom_ceiling(finding, sources).auroc
    heart = FINDINGS.index("large_heart")
    logits = model.logits([study.only(("record",)) for study in studies])
    assert detection_scores(truth[:, heart], logits[:, heart]).auroc.low > 0.6


def test_a_missing_source_changes_nothing_but_its_own_part(fitted: tuple[RecordsModel, run.Labelled]) -> None:
    """A prediction without the image does not depend on it, nor on other studies; a study without sources has none."""
    model, (studies, _) = fitted
    without = [study.only(("report", "record")) for study in studies[:4]]

    alone = np.concatenate([model.logits([study]) for study in without])

    assert np.allclose(model.logits([*without, studies[5]])[:4], alone, atol=1e-5)
    assert not np.allclose(model.logits(studies[:4]), alone, atol=1e-3)
    shares = model.answer(without[0])[0].shares
    assert shares["image"] == 0
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)


def test_the_model_abstains_where_it_was_wrong_too_often(fitted: tuple[RecordsModel, run.Labelled]) -> None:
    """Answers below the least certainty are not given."""
    model, (studies, _) = fitted
    model.least_certainty, before = np.full(len(FINDINGS), 0.6), model.least_certainty
    try:
        assert {answer.answer for answer in model.answer(studies[0])} == {None}
        assert "no answer" in "\n".join(run.study_lines(model, studies[0]))
    finally:
        model.least_certainty = before


def test_every_output_begins_with_the_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report, the part about one study, and what the command prints."""
    out = tmp_path / "report.md"
    monkeypatch.setattr(sys, "argv", ["run", "--out", str(out), "--train", "40", "--test", "40", "--steps", "2"])

    run.main()

    text = out.read_text(encoding="utf-8")
    assert text.splitlines()[2] == f"**{NOTICE}**"
    assert text.count(NOTICE) == 2
    assert text.count("| nodule |") == 7 + 2 + 1
    assert capsys.readouterr().out.startswith(NOTICE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train", "0"], "--train: expected a whole number of at least 10, got '0'"),
        (["--test", "-3"], "--test: expected a whole number of at least 10"),
        (["--out", "/"], "--out: expected a file that can be written, got /: Is a directory"),
    ],
)
def test_options_are_checked_before_the_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Which takes minutes."""
    monkeypatch.setattr(sys, "argv", ["run", *arguments])
    with pytest.raises(SystemExit):
        run.main()
    assert message in capsys.readouterr().err


def test_studies_are_read_with_what_they_have(study_folder: Path) -> None:
    """A folder without a report is a study without a report."""
    (study_folder / "report.txt").unlink()

    study = read_study(study_folder)

    assert study.report is None
    assert study.image is not None
    assert study.only(()) == Study("study", None, None, None)


# --- layouts ----------------------------------------------------------------------------------------------------------


def splits_of(studies: list[LabelledStudy]) -> dict[str, tuple[str, frozenset[str]]]:
    """Return split and findings by name."""
    return {own.study.name: (own.split, own.findings) for own in studies}


def write_rows(file: Path, *rows: dict[str, str]) -> None:
    """Write a CSV table."""
    with file.open("w", encoding="utf-8", newline="") as table:
        writer = csv.DictWriter(table, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("multilabel", [True, False])
def test_medmnist(tmp_path: Path, *, multilabel: bool) -> None:
    """Columns of flags, or one value, in three splits."""
    targets = np.array([[1, 0], [1, 1]]) if multilabel else np.array([[0], [1]])
    arrays = {f"{split}_images": np.zeros((2, 28, 28), np.uint8) for split in ("train", "val", "test")}
    arrays |= {f"{split}_labels": targets for split in ("train", "val", "test")}
    np.savez(tmp_path / "some.npz", allow_pickle=False, **arrays)

    found = splits_of(list(read_medmnist(tmp_path / "some.npz", {0: "a", 1: "b"})))

    assert len(found) == 6
    assert found["val-0"] == ("validation", frozenset({"a"}))
    assert found["test-1"] == ("test", frozenset({"a", "b"} if multilabel else {"b"}))
    np.savez(tmp_path / "other.npz", allow_pickle=False, x=targets)
    with pytest.raises(UsageError, match="expected train_images"):
        list(read_medmnist(tmp_path / "other.npz", {}))


def test_mimic_cxr(tmp_path: Path) -> None:
    """Frontal images with their report; uncertain labels do not count; the patient with the number 1 is no label."""
    study = tmp_path / "files" / "p10" / "p10000001" / "s5"
    study.mkdir(parents=True)
    study.with_suffix(".txt").write_text("No effusion.")
    for name in ("front", "side"):
        cv2.imwrite(str(study / f"{name}.jpg"), np.zeros((80, 60), np.uint8))
    ids = {"subject_id": "10000001", "study_id": "5"}
    write_rows(
        tmp_path / "mimic-cxr-2.0.0-split.csv",
        *({**ids, "dicom_id": name, "split": "validate"} for name in ("front", "side", "elsewhere")),
    )
    write_rows(
        tmp_path / "mimic-cxr-2.0.0-metadata.csv",
        *({**ids, "dicom_id": name, "ViewPosition": view} for name, view in (("front", "PA"), ("side", "LATERAL"))),
    )
    write_rows(
        tmp_path / "mimic-cxr-2.0.0-chexpert.csv",
        {"subject_id": "1", "study_id": "5", "Edema": "1.0", "Fracture": "-1.0", "Pneumonia": "", "No Finding": ""},
    )

    [found] = read_mimic_cxr(tmp_path)

    assert (found.split, found.group, found.findings) == ("validation", "p10000001", frozenset({"Edema"}))
    assert found.study.report == "No effusion."
    assert found.study.image is not None
    assert found.study.image.shape == (64, 64)
    (tmp_path / "mimic-cxr-2.0.0-split.csv").unlink()
    with pytest.raises(UsageError, match=r"mimic-cxr-2\.0\.0-split\.csv"):
        list(read_mimic_cxr(tmp_path))


def test_nih(tmp_path: Path) -> None:
    """The official test list is the test split, and no patient is in two splits."""
    (tmp_path / "images_001" / "images").mkdir(parents=True)
    rows = []
    for number in range(6):
        name = f"{number:08}_000.png"
        cv2.imwrite(str(tmp_path / "images_001" / "images" / name), np.zeros((80, 80), np.uint8))
        finding = "No Finding" if number % 2 else "Mass|Nodule"
        rows.append({"Image Index": name, "Finding Labels": finding, "Patient ID": str(number)})
    write_rows(tmp_path / "Data_Entry_2017.csv", *rows, {**rows[0], "Image Index": "not_here.png"})
    (tmp_path / "test_list.txt").write_text("00000000_000.png\n00000001_000.png\n")

    found = splits_of(list(read_nih(tmp_path)))

    assert len(found) == 6
    assert found["00000000_000.png"] == ("test", frozenset({"Mass", "Nodule"}))
    assert found["00000001_000.png"] == ("test", frozenset())
    assert {split for name, (split, _) in found.items() if name > "00000001_000.png"} <= {"train", "validation"}


# --- a stream ---------------------------------------------------------------------------------------------------------


def test_a_stream_of_ultrasound_gets_a_result_for_each_window(tmp_path: Path) -> None:
    """From a multi-frame DICOM file through producer and worker; the model finds what was drawn."""
    stream.train_detector(tmp_path / "model", steps=48)
    truths = [True, False, False, True]

    results = stream.stream_results(truths, tmp_path / "model", tmp_path)

    assert [result.stream for result in results] == ["ultrasound"] * len(truths)
    assert [result.modalities.video.state for result in results] == ["present"] * len(truths)
    found = [result.predictions["target"][0].label == "cyst" for result in results]
    assert sum(own == truth for own, truth in zip(found, truths, strict=True)) >= len(truths) - 1
