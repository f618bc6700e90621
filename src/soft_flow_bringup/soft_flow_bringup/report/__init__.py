"""The report of a run: reads what a run left on disk and renders one self-contained HTML file."""
