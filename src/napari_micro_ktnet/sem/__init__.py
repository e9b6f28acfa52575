"""SEM files: pixels, pixel size, acquisition conditions and data bar."""

from napari_micro_ktnet.sem._content import grey_if_grey
from napari_micro_ktnet.sem.databar import find_data_bar
from napari_micro_ktnet.sem.image import DataBar, SEMImage, SEMMetadata
from napari_micro_ktnet.sem.reader import read_sem, read_sem_pages
from napari_micro_ktnet.sem.writer import write_image, write_labels

__all__ = [
    "DataBar",
    "SEMImage",
    "SEMMetadata",
    "find_data_bar",
    "grey_if_grey",
    "read_sem",
    "read_sem_pages",
    "write_image",
    "write_labels",
]
