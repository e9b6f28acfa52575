"""What the form of the Agglomerates widget asks for: checks, and the request that follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.gui import pixel_size as sizes
from napari_micro_ktnet.gui.agglomerates import checks as check
from napari_micro_ktnet.gui.agglomerates.fields import analysed_of, field_request
from napari_micro_ktnet.gui.agglomerates.run import MeasureRequest
from napari_micro_ktnet.gui.label_layers import KnownFacts

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_micro_ktnet.gui.agglomerates.fields import ChosenField
    from napari_micro_ktnet.gui.agglomerates.run import FieldRequest, Options
    from napari_micro_ktnet.gui.agglomerates.view import AgglomeratesForm
    from napari_micro_ktnet.measurement.limits import Limits


class MeasureChoice:
    """Read a form and the layers of a viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers are measured.
    form : AgglomeratesForm
        The form.
    """

    def __init__(self, viewer: ViewerModel, form: AgglomeratesForm) -> None:
        self._viewer, self._form = viewer, form
        self._facts = KnownFacts()
        # What was set by hand, while a limits file says another d*.
        self._own_d_star: float | None = None

    @property
    def chosen(self) -> list[ChosenField]:
        """Fields with a tick."""
        return self._form.fields.chosen()

    @property
    def options(self) -> Options:
        """How to measure; d* is that of the limits where they say it."""
        return self._form.options.with_limits(self.limits)

    @property
    def limits(self) -> Limits | None:
        """What the limits file says, where one is chosen and sound."""
        return self._form.limits.check()[0]

    def forget(self, layer: Layer) -> None:
        """Look at a layer again, or drop it: it was changed or deleted."""
        self._facts.forget(layer)

    def layers_changed(self) -> None:
        """Offer the layers as they are now."""
        self._facts.keep(self._viewer.layers)
        self._form.fields.refill()

    def problems(self) -> tuple[dict[str, str], list[str], list[str]]:
        """Find what is wrong, by field: the first that is not empty is the one to tell.

        Returns
        -------
        problems : dict of str
            Sentences by field.
        odd, mixed : list of str
            What a user should know of single fields, and of fields together; empty with problems.
        """
        form, chosen = self._form, self.chosen
        limits, limits_problem = form.limits.check()
        self._follow_limits(limits)
        typed, size_problem = self._typed()
        facts = [self._facts.of(each.labels) for each in chosen]
        bad = {
            each.labels: check.check_labels(each.labels, known)
            for each, known in zip(chosen, facts, strict=True)
        }
        fields = check.check_chosen(self._viewer.layers, chosen)
        form.fields.mark(bad, fields)
        fields = fields or next((text for text in bad.values() if text), "")
        unknown = [each.pixel_size is None for each in chosen]
        form.size_part.setVisible(any(unknown))
        found = {"fields": fields, "pixel_size": size_problem if any(unknown) else ""}
        known_sizes = [not each or typed is not None for each in unknown]
        options = form.options
        found["min_unit"] = check.check_min_size(options.min_size_unit, options.min_size, known_sizes)
        found["border"] = "" if fields else self._border_problem(chosen)
        found["limits"] = limits_problem
        if any(found.values()):
            return found, [], []
        return found, check.odd_fields(chosen, facts), check.mixed_fields(chosen, typed is not None)

    def request(self) -> MeasureRequest:
        """Give what the form asks for; only without problems."""
        fields = tuple(self.field(each) for each in self.chosen)
        return MeasureRequest(fields, self.options, self.limits)

    def field(self, chosen: ChosenField) -> FieldRequest:
        """Give one field as it is now."""
        return field_request(list(self._viewer.layers), chosen, self._typed()[0])

    def state(self) -> tuple[Any, ...]:
        """All that a result depends on, but for the pixels."""
        fields = [(id(c.labels), id(c.image), c.pixel_size, self._place(c)) for c in self.chosen]
        return tuple(fields), self.options, self._typed()[0], self.limits

    @staticmethod
    def _place(chosen: ChosenField) -> tuple[Any, ...]:
        return tuple(chosen.labels.scale), tuple(map(str, chosen.labels.units))

    def _typed(self) -> tuple[tuple[float, float] | None, str]:
        text = self._form.pixel_size.text().strip()
        if not text:
            return None, ""
        try:
            size = sizes.check_pixel_size(sizes.read_length(text, "nm"))
        except InputError as error:
            return None, str(error)
        return (size, size), ""

    def _border_problem(self, chosen: list[ChosenField]) -> str:
        border = self._form.options.border
        if border != "weight":
            return ""
        layers = list(self._viewer.layers)
        found = (check.check_border(border, analysed_of(layers, each)) for each in chosen)
        return next((text for text in found if text), "")

    def _follow_limits(self, limits: Limits | None) -> None:
        """Show the d* of a limits file that has one, and the own one again without it."""
        field = self._form.d_star
        given = limits.d_star_um if limits is not None else None
        field.setEnabled(given is None)
        if given is not None and self._own_d_star is None:
            self._own_d_star = field.value()
        wanted = given if given is not None else self._own_d_star
        if given is None:
            self._own_d_star = None
        if wanted is not None and field.value() != wanted:
            field.setDecimals(max(2, len(f"{wanted:.12g}".partition(".")[2])))
            field.blockSignals(True)
            field.setValue(wanted)
            field.blockSignals(False)
