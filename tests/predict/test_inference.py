from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from helpers import blobs, pixel_model, slope_model
from napari_micro_ktnet.errors import InputError, ReadError
from napari_micro_ktnet.model.spec import Normalization
from napari_micro_ktnet.predict.device import autocast_dtype, is_out_of_memory, pick_device
from napari_micro_ktnet.predict.inference import iter_segment, segment
from napari_micro_ktnet.predict.intensity import find_stretch
from napari_micro_ktnet.predict.result import probability_to_labels
from napari_micro_ktnet.sem import DataBar, SEMImage
from napari_micro_ktnet.synthetic import masterbatch_image

EXACT = {"device": "cpu", "precision": "float32"}


def expected(grey: NDArray[np.generic], *, low: float, high: float, gain: float = 1.0) -> NDArray[np.float64]:
    """Probability of the pixel network, worked out without it."""
    x = (grey.astype(float) - low) / (high - low)
    return 1 / (1 + np.exp(-gain * (x - 0.5) * 8))


@pytest.mark.parametrize(
    "options",
    [{}, {"tile": 32}, {"tile": 64, "overlap": 0.5, "batch_size": 3}, {"tile": 96, "overlap": 0.0}],
    ids=str,
)
def test_tiling_changes_nothing(options: dict[str, float]) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (150, 210)).astype(np.uint8)
    result = segment(grey, pixel_model(), **options, **EXACT)
    assert result.probability.shape == (1, 150, 210)
    np.testing.assert_allclose(result.probability[0], expected(grey, low=0, high=255), atol=1e-5)


# What is done with an image (Y, X) for each orientation.
LAID = {
    1: [lambda a: a],
    2: [lambda a: a, lambda a: np.rot90(a, 2)],
    4: [lambda a: a, lambda a: np.rot90(a, 2), np.fliplr, np.flipud],
}


@pytest.mark.parametrize("count", [1, 2, 4])
def test_mean_over_orientations(count: int) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (96, 128)).astype(np.uint8)
    # Each of them is its own inverse.
    parts = [lay(segment(lay(grey), slope_model(), **EXACT).probability[0]) for lay in LAID[count]]
    found = segment(grey, slope_model(), orientations=count, **EXACT)
    np.testing.assert_allclose(found.probability[0], np.mean(parts, axis=0), atol=1e-6)
    assert found.parameters["orientations"] == count


def test_eight_orientations_follow_an_image_that_is_turned() -> None:
    grey = np.random.default_rng(1).integers(0, 256, (96, 160)).astype(np.uint8)
    found = segment(grey, slope_model(), orientations=8, **EXACT).probability[0]
    for lay in (np.rot90, np.transpose, np.flipud):
        turned = segment(np.ascontiguousarray(lay(grey)), slope_model(), orientations=8, **EXACT)
        np.testing.assert_allclose(turned.probability[0], lay(found), atol=1e-6)
    once = segment(grey.T.copy(), slope_model(), **EXACT).probability[0]
    assert np.abs(once - segment(grey, slope_model(), **EXACT).probability[0].T).max() > 0.1


def test_orientations_are_the_models_own_unless_asked_for() -> None:
    grey = blobs()[0]
    model = slope_model(orientations=4)
    own = segment(grey, model, **EXACT)
    assert own.parameters["orientations"] == 4
    np.testing.assert_array_equal(
        own.probability, segment(grey, slope_model(), orientations=4, **EXACT).probability
    )
    assert segment(grey, model, orientations=1, **EXACT).parameters["orientations"] == 1


@pytest.mark.parametrize(
    "convert",
    [
        lambda g: g.astype(np.uint16) * 257,
        lambda g: g.astype(np.float64) / 255,
        lambda g: g.astype(np.int32) - 1000,
        lambda g: np.repeat(g[..., None], 3, axis=2),
        lambda g: np.dstack([g, g, g, np.full_like(g, 255)]),
        lambda g: np.asfortranarray(g)[:],
    ],
    ids=["uint16", "float", "int32", "rgb", "rgba", "fortran"],
)
def test_the_type_of_the_pixels_does_not_matter(convert) -> None:
    grey, _ = blobs()
    reference = segment(grey, pixel_model(), **EXACT)
    np.testing.assert_allclose(
        segment(convert(grey), pixel_model(), **EXACT).probability, reference.probability, atol=1e-5
    )


