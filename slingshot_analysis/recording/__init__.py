"""Record any PyTorch training loop: the Recorder, its probes and its schedules.

Everything that this module imports is public.
"""

from slingshot_analysis.online_rules import SlingshotWarning as SlingshotWarning
from slingshot_analysis.recording.mirrors import Mirror as Mirror
from slingshot_analysis.recording.online.watch import Transition as Transition
from slingshot_analysis.recording.probes import PROBES as PROBES
from slingshot_analysis.recording.probes._base import Buffer as Buffer
from slingshot_analysis.recording.probes._base import Moment as Moment
from slingshot_analysis.recording.probes._base import Probe as Probe
from slingshot_analysis.recording.probes._bundles import BUNDLES as BUNDLES
from slingshot_analysis.recording.probes._bundles import choose_probes as choose_probes
from slingshot_analysis.recording.probes._catalogue import catalogue as catalogue
from slingshot_analysis.recording.probes._curvature_probe import CurvatureProbe as CurvatureProbe
from slingshot_analysis.recording.probes.activation_kurtosis import ActivationKurtosis as ActivationKurtosis
from slingshot_analysis.recording.probes.attention import Attention as Attention
from slingshot_analysis.recording.probes.batch import Batch as Batch
from slingshot_analysis.recording.probes.below_epsilon_fraction import BelowEpsilon as BelowEpsilon
from slingshot_analysis.recording.probes.clip_coefficient import ClipCoefficient as ClipCoefficient
from slingshot_analysis.recording.probes.cosine_distance import CosineDistance as CosineDistance
from slingshot_analysis.recording.probes.effective_step import EffectiveStep as EffectiveStep
from slingshot_analysis.recording.probes.effective_step_quantiles import (
    EffectiveStepQuantiles as EffectiveStepQuantiles,
)
from slingshot_analysis.recording.probes.evaluation import Evaluation as Evaluation
from slingshot_analysis.recording.probes.feature_change import FeatureChange as FeatureChange
from slingshot_analysis.recording.probes.features import Features as Features
from slingshot_analysis.recording.probes.gauss_newton import GaussNewton as GaussNewton
from slingshot_analysis.recording.probes.gradient_curvature import GradientCurvature as GradientCurvature
from slingshot_analysis.recording.probes.gradient_spikes import GradientSpikes as GradientSpikes
from slingshot_analysis.recording.probes.gradient_weight_cosine import GradientWeightCosine as GradientWeightCosine
from slingshot_analysis.recording.probes.hessian import Hessian as Hessian
from slingshot_analysis.recording.probes.hessian_blocks import HessianBlocks as HessianBlocks
from slingshot_analysis.recording.probes.hessian_density import HessianDensity as HessianDensity
from slingshot_analysis.recording.probes.hessian_trace import HessianTrace as HessianTrace
from slingshot_analysis.recording.probes.log_z import LogZ as LogZ
from slingshot_analysis.recording.probes.logit_margin import LogitMargin as LogitMargin
from slingshot_analysis.recording.probes.loss_scale import LossScale as LossScale
from slingshot_analysis.recording.probes.mean_shares import MeanShares as MeanShares
from slingshot_analysis.recording.probes.moment_lag import MomentLag as MomentLag
from slingshot_analysis.recording.probes.moments import Moments as Moments
from slingshot_analysis.recording.probes.non_finite import NonFinite as NonFinite
from slingshot_analysis.recording.probes.norms import Norms as Norms
from slingshot_analysis.recording.probes.precision import Precision as Precision
from slingshot_analysis.recording.probes.preconditioned import Preconditioned as Preconditioned
from slingshot_analysis.recording.probes.samples import Samples as Samples
from slingshot_analysis.recording.probes.spectral_norm import SpectralNorm as SpectralNorm
from slingshot_analysis.recording.probes.update_norm import UpdateNorm as UpdateNorm
from slingshot_analysis.recording.probes.update_ratio import UpdateRatio as UpdateRatio
from slingshot_analysis.recording.probes.update_sharpness import UpdateSharpness as UpdateSharpness
from slingshot_analysis.recording.recorder import Recorder as Recorder
from slingshot_analysis.recording.schedule import Budget as Budget
from slingshot_analysis.recording.schedule import Every as Every
from slingshot_analysis.recording.schedule import Schedule as Schedule
from slingshot_analysis.recording.subject import Subject as Subject
