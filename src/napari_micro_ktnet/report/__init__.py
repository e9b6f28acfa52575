"""One self-contained HTML page on the agglomerates of a lot."""

from napari_micro_ktnet.report.content import ReportField, ReportInfo
from napari_micro_ktnet.report.writing import write_report

__all__ = ["ReportField", "ReportInfo", "write_report"]