@pytest.mark.parametrize("bare", [lambda p: p, lambda p: np.dstack([p, p, p]), lambda p: np.stack([p, p])])
def test_the_data_bar_of_an_array_is_left_out(bare) -> None:
    scene = masterbatch_image((300, 400), seed=3, data_bar=True)
    top = 300 - scene.data_bar_rows
    pixels = bare(scene.pixels)
    labels = segment(pixels, pixel_model(), **EXACT).labels(0.0)
    rows = np.flatnonzero(labels.reshape(-1, 300, 400).any(axis=(0, 2)))
    assert abs(rows[-1] + 1 - top) <= 2
    told = SEMImage(pixels, rgb=pixels.shape[-1] == 3)
    assert segment(told, pixel_model(), **EXACT).labels(0.0).all()


def test_of_a_pyramid_the_finest_level_is_segmented() -> None:
    from napari.layers import Image

    grey = blobs()[0]
    layer = Image([grey, grey[::2, ::2], grey[::4, ::4]], multiscale=True)
    found = segment(layer.data, pixel_model(), **EXACT)
    np.testing.assert_array_equal(found.labels(), segment(grey, pixel_model(), **EXACT).labels())


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, bool])
@pytest.mark.parametrize("shape", [(60, 70), (3, 60, 70)], ids=str)
def test_pixels_that_are_read_on_demand(shape: tuple[int, ...], dtype: type) -> None:
    pixels = (np.random.default_rng(0).random(shape) * 1.99).astype(np.uint8).astype(dtype)
    if dtype is np.float32:
        pixels[..., 3, 4] = np.nan
    reads = []

    def block(block_info=None) -> NDArray[np.generic]:
        place = tuple(slice(*each) for each in block_info[None]["array-location"])
        reads.append(place)
        return pixels[place]

    slices = (1,) * shape[0] if len(shape) == 3 else shape[0]
    chunks = da.core.normalize_chunks((slices, *shape[1:]), shape)
    lazy = da.map_blocks(block, chunks=chunks, dtype=dtype, meta=pixels[:0])
    bar = DataBar(50, 60, "metadata")
    eager = segment(SEMImage(pixels, data_bar=bar), pixel_model(), **EXACT)
    found = segment(SEMImage(lazy, data_bar=bar), pixel_model(), **EXACT)
    np.testing.assert_array_equal(found.probability, eager.probability)
    np.testing.assert_array_equal(found.analysed, eager.analysed)
    assert len(reads) == len(chunks[0])


def test_the_data_bar_is_left_out_and_comes_back_as_zero() -> None:
    grey, _ = blobs((120, 100))
    with_bar = np.vstack([grey, np.full((20, 100), 255, np.uint8)])
    image = SEMImage(with_bar, data_bar=DataBar(120, 140, "pixels"), pixel_size=(5.0, 7.0))
    result = segment(image, pixel_model(), **EXACT)
    np.testing.assert_allclose(result.probability[:, :120], segment(grey, pixel_model(), **EXACT).probability)
    assert result.pixel_size == (5.0, 7.0)
    assert not result.analysed[120:].any()
    assert not result.labels(0.0)[120:].any()
    assert result.labels(0.0)[:120].all()


def test_region() -> None:
    grey, _ = blobs((130, 90))
    region = np.zeros(grey.shape, bool)
    region[40:100, 30:85] = True
    region[60, 50] = False
    result = segment(grey, pixel_model(), region=region, tile=32, **EXACT)
    values = grey[region]
    want = expected(grey, low=values.min(), high=values.max())
    np.testing.assert_allclose(result.probability[0][region], want[region], atol=1e-5)
    assert (result.probability[0][~region] == 0).all()
    assert np.array_equal(result.analysed, region)


def test_not_a_number_is_left_out() -> None:
    grey = blobs()[0].astype(np.float32)
    grey[10:20, 30:50] = np.nan
    grey[0, 0] = np.inf
    result = segment(grey, pixel_model(), **EXACT)
    finite = np.isfinite(grey)
    want = expected(grey, low=grey[finite].min(), high=grey[finite].max())
    np.testing.assert_allclose(result.probability[0][finite], want[finite], atol=1e-5)
    assert (result.labels(0.0) == finite).all()


