"""Sequence problems for adaptive computation: parity, logic, addition, sorting, and next-byte prediction.

The first four are those of Graves 2016, "Adaptive Computation Time for Recurrent Neural Networks", section 3.
"""
