"""AIR for objects in space, seen by a renderer that is given and fixed."""
