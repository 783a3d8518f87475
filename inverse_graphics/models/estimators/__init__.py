"""Estimators of the bound's gradient: how a network that draws a number of objects learns how many."""
