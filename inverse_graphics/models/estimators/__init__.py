"""Estimators of the gradient of the bound, which differ in how the number of objects is trained."""
