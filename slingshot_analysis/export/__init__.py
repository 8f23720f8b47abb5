"""Write runs in the formats of others: CSV, Parquet, NetCDF, TensorBoard, and offline runs of Weights & Biases."""

from slingshot_analysis.export.runs import FORMATS, Written, export_runs

__all__ = ["FORMATS", "Written", "export_runs"]
