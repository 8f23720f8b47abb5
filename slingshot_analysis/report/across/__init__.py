"""Figures of many runs: overlaid curves, slingshots against grokking, dose response, heatmaps."""

from slingshot_analysis.report.across.draw import draw_across_runs, figure_across_runs

__all__ = ["draw_across_runs", "figure_across_runs"]