def test_not_a_number_in_one_slice_leaves_the_others_alone() -> None:
    stack = np.stack([blobs(seed=i)[0] for i in range(4)]).astype(np.float32)
    single = [segment(each, pixel_model(), **EXACT).probability for each in stack]
    stack[1, 10:20, 30:50] = np.nan
    stack[2] = np.nan
    result = segment(stack, pixel_model(), **EXACT)
    np.testing.assert_array_equal(result.analysed, np.isfinite(stack))
    for z in (0, 3):
        np.testing.assert_allclose(result.probability[:, z], single[z], atol=1e-6)
    assert (result.labels(0.0) == np.isfinite(stack)).all()


def test_progress_over_slices_of_different_size() -> None:
    stack = np.stack([blobs(seed=i)[0] for i in range(4)]).astype(np.float32)
    stack[1, :50] = np.nan
    stack[2] = np.nan
    reports = list(iter_segment(stack, pixel_model(), tile=32, **EXACT))
    assert [r.done for r in reports] == list(range(1, len(reports) + 1))
    assert all(r.done <= r.total for r in reports)
    assert reports[-1].done == reports[-1].total


@pytest.mark.parametrize(
    ("dtype", "offset"),
    [(np.float64, 1e9), (np.int32, -(2**30)), (np.int64, 2**60), (np.uint64, 2**63), (np.float32, 1e5)],
)
def test_grey_values_far_from_zero(dtype: type, offset: float) -> None:
    grey = blobs()[0]
    far = grey.astype(dtype) + np.array(offset, dtype)
    region = np.zeros(grey.shape, bool)
    region[20:, :] = True
    np.testing.assert_allclose(
        segment(far, pixel_model(), region=region, **EXACT).probability,
        segment(grey, pixel_model(), region=region, **EXACT).probability,
        atol=1e-4,
    )


def test_a_thin_region_of_a_large_image() -> None:
    pixels = np.zeros((4000, 4000), np.uint8)
    region = np.zeros(pixels.shape, bool)
    region[1, :], region[3999, :] = True, True
    pixels[1] = 100
    stretch = find_stretch(pixels, pixel_model().spec.normalization, region)
    assert (stretch.low, stretch.high) == (0, 100)


@pytest.mark.parametrize(
    ("size", "message"), [((600.0, 600.0), "would have 19200 x 25600"), ((0.6, 0.6), "only 19 x 26 pixels")]
)
def test_rescaling_out_of_reason(size: tuple[float, float], message: str) -> None:
    model = pixel_model(pixel_size=(3.0, 3.0))
    with pytest.raises(InputError, match=message):
        segment(SEMImage(blobs()[0], size), model, match_pixel_size=True, **EXACT)


