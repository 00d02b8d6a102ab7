/* The schema's history: SQL files of src/store/migrations/, built into the program in order. */
#pragma once

#include <stddef.h>

struct migration {
    int version;      /* 1, 2, ... without gaps */
    const char *name; /* the file's name without its ending */
    const char *sql;  /* NUL-terminated */
};

extern const struct migration migrations[];
extern const size_t migrations_count;
