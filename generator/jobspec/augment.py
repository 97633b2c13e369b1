"""The job that asks whether synthetic pairs help a classifier."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from medim_forge.generator.domains import DOMAINS
from medim_forge.generator.errors import SpecError
from medim_forge.generator.jobspec.explain import validated
from medim_forge.generator.jobspec.fields import Count, DrawnDomain, Pairs, Place, Section, Seed, Share
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.header import JobHeader
from medim_forge.generator.jobspec.output import FolderSection

Arm = Literal["real", "real_synthetic", "real_shuffled", "real_duplicated"]
ARMS: tuple[Arm, ...] = ("real", "real_synthetic", "real_shuffled", "real_duplicated")
# Training and validation phantoms of the embedded checkpoint have lower seeds.
UNSEEN_SEEDS = 2_000_000_000_000
Amount = Annotated[float, Field(ge=0, le=1000)]
MOST_REAL = 1_000_000  # pairs that are drawn and held in memory


class ShiftSection(Section):
    """How the acquisition of the real images differs from that of the phantoms: what makes the real task hard.

    With the default, 100 real chest pairs score a macro F1 of about .66, 100 real pathology pairs .48.

    Attributes:
        rotation: largest turn to either side, degrees.
        translation: largest move along each axis, share of the side.
        zoom: largest change of size, share.
        blur: standard deviation of the Gaussian blur, pixels.
        contrast: factor on the distance from the image's mean; 1 changes nothing.
        noise: standard deviation of the pixel noise, grey levels.
    """

    rotation: Amount = 8.0
    translation: Share = 0.05
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.08
    blur: Amount = 0.8
    contrast: Annotated[float, Field(gt=0, le=4)] = 0.6
    noise: Amount = 16.0


class RealSection(Section):
    """The small real set and the test set: phantoms of seeds that no checkpoint was trained on, acquired differently.

    Attributes:
        pairs: real training pairs of each repetition; every repetition has its own.
        test_pairs: pairs that judge every classifier.
        first_seed: of the phantoms; the test set comes first, then the repetitions.
        shift: of the acquisition.
    """

    pairs: Annotated[int, Field(ge=2, le=MOST_REAL)] = 100
    test_pairs: Annotated[int, Field(ge=2, le=MOST_REAL)] = 600
    first_seed: Seed = UNSEEN_SEEDS
    shift: ShiftSection = Field(default_factory=ShiftSection)


class SyntheticSection(Section):
    """Where the synthetic pairs come from: a finished dataset, or a job that is run first.

    Attributes:
        dataset: folder of a finished dataset.
        generate: a `generate` job without kind, name and output; its dataset goes to `<output.dir>/synthetic`.
        pairs: how many are used at most, the first of the domain; None takes all.
    """

    dataset: Place | None = None
    generate: dict[str, Any] | None = None
    pairs: Pairs | None = None

    @model_validator(mode="after")
    def _one_source(self) -> SyntheticSection:
        if (self.dataset is None) == (self.generate is None):
            raise ValueError("synthetic needs either dataset (a finished folder) or generate (a job), not both")
        return self


class ClassifierSection(Section):
    """The classifier: standardised pixels, principal components, one logistic regression per finding.

    Attributes:
        side: images are averaged down to this many pixels a side.
        components: principal components kept.
        strength: inverse regularisation of the logistic regression.
    """

    side: Annotated[int, Field(ge=4, le=256)] = 32
    components: Count = 40
    strength: Annotated[float, Field(ge=1e-9, le=1e9)] = 0.1


class AugmentSpec(JobHeader):
    """An augmentation experiment.

    Attributes:
        kind: `augment`.
        domain: of all pairs.
        real: the small real set and the test set.
        synthetic: the pairs whose worth is asked.
        arms: what the classifiers are trained on; the others are compared with `real`.
        seeds: repetitions, each with its own real pairs.
        classifier: what is trained.
        bootstrap: draws behind each confidence interval.
        output: where tables and plot go.
    """

    kind: Literal["augment"]
    domain: DrawnDomain = next(iter(DOMAINS))
    real: RealSection = Field(default_factory=RealSection)
    synthetic: SyntheticSection
    arms: Annotated[tuple[Arm, ...], Field(strict=False)] = ARMS
    seeds: Annotated[int, Field(ge=2, le=10_000)] = 8
    classifier: ClassifierSection = Field(default_factory=ClassifierSection)
    bootstrap: Annotated[int, Field(ge=100, le=1_000_000)] = 2000
    output: FolderSection

    @model_validator(mode="after")
    def _arms_can_be_compared(self) -> AugmentSpec:
        if "real" not in self.arms or len(set(self.arms)) != len(self.arms):
            raise ValueError(
                f"arms = {list(self.arms)}; name each arm once, `real` among them, for it is what others beat"
            )
        return self

    @model_validator(mode="after")
    def _embedded_job_is_sound(self) -> AugmentSpec:
        try:
            self.generate_job()
        except SpecError as error:
            raise ValueError(str(error).removesuffix(".")) from error
        return self

    def generate_job(self) -> GenerateSpec | None:
        """The job that makes the synthetic pairs, or None when they come from a finished dataset.

        Raises:
            SpecError: it says what it must not say, or is no sound job.
        """
        given = self.synthetic.generate
        if given is None:
            return None
        settled = {"kind": "generate", "name": f"{self.name}_synthetic"[:40], "output": self._synthetic_output()}
        if taken := sorted(settled.keys() & given.keys()):
            raise SpecError(f"synthetic.generate: leave out {', '.join(taken)}; this job settles them")
        return validated(GenerateSpec, {"seed": self.seed, **settled, **given}, source="synthetic.generate")

    def _synthetic_output(self) -> dict[str, Any]:
        # Classifiers read Parquet; DICOM would only cost time.
        return {"dir": f"{self.output.dir}/synthetic", "dicom": None}

    def fixed(self) -> dict[str, Any]:
        """What the digest covers; of the embedded job only what changes its bytes."""
        values = super().fixed()
        job = self.generate_job()
        if job is not None:
            values["synthetic"]["generate"] = job.fixed()
        return values
