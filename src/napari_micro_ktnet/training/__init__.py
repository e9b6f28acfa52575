"""From annotated images to a model."""

from napari_micro_ktnet.triton_guard import keep_triton_out

# Before any module of this folder imports torch, also in the console of a viewer that has drawn.
keep_triton_out()
