"""Synthetic SEM images of agglomerates with exact truth: for samples, tests and pre-training."""

from napari_micro_ktnet.synthetic.domains import random_scene
from napari_micro_ktnet.synthetic.scene import SyntheticSEM, masterbatch_image, render
from napari_micro_ktnet.synthetic.spec import MATRICES, Matrix, SceneSpec

__all__ = ["MATRICES", "Matrix", "SceneSpec", "SyntheticSEM", "masterbatch_image", "random_scene", "render"]
