"""DICOM objects of a pair: the image and its report in one study. `writer.DicomWriter` writes them."""
