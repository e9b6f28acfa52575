"""What the form of the Metrics widget asks for: suggestions, checks, and the request that follows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.gui import inputs
from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.label_layers import KnownFacts, as_now, image_of, not_analysed, record_of
from napari_micro_ktnet.gui.metrics import checks as check
from napari_micro_ktnet.gui.metrics import data as data
from napari_micro_ktnet.gui.metrics.run import FoldersRequest, LayersRequest
from napari_micro_ktnet.gui.places import Place
from napari_micro_ktnet.measurement.label_grids import Grid
from napari_micro_ktnet.measurement.label_pairs import EvaluationOptions
from napari_micro_ktnet.sem.masks import MOST_CLASSES

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_micro_ktnet.gui.metrics.view import MetricsForm


class Choice:
    """Read a form and the layers of a viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers are offered.
    form : MetricsForm
        The form; fields that the user has not set follow the layers.
    """

    def __init__(self, viewer: ViewerModel, form: MetricsForm) -> None:
        self._viewer, self._form = viewer, form
        self._facts = KnownFacts()
        self._outside: tuple[Any, tuple[NDArray[np.bool_] | None, str]] = (None, (None, ""))
        self._set_by_user: set[str] = set()
        self._skip = True
        for name in ("prediction", "truth", "probability", "meaning", "unlabelled"):
            getattr(form, name).activated.connect(lambda _, name=name: self._set_by_user.add(name))
        form.classes.textEdited.connect(lambda _: self._set_by_user.add("classes"))

    @property
    def folders(self) -> bool:
        """Whether folders are compared."""
        return self._form.source.currentIndex() == 1

    @property
    def layers(self) -> tuple[Layer | None, Layer | None]:
        """Prediction and truth."""
        return self._form.prediction.layer, self._form.truth.layer

    def forget(self, layer: Layer) -> None:
        """Look at a layer again, or drop it: it was changed or deleted."""
        self._facts.forget(layer)

    def layers_changed(self) -> None:
        """Offer the layers as they are now."""
        form = self._form
        for box in (form.prediction, form.truth, form.probability, form.region):
            box.refill()
        self._facts.keep(self._viewer.layers)
        prediction, truth = data.suggest_pair(list(self._viewer.layers))
        if "prediction" not in self._set_by_user:
            form.prediction.choose(prediction)
        if "truth" not in self._set_by_user and truth is not form.prediction.layer:
            form.truth.choose(truth)
        if "probability" not in self._set_by_user:
            found = data.suggest_probability(list(self._viewer.layers), form.prediction.layer)
            form.probability.choose(found)

    def suggest(self) -> None:
        """Let fields that the user has not set follow the chosen layers."""
        form, layers = self._form, self.layers
        if "classes" not in self._set_by_user:
            form.classes.setText("" if self.folders else ", ".join(data.class_names(*layers)))
        if self.folders and "unlabelled" not in self._set_by_user:
            form.unlabelled.setCurrentIndex(0)
        if self.folders or layers[0] is None or layers[1] is None:
            return
        facts = self._facts.of(layers[0]), self._facts.of(layers[1])
        if any(check.check_labels(layer, each, "") for layer, each in zip(layers, facts, strict=True)):
            return
        values = facts[0].values, facts[1].values
        if "unlabelled" not in self._set_by_user:
            extra = data.NOT_ANNOTATED in values[1] and data.NOT_ANNOTATED not in values[0]
            # Alone it is the class, as in masks of 0 and 255; among objects it is one of them.
            form.unlabelled.setCurrentIndex(int(extra and 1 < len(values[1]) <= MOST_CLASSES))
        if "meaning" not in self._set_by_user:
            form.meaning.setCurrentIndex(int(check.suggest_instances(form.class_names, values)))

    def problems(self) -> dict[str, str]:
        """Find what is wrong, by field; the first that is not empty is the one to tell."""
        if self.folders:
            return self._folder_problems()
        form, (prediction, truth) = self._form, self.layers
        facts = [None if layer is None else self._facts.of(layer) for layer in (prediction, truth)]
        found = {
            "prediction": check.check_labels(prediction, facts[0], "prediction"),
            "truth": check.check_labels(truth, facts[1], "truth"),
        }
        found |= dict.fromkeys(
            ("classes", "resample", "unlabelled", "region", "tolerance_unit", "probability"), ""
        )
        self._show_skip()
        form.resample.hide()
        if prediction is None or truth is None or facts[0] is None or facts[1] is None or any(found.values()):
            return found
        problem, resampling = check.check_together((prediction, truth), (facts[0], facts[1]))
        form.resample.setVisible(resampling)
        if problem:
            found["resample" if resampling else "truth"] = (
                "" if resampling and form.resample.isChecked() else problem
            )
        values = facts[0].values, facts[1].without(form.not_annotated)
        found["unlabelled"] = check.check_not_annotated(form.not_annotated, facts[1].values)
        found["classes"] = check.check_classes(form.class_names, form.instances, values)
        if facts[0].looked and facts[1].looked:
            found["truth"] = found["truth"] or check.check_not_empty(values)
        found["region"] = inputs.check_region(form.region.layer)
        found["probability"] = check.check_probability(form.probability.layer, facts[1])
        if form.tolerance_unit.currentIndex() == 1 and self._pixel_size(prediction, truth) is None:
            found["tolerance_unit"] = (
                "The pixel size is not known: give the tolerance in px, or set it (SEM info)."
            )
        return found

    def request(self) -> LayersRequest | FoldersRequest:
        """Give what the form asks for; only without problems."""
        form, (prediction, truth) = self._form, self.layers
        if self.folders:
            folders = Path(form.predictions.text().strip()), Path(form.masks.text().strip())
            return FoldersRequest(*folders, self._options())
        assert prediction is not None and truth is not None  # noqa: S101, PT018 - problems() said so
        outside = self._not_analysed()[0] if form.skip.isChecked() else None
        probability = form.probability.layer
        return LayersRequest(
            as_now(prediction),
            as_now(truth),
            self.place().image or prediction.name,
            self._options(),
            outside=outside,
            region=self._region(truth),
            pixel_size=self._pixel_size(prediction, truth),
            probability=convert.full_data(probability) if probability is not None else None,
            probability_class=str(record_of(probability).get("probability_of", "")),
        )

    def place(self) -> Place:
        """Where results belong: over the prediction, or the truth if that is on other pixels."""
        prediction, truth = self.layers
        assert prediction is not None and truth is not None  # noqa: S101, PT018 - problems() said so
        same = convert.full_data(prediction).shape == convert.full_data(truth).shape
        image = image_of(list(self._viewer.layers), prediction)
        over = prediction if same else truth
        return Place(
            prediction.name, image.name if image is not None else "", over.ndim, convert.geometry(over)
        )

    def _folder_problems(self) -> dict[str, str]:
        form = self._form
        form.resample.show()
        classes = check.check_classes(form.class_names, form.instances, ((), ()))
        return {
            "predictions": check.check_folder(form.predictions.text(), "predictions"),
            "masks": check.check_folder(form.masks.text(), "truth"),
            "classes": classes,
            "tolerance_unit": "",
        }

    def _options(self) -> EvaluationOptions:
        form = self._form
        unit: Literal["px", "um"] = "um" if form.tolerance_unit.currentIndex() == 1 else "px"
        return EvaluationOptions(
            classes=form.class_names,
            not_annotated=form.not_annotated,
            instances=form.instances,
            tolerance=form.tolerance.value(),
            tolerance_unit=unit,
            resample=not form.resample.isHidden() and form.resample.isChecked(),
        )

    def _not_analysed(self) -> tuple[NDArray[np.bool_] | None, str]:
        prediction = self.layers[0]
        if prediction is None:
            return None, ""
        layers = list(self._viewer.layers)
        image = image_of(layers, prediction)
        analysed = record_of(prediction).get("analysed")
        sem = convert.sem_image_of(image) if image is not None else None
        # Compared by identity: the arrays are large.
        key = tuple(map(id, (prediction, convert.full_data(prediction), analysed, sem)))
        if self._outside[0] != key:
            self._outside = (key, not_analysed(layers, prediction))
        return self._outside[1]

    def _show_skip(self) -> None:
        outside, text = self._not_analysed()
        box = self._form.skip
        box.setText(text or "no data bar known")
        if (outside is not None) != box.isEnabled():
            if outside is None:
                self._skip = box.isChecked()
            box.setEnabled(outside is not None)
            box.setChecked(outside is not None and self._skip)

    def _region(self, truth: Layer) -> NDArray[np.bool_] | None:
        shapes = self._form.region.layer
        if shapes is None:
            return None
        height, width = convert.full_data(truth).shape[-2:]
        target: Any = truth
        return convert.polygons_mask(convert.outlines(shapes, target), (height, width))

    @staticmethod
    def _pixel_size(prediction: Layer, truth: Layer) -> tuple[float, float] | None:
        size = convert.pixel_size_nm(truth)
        other = convert.pixel_size_nm(prediction)
        if size is not None or other is None:
            return size
        shapes = [convert.full_data(x).shape[-2:] for x in (prediction, truth)]
        return Grid(shapes[0], other).on(shapes[1]).pixel_size
