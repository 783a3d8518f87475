"""Problems over sequences that need several steps: parity, logic, addition, sorting, and the next character.

The first four are those of Graves 2016, "Adaptive Computation Time for Recurrent Neural Networks", section 3.
"""
