"""Connections from a widget to a viewer that end with the widget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Shapes

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

_LAYER_EVENTS = ("name", "data", "scale", "units")


class ViewerLinks:
    """What a widget wants to hear from a viewer.

    A widget that is closed must not be called any more: connect its ``destroyed`` to `cut`.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    inserted, removed : callable
        Called with the layer, after it was added or removed.
    changed : callable
        Called after anything else that a check may depend on.
    painted : callable, optional
        Called with a Labels layer after its labels changed; Labels layers are watched only with it.
    activated : callable, optional
        Called with the layer that became the active one, or with None.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        inserted: Callable[[Any], None],
        removed: Callable[[Any], None],
        changed: Callable[[], None],
        painted: Callable[[Any], None] | None = None,
        activated: Callable[[Any], None] | None = None,
    ) -> None:
        self._viewer = viewer
        self._tell_inserted = inserted
        self._tell_removed = removed
        self._tell_changed = changed
        self._tell_painted = painted
        self._tell_activated = activated
        events = viewer.layers.events
        self._links = (
            (events.inserted, self._inserted),
            (events.removed, self._removed),
            (events.reordered, self._changed),
            (viewer.dims.events.ndisplay, self._changed),
            (viewer.dims.events.order, self._changed),
            (viewer.layers.selection.events.active, self._activated),
        )
        for emitter, callback in self._links:
            emitter.connect(callback)
        for layer in viewer.layers:
            self._watch(layer)

    def cut(self) -> None:
        """Hear nothing more."""
        for emitter, callback in self._links:
            emitter.disconnect(callback)
        for layer in self._viewer.layers:
            for emitter, callback in self._links_of(layer):
                emitter.disconnect(callback)

    def _watch(self, layer: Any) -> None:
        for emitter, callback in self._links_of(layer):
            emitter.connect(callback)

    def _links_of(self, layer: Any) -> list[tuple[Any, Callable[..., None]]]:
        if isinstance(layer, Labels):
            if self._tell_painted is None:
                return []
            moved = [(getattr(layer.events, name), self._changed) for name in ("name", "scale", "units")]
            return [*moved, (layer.events.data, self._painted), (layer.events.paint, self._painted)]
        names = _LAYER_EVENTS if isinstance(layer, (Image, Shapes)) else ()
        return [(getattr(layer.events, name), self._changed) for name in names]

    def _inserted(self, event: Any) -> None:
        self._watch(event.value)
        self._tell_inserted(event.value)

    def _removed(self, event: Any) -> None:
        self._tell_removed(event.value)

    def _changed(self, event: Any = None) -> None:
        self._tell_changed()

    def _activated(self, event: Any) -> None:
        if self._tell_activated is not None:
            self._tell_activated(event.value)

    def _painted(self, event: Any) -> None:
        assert self._tell_painted is not None  # noqa: S101 - else it was not connected
        self._tell_painted(event.source)