@pytest.mark.parametrize(
    "error",
    [MemoryError("Unable to allocate"), RuntimeError("could not create a primitive")],
    ids=["numpy", "onednn"],
)
@pytest.mark.parametrize("step", ["find_stretch", "inference_network"])
def test_no_memory_is_an_error_of_the_image(
    step: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(f"napari_micro_ktnet.predict.runner.{step}", fail)
    with pytest.raises(InputError, match=r"not enough memory for an image of shape \(96, 128\)"):
        segment(blobs()[0], pixel_model(), **EXACT)


def test_stacks_go_slice_by_slice() -> None:
    stack = np.stack([blobs(seed=i)[0] for i in range(3)])
    stack[1] //= 2
    result = segment(stack, pixel_model(2), **EXACT)
    assert result.probability.shape == (3, 3, 96, 128)
    assert result.labels().shape == stack.shape
    for z in range(3):
        np.testing.assert_allclose(
            result.probability[:, z], segment(stack[z], pixel_model(2), **EXACT).probability, atol=1e-6
        )


def test_several_classes_are_a_softmax_with_matrix_first() -> None:
    grey = np.tile(np.arange(256, dtype=np.uint8), (40, 1))
    result = segment(grey, pixel_model(2), **EXACT)
    logit = (grey / 255 - 0.5) * 8
    parts = np.exp(np.stack([logit, 2 * logit, 3 * logit]))
    np.testing.assert_allclose(result.probability, parts / parts.sum(0), atol=1e-5)


def test_labels_of_several_classes() -> None:
    probability = np.array([[0.6, 0.2, 0.4], [0.3, 0.3, 0.35], [0.1, 0.5, 0.25]])[:, None]
    assert probability_to_labels(probability, 0.5).tolist() == [[0, 2, 1]]
    assert probability_to_labels(probability, 0.7).tolist() == [[0, 2, 0]]
    assert probability_to_labels(probability, 0.0).tolist() == [[1, 2, 1]]
    with pytest.raises(InputError, match="0 to 1"):
        probability_to_labels(probability, 1.5)


def test_reports_cover_the_image_and_the_last_is_final() -> None:
    grey, _ = blobs((200, 200))
    steps = iter_segment(grey, pixel_model(), tile=96, **EXACT)
    seen = np.zeros(grey.shape, bool)
    reports = []
    try:
        while True:
            report = next(steps)
            seen[report.rows, report.columns] = True
            reports.append((report.done, report.total))
    except StopIteration as stop:
        final = stop.value.probability
    assert reports == [(i, 9) for i in range(1, 10)]
    assert seen.all()
    np.testing.assert_allclose(final[0], expected(grey, low=grey.min(), high=grey.max()), atol=1e-5)


@pytest.mark.parametrize(
    ("limit", "warned"),
    [(2 * 96 * 96, ["2 tiles"]), (64 * 64, ["2 tiles", "1 tiles", "tiles of 128"])],
)
def test_out_of_memory_steps_down(limit: int, warned: list[str]) -> None:
    grey = np.random.default_rng(1).integers(0, 256, (300, 280)).astype(np.uint8)
    side = 96 if limit > 96 * 96 else 288
    model = pixel_model(most_pixels=limit if side == 96 else 128 * 128)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = segment(grey, model, tile=side, batch_size=4, **EXACT)
    messages = [str(w.message) for w in caught if "Memory" in str(w.message)]
    assert len(messages) == len(warned)
    for message, part in zip(messages, warned, strict=True):
        assert part in message
    np.testing.assert_allclose(result.probability[0], expected(grey, low=0, high=255), atol=1e-5)


def test_a_model_that_does_not_fit_on_the_device_runs_on_the_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(network: torch.nn.Module, device: torch.device, *_: object) -> torch.nn.Module:
        if device.type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return network

    monkeypatch.setattr("napari_micro_ktnet.predict.runner.pick_device", lambda _: torch.device("meta"))
    monkeypatch.setattr("napari_micro_ktnet.predict.runner.inference_network", full)
    grey = np.random.default_rng(1).integers(0, 256, (60, 80)).astype(np.uint8)
    with pytest.warns(UserWarning, match="does not fit into the memory of meta; going on with the CPU"):
        result = segment(grey, pixel_model(), precision="float32")
    assert result.parameters["device"] == "cpu"
    np.testing.assert_allclose(result.probability[0], expected(grey, low=0, high=255), atol=1e-5)


def test_a_model_that_does_not_run_on_the_device_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr("napari_micro_ktnet.predict.runner.pick_device", lambda _: torch.device("meta"))
    monkeypatch.setattr("napari_micro_ktnet.predict.runner.inference_network", broken)
    with pytest.raises(RuntimeError, match="no kernel image"):
        segment(blobs()[0], pixel_model(), precision="float32")


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to",
        "[enforce fail at alloc_cpu.cpp:80] DefaultCPUAllocator: not enough memory: you tried to",
    ],
)
def test_how_memory_says_that_it_ran_out(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(ValueError(text))


def test_no_memory_at_all_is_an_error_that_says_so() -> None:
    with (
        warnings.catch_warnings(action="ignore"),
        pytest.raises(InputError, match="not enough memory"),
    ):
        segment(np.zeros((300, 300), np.uint8), pixel_model(most_pixels=10), **EXACT)


def test_matching_the_pixel_size() -> None:
    grey = np.zeros((80, 120), np.uint8)
    grey[20:60, 30:90] = 200
    image = SEMImage(grey, pixel_size=(20.0, 20.0))
    model = pixel_model(pixel_size=(10.0, 10.0))
    result = segment(image, model, match_pixel_size=True, **EXACT)
    assert model.network.shapes[-1][2:] == (160, 256)  # twice as large, then a multiple of 32
    assert result.probability.shape == (1, 80, 120)
    inner = result.labels() == (grey > 0)
    assert inner.mean() > 0.98
    with pytest.raises(InputError, match="unknown"):
        segment(grey, model, match_pixel_size=True, **EXACT)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((0, 5), np.uint8), "empty"),
        (np.full((40, 40), np.nan), "Nothing is left"),
        (np.zeros((5, 5), complex), "complex"),
        (np.zeros((2, 2, 5, 5), np.uint8), "4 axes"),
        (np.zeros(7, np.uint8), "1 axes"),
        (np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8), "three different colour"),
        (np.array([["a", "b"]]), "type <U1"),
        ([[1, 2], [3]], "the image is no array"),
    ],
    ids=["empty", "nan", "complex", "4d", "1d", "colour", "text", "ragged"],
)
def test_bad_images(image: NDArray[np.generic], message: str) -> None:
    with pytest.raises(InputError, match=message):
        segment(image, pixel_model(), **EXACT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tiles": 4}, "unexpected keyword"),
        ({"batch_size": 0}, "batch size"),
        ({"device": "gpu0"}, "Unknown device"),
        ({"device": "cuda:99"}, "not on this machine"),
        ({"tile": 8}, "at least 32"),
        ({"tile": "64"}, "tile is '64', expected an integer"),
        ({"batch_size": 1.5}, "batch_size is 1.5"),
        ({"overlap": None}, "overlap is None"),
        ({"device": 0}, "device is 0"),
        ({"precision": "float16"}, "expected one of auto, float32, bfloat16"),
        ({"orientations": 3}, "orientations is 3, expected 1, 2, 4, 8 or None"),
        ({"orientations": 0}, "orientations is 0"),
        ({"orientations": "4"}, "orientations is '4'"),
        ({"region": [[True]]}, "region has the shape"),
        ({"region": [[True], [True, False]]}, "the region is no array"),
        ({"region": np.ones((3, 3), bool)}, "region has the shape"),
        ({"region": np.zeros((96, 128), bool)}, "Nothing is left"),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        segment(blobs()[0], pixel_model(), **options)


def test_missing_file() -> None:
    with pytest.raises(ReadError, match=r"nowhere\.tif"):
        segment("nowhere.tif", pixel_model())


def test_constant_image_and_booleans() -> None:
    flat = segment(np.full((40, 50), 7, np.uint8), pixel_model(), **EXACT)
    assert np.isfinite(flat.probability).all()
    mask = blobs()[1].astype(bool)
    assert np.array_equal(segment(mask, pixel_model(), **EXACT).labels(), mask)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [1, 2, 3, 1000, 5001])
