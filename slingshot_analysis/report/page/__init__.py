"""The report as one HTML page, with an interactive figure of each run."""

from slingshot_analysis.report.page.kept import KeepRun, KeptRun, columns_for
from slingshot_analysis.report.page.write import write_report

__all__ = ["KeepRun", "KeptRun", "columns_for", "write_report"]
