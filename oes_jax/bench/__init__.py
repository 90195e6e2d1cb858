"""Benchmarks: one file each."""

