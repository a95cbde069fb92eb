"""The pages for people: server-rendered HTML without scripts, which loads nothing from other hosts."""
