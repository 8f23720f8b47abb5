"""The public names, a line each: ``__init__.py`` loads them from here, and type checkers read this file."""

from slingshot_analysis.analysis import Analysis as Analysis
from slingshot_analysis.analysis import analyze as analyze
from slingshot_analysis.association import association_test as association_test
from slingshot_analysis.association import event_triggered_average as event_triggered_average
from slingshot_analysis.association import gain_association as gain_association
from slingshot_analysis.detectors import detect_accuracy_climbs as detect_accuracy_climbs
from slingshot_analysis.detectors import detect_accuracy_jumps as detect_accuracy_jumps
from slingshot_analysis.detectors import detect_curvature_peaks as detect_curvature_peaks
from slingshot_analysis.detectors import detect_feature_bursts as detect_feature_bursts
from slingshot_analysis.detectors import detect_gradient_spikes as detect_gradient_spikes
from slingshot_analysis.detectors import detect_loss_spikes as detect_loss_spikes
from slingshot_analysis.detectors import fit_log_growth as fit_log_growth
from slingshot_analysis.detectors import segment_norm as segment_norm
from slingshot_analysis.detectors import series_spike_score as series_spike_score
from slingshot_analysis.detectors import spike_score as spike_score
from slingshot_analysis.diagnosis import Diagnosis as Diagnosis
from slingshot_analysis.errors import InputError as InputError
from slingshot_analysis.errors import SlingshotError as SlingshotError
from slingshot_analysis.evaluation import evaluate as evaluate
from slingshot_analysis.events import AccuracyClimb as AccuracyClimb
from slingshot_analysis.events import AccuracyJump as AccuracyJump
from slingshot_analysis.events import LogGrowth as LogGrowth
from slingshot_analysis.events import LossSpike as LossSpike
from slingshot_analysis.events import NotFinite as NotFinite
from slingshot_analysis.events import Peak as Peak
from slingshot_analysis.events import Phase as Phase
from slingshot_analysis.events import Slingshot as Slingshot
from slingshot_analysis.labels import Labels as Labels
from slingshot_analysis.many_runs import analyze_files as analyze_files
from slingshot_analysis.many_runs import compare_runs as compare_runs
from slingshot_analysis.many_runs import runs_table as runs_table
from slingshot_analysis.readers import Log as Log
from slingshot_analysis.readers import Names as Names
from slingshot_analysis.readers import read_log as read_log
from slingshot_analysis.recording import Recorder as Recorder
from slingshot_analysis.signal import Axis as Axis
from slingshot_analysis.signal import Signal as Signal
from slingshot_analysis.slingshots import Options as Options
from slingshot_analysis.slingshots import detect_slingshots as detect_slingshots
from slingshot_analysis.trace import Group as Group
from slingshot_analysis.trace import Quantity as Quantity
from slingshot_analysis.trace import Trace as Trace
from slingshot_analysis.trace import TraceWriter as TraceWriter
from slingshot_analysis.trace import open_trace as open_trace

__version__: str
