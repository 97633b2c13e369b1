"""What makes an image a slide: VL Microscopic (PS3.3 A.32.2), or Whole Slide Microscopy (A.32.8) with a known scale.

A Whole Slide Microscopy image of one frame is a slide of one tile.
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.valuerep import DSfloat

from medim_forge.generator.dataset import Provenance
from medim_forge.generator.records import Pair
from medim_forge.generator.writers.dicom.codes import code_item
from medim_forge.generator.writers.dicom.icc import SRGB
from medim_forge.generator.writers.dicom.known import Known
from medim_forge.generator.writers.dicom.people import identifier
from medim_forge.generator.writers.dicom.study import MIDNIGHT
from medim_forge.generator.writers.uids import PairUids

_SLIDE = Code("433466003", "SCT", "Microscope slide")
_BRIGHTFIELD = Code("111744", "DCM", "Brightfield illumination")
_WHITE = Code("371251000", "SCT", "White")


def add_specimen(dataset: Dataset, provenance: Provenance, pair: Pair, uids: PairUids) -> None:
    """The specimen module (C.7.6.22): a slide with one specimen, which is as synthetic as the image."""
    specimen = Dataset()
    specimen.SpecimenIdentifier = identifier(provenance, pair)
    specimen.SpecimenUID = uids.specimen
    specimen.IssuerOfTheSpecimenIdentifierSequence = []
    specimen.SpecimenShortDescription = "Given image" if provenance.image == "given" else "Synthetic, no tissue"
    specimen.SpecimenPreparationSequence = []
    dataset.ContainerIdentifier = identifier(provenance, pair)
    dataset.IssuerOfTheContainerIdentifierSequence = []
    dataset.ContainerTypeCodeSequence = [code_item(_SLIDE)]
    dataset.SpecimenDescriptionSequence = [specimen]


def add_patch(dataset: Dataset) -> None:
    """The rest of a VL Microscopic image."""
    dataset.Modality = "GM"
    dataset.AcquisitionContextSequence = []


def add_whole_slide(dataset: Dataset, provenance: Provenance, known: Known, uids: PairUids) -> None:
    """The rest of a Whole Slide Microscopy image: one tile, one focal plane, one optical path."""
    assert known.microns_per_pixel is not None, "an image without scale is a VL Microscopic image"
    millimetres = known.microns_per_pixel / 1000
    dataset.Modality = "SM"
    dataset.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    dataset.DeviceSerialNumber = provenance.model_sha256
    dataset.AcquisitionDateTime = dataset.StudyDate + MIDNIGHT
    dataset.ContentDate, dataset.ContentTime = dataset.StudyDate, MIDNIGHT
    dataset.AcquisitionContextSequence = []
    dataset.FrameOfReferenceUID = uids.frame_of_reference
    dataset.PositionReferenceIndicator = "SLIDE_CORNER"
    dataset.NumberOfFrames = 1
    dataset.VolumetricProperties = "VOLUME"
    dataset.SpecimenLabelInImage = "NO"
    # Type 1, and made up neither way: a generated image is in focus without anyone's hand.
    dataset.FocusMethod = "AUTO"
    dataset.ExtendedDepthOfField = "NO"
    dataset.ImagedVolumeWidth = dataset.Columns * millimetres
    dataset.ImagedVolumeHeight = dataset.Rows * millimetres
    # Nominal: the standard wants a depth above zero, and a computed picture has none beyond its pixels' own size.
    dataset.ImagedVolumeDepth = known.microns_per_pixel
    _add_matrix(dataset)
    _add_groups(dataset, millimetres)
    _add_optical_path(dataset)


def _add_matrix(dataset: Dataset) -> None:
    """Tile organisation and dimensions (C.8.12.14, C.7.6.17): one tile that is the whole matrix."""
    organisation = Dataset()
    organisation.DimensionOrganizationUID = dataset.FrameOfReferenceUID
    dataset.DimensionOrganizationSequence = [organisation]
    dataset.DimensionOrganizationType = "TILED_FULL"
    dataset.TotalPixelMatrixColumns, dataset.TotalPixelMatrixRows = dataset.Columns, dataset.Rows
    dataset.TotalPixelMatrixFocalPlanes = 1
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem = 0
    origin.YOffsetInSlideCoordinateSystem = 0
    dataset.TotalPixelMatrixOriginSequence = [origin]
    dataset.ImageOrientationSlide = [1, 0, 0, 0, 1, 0]


def _add_groups(dataset: Dataset, millimetres: float) -> None:
    """The shared functional groups (A.32.8.4): pixel measures, frame type, optical path."""
    measures, kind, path, shared = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [DSfloat(millimetres, auto_format=True)] * 2
    measures.SliceThickness = DSfloat(millimetres, auto_format=True)
    kind.FrameType = dataset.ImageType
    path.OpticalPathIdentifier = "1"
    shared.PixelMeasuresSequence = [measures]
    shared.WholeSlideMicroscopyImageFrameTypeSequence = [kind]
    shared.OpticalPathIdentificationSequence = [path]
    dataset.SharedFunctionalGroupsSequence = [shared]


def _add_optical_path(dataset: Dataset) -> None:
    """The optical path (C.8.12.5): what a stained slide is looked at with, and the colour space of the result."""
    path = Dataset()
    path.OpticalPathIdentifier = "1"
    path.IlluminationTypeCodeSequence = [code_item(_BRIGHTFIELD)]
    path.IlluminationColorCodeSequence = [code_item(_WHITE)]
    path.ICCProfile = SRGB
    path.ColorSpace = "SRGB"
    dataset.NumberOfOpticalPaths = 1
    dataset.OpticalPathSequence = [path]
