"""Ratios against named C peers, measured in interleaved runs on one machine."""
