"""MuJoCo as a render engine, by its OpenGL renderer or by ray casting; optional: `pip install mujoco`."""
