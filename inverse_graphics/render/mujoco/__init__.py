"""MuJoCo as a render engine, by its OpenGL renderer or by its rays; optional: `pip install mujoco`."""
