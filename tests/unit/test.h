/* What every unit test includes: cmocka with its prerequisites, and a scratch directory. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/util.h"

/* cmocka fixtures: *state becomes a fresh directory's path, removed afterwards. */
static inline int scratch_setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    char *path = mem_printf("%s/ownhouse-test-XXXXXX", tmp ? tmp : "/tmp");
    *state = mkdtemp(path);
    return *state ? 0 : -1;
}

static inline int scratch_teardown(void **state)
{
    int r = fs_remove_tree(*state, NULL);
    free(*state);
    return r;
}
