"""Acts: scan, judge, report, sweep."""
