"""napari: reader, writer, sample data and widgets. The only place that knows layers and Qt."""
