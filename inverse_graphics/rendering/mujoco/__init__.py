"""MuJoCo as a render engine, with OpenGL or by ray casting; optional: `pip install mujoco`."""
