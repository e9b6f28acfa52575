from __future__ import annotations

import numpy as np

from napari_micro_ktnet import load_model, segment
from napari_micro_ktnet.measurement.scores import confusion_matrix, scores_from_confusion
from napari_micro_ktnet.model.registry import list_models, starter_path
from napari_micro_ktnet.sem import DataBar, SEMImage
from napari_micro_ktnet.synthetic import masterbatch_image, random_scene, render


def test_the_file_is_small_and_says_what_it_is() -> None:
    assert starter_path().stat().st_size < 15e6
    info = list_models()[0]
    assert info.name == "starter"
    assert info.spec.licence == "BSD-3-Clause"
    assert "10.1049/nde2.12034" in info.spec.origin
    assert [entry.what for entry in info.history][-1] == "published"
    assert starter_path().with_name("model_card.md").is_file()


def test_scenes_it_never_saw() -> None:
    model = load_model()
    total = np.zeros((2, 2), np.int64)
    for seed in range(8):
        scene = render(random_scene(np.random.default_rng((1, seed))), (384, 384), seed)
        top = 384 - scene.data_bar_rows
        bar = DataBar(top, 384, "metadata") if scene.data_bar_rows else None
        labels = segment(SEMImage(scene.pixels, data_bar=bar), model).labels()
        total += confusion_matrix(labels[:top], scene.mask[:top].astype(np.uint8), 2)
    assert scores_from_confusion(total)[0].iou > 0.75


def test_text_over_the_sample_is_mostly_no_agglomerate() -> None:
    model = load_model()
    ink = labelled = 0
    for seed in range(6):
        plain, written = (masterbatch_image((384, 512), seed, caption=c) for c in (False, True))
        changed = (plain.pixels != written.pixels) & ~plain.mask
        ink += np.count_nonzero(changed)
        labelled += np.count_nonzero(segment(written.pixels, model).labels()[changed])
    assert ink > 5000
    assert labelled < 0.2 * ink


def test_brightness_contrast_and_bit_depth_hardly_matter() -> None:
    scene = masterbatch_image((384, 384), seed=11)
    model = load_model()
    reference = segment(scene.pixels, model).labels()
    darker = (scene.pixels * 0.4 + 20).astype(np.float32)
    deeper = scene.pixels.astype(np.uint16) * 150 + 2000
    for variant in (darker, deeper):
        assert (segment(variant, model).labels() != reference).mean() < 0.002


def test_tiling_hardly_matters() -> None:
    scene = masterbatch_image((512, 640), seed=12)
    model = load_model()
    whole = segment(scene.pixels, model).labels()
    tiled = segment(scene.pixels, model, tile=256, overlap=0.25).labels()
    assert (whole != tiled).mean() < 0.01