def test_counted_percentiles_are_those_of_numpy(dtype: type, size: int) -> None:
    pixels = (np.random.default_rng(size).gamma(2, 20, (1, size)) % 256).astype(dtype) * (
        1 if dtype == np.uint8 else 257
    )
    for percentiles in ((0.5, 99.8), (0.0, 100.0), (25.0, 50.0)):
        found = find_stretch(pixels, Normalization(percentiles=percentiles))
        low, high = np.percentile(pixels.astype(float), percentiles)
        if high > low:
            np.testing.assert_allclose((found.low, found.high), (low, high), rtol=1e-12)
        else:
            assert (found.low, found.high) == (pixels.min(), pixels.max())


def test_stretch_ignores_what_is_outside_and_survives_sampling() -> None:
    model = pixel_model()
    grey = np.arange(10_000, dtype=np.float32).reshape(100, 100)
    inside = np.zeros(grey.shape, bool)
    inside[:50] = True
    stretch = find_stretch(grey, model.spec.normalization, inside)
    assert (stretch.low, stretch.high) == (0, 4999)
    large = np.tile(np.arange(3000, dtype=np.uint16), (3000, 1))
    stretch = find_stretch(large, model.spec.normalization)
    assert stretch.high - stretch.low == pytest.approx(2999, abs=3)


def test_reduced_precision_only_where_it_pays() -> None:
    assert autocast_dtype(torch.device("cpu"), "float32") is None
    assert autocast_dtype(torch.device("cpu"), "bfloat16") is torch.bfloat16
    assert autocast_dtype(torch.device("mps")) is None
    assert pick_device("cpu") == torch.device("cpu")
